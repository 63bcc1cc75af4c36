"""What a run prints where there is no terminal: the lines of a log."""

from __future__ import annotations

import os
import re
from types import SimpleNamespace

import pytest

from rtdenoise.cli import main, status
from rtdenoise.cli.log import in_journal
from tests.toy_nets import Identity, save

NULLS = ["--in", "null", "--out", "null"]


@pytest.fixture
def model(tmp_path):
    return save(Identity(), tmp_path / "net.pt")


STATUS = {"in_db": -20.0, "out_db": -30.0, "p50_ms": 1.0, "p99_ms": 2.0, "load_percent": 20.0}


def test_a_log_gets_a_line_a_minute_and_after_what_went_wrong(capsys, monkeypatch):
    """An hour without a fault is 60 lines; an xrun is told soon, a storm of them not each."""
    now = SimpleNamespace(s=0.0)
    monkeypatch.setattr(status, "time", SimpleNamespace(monotonic=lambda: now.s))
    line = status.StatusLine()
    told = []
    for second in range(3600):
        now.s = float(second)
        xruns = max(0, second - 3500) if second < 3540 else 40
        line.show(STATUS | {"xruns": min(xruns, 40), "late": 0})
        out = capsys.readouterr().err
        told += [second] * out.count("\n")

    assert told[:58] == [60 * n for n in range(1, 59)]
    assert told[58:] == [3501, 3511, 3521, 3531, 3541]


def test_a_log_has_plain_lines_with_the_time(model, capsys):
    """No line is overwritten and none has colours."""
    assert main(["live", *NULLS, "--duration", "0.3", "-m", str(model)]) == 0
    err = capsys.readouterr().err
    lines = err.splitlines()

    assert len(lines) >= 3
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} \S", line) for line in lines)
    assert "\r" not in err
    assert "\x1b" not in err


def test_the_journal_adds_the_time_itself(model, tmp_path, monkeypatch):
    """systemd tells which stream it reads; a stderr that was sent elsewhere is not it."""
    for theirs in (True, False):
        with (tmp_path / f"log-{theirs}").open("w") as log, monkeypatch.context() as patch:
            patch.setattr("sys.stderr", log)
            stream = os.fstat(log.fileno())
            inode = stream.st_ino if theirs else stream.st_ino + 1
            patch.setenv("JOURNAL_STREAM", f"{stream.st_dev}:{inode}")
            assert in_journal() is theirs
            assert main(["live", *NULLS, "--duration", "0.1", "-m", str(model)]) == 0
        lines = (tmp_path / f"log-{theirs}").read_text().splitlines()
        assert [line.startswith("20") for line in lines] == [not theirs] * len(lines)
        assert lines
