"""The table of faults in docs/live.md has a test for each; here are those of no other file."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.cli import main
from rtdenoise.cli.interrupt import ASKED
from rtdenoise.errors import DeviceError
from rtdenoise.live.live import Live
from tests.live.array_card import ArrayCard
from tests.live.test_live_api import Halve
from tests.toy_nets import Identity, save

TESTS = Path(__file__).parents[1]
PAGES = [*(TESTS.parent / "docs").glob("*.md"), TESTS.parent / "README.md"]
TEST = re.compile(r"`(test_\w+)`")


def faults() -> list[list[str]]:
    """The rows of the table: what happens, what the run does, what is lost, the test."""
    page = (TESTS.parent / "docs" / "live.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if TEST.search(line)]
    return [[cell.strip() for cell in row] for row in rows]


def test_every_test_that_a_page_names_exists():
    """A page names a test as the proof of what it says."""
    there = {
        name
        for path in TESTS.rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    named = {name for page in PAGES for name in TEST.findall(page.read_text(encoding="utf-8"))}

    assert len(named) > 40
    assert named <= there, sorted(named - there)


def test_every_fault_has_one_row_that_is_full():
    """What happens, what the run does, what is lost, and which test shows it."""
    rows = faults()
    happens = [row[0] for row in rows]

    assert len(set(happens)) == len(happens)
    for row in rows:
        assert len(row) == 4
        assert all(row), row


@pytest.mark.skipif(len(ASKED) < 3, reason="there is no SIGHUP")
def test_signals_at_once_end_the_run_once(tmp_path, clips):
    """A closed terminal sends SIGHUP, the shell a second one, and a manager SIGTERM."""
    model, record = save(Identity(), tmp_path / "net.pt"), tmp_path / "r.wav"
    command = [sys.executable, "-m", "rtdenoise", "live", "--out", "null", "-m", str(model)]
    command += ["--in", f"file:{clips / 'noisy.flac'}", "--record", str(record)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    while "Ctrl-C" not in running.stderr.readline():
        assert running.poll() is None
    for number in (*ASKED, *ASKED, signal.SIGINT):
        running.send_signal(number)
    _, said = running.communicate(timeout=60)

    assert running.returncode == 0, said
    assert said.count("hops") == 1
    assert "Traceback" not in said
    assert sf.info(record).duration > 0
    assert not record.with_name("r.wav.part.wav").exists()


class Flagged(ArrayCard):
    """A card whose driver says at every tenth block that it lost samples."""

    def open(self, wiring, callback):
        count = 0

        def flagged(indata, outdata, frames, when, _status):
            nonlocal count
            count += 1
            lost = count % 10 == 0
            status = SimpleNamespace(
                input_overflow=lost, input_underflow=False,
                output_underflow=lost, output_overflow=False,
            )  # fmt: skip
            callback(indata, outdata, frames, when, status if lost else None)

        return super().open(wiring, flagged)


def test_what_the_driver_loses_is_counted(tmp_path):
    """The run and its recording go on."""
    record = tmp_path / "r.wav"
    card = Flagged(np.full((1, 48_000), 0.1, np.float32))
    with Live(effect=Halve(), cards=card, duration_s=1.0, record=record) as live:
        live.wait()
    summary = live.summary()

    assert summary["xruns_in"] == summary["xruns_out"] == summary["callbacks"] // 10 > 0
    assert summary["ended"] == "complete"
    assert sf.info(record).frames == 512 * summary["callbacks"]


class Refusing(ArrayCard):
    """A card that another program holds."""

    def open(self, wiring, callback):
        raise DeviceError("cannot open the sound device: Device unavailable")


def test_a_card_that_refuses_at_the_start_is_exit_code_3(tmp_path, capsys, monkeypatch):
    """At once, with the reason; an older recording is as it was, and nothing new is there."""
    monkeypatch.setattr(
        "rtdenoise.live.live.PortAudio", lambda: Refusing(np.zeros((1, 0), np.float32))
    )
    model, record = save(Identity(), tmp_path / "net.pt"), tmp_path / "r.wav"
    record.write_bytes(b"older")
    before = sorted(tmp_path.iterdir())
    code = main(["live", "-m", str(model), "--record", str(record), "-f"])

    assert code == 3
    assert "Device unavailable" in capsys.readouterr().err
    assert record.read_bytes() == b"older"
    assert sorted(tmp_path.iterdir()) == before
