"""The log of an evaluation: what was scored stays scored, what changed is scored again."""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.errors import AudioError
from tests.toy_nets import Late, save
from tests.train.evaluate.sounds import RATE, at_snr
from tests.train.sets import TINY
from tests.train.teams import SERVER, work
from train import fanout
from train.cli import main
from train.evaluate import mixes
from train.evaluate.log import Log
from train.lines import read_lines


@pytest.fixture
def scored(pairs, tmp_path):
    """Four pairs, the command that scores a model and another system on them, and its log."""
    folder = pairs(lambda x: np.stack([at_snr(row, 5) for row in x]))
    (tmp_path / "theirs").mkdir()
    for path in (folder / "degraded").iterdir():
        sf.write(tmp_path / "theirs" / path.name, 0.9 * sf.read(path)[0], RATE, "FLOAT")
    save(Late(0), tmp_path / "net.pt", lookahead=0)
    command = ["evaluate", "--data", str(folder), "--kind", "music", "--baseline", "none"]
    command += ["--model", str(tmp_path / "net.pt"), "--estimates", f"theirs={tmp_path}/theirs"]
    return [*command, "--log", str(tmp_path / "log.jsonl")]


def rows(tmp_path):
    return list(read_lines(tmp_path / "log.jsonl"))


def test_what_was_scored_is_not_scored_again(scored, tmp_path, capsys):
    """A killed run goes on, also after a line that was torn; the tables are the same."""
    assert main(scored) == 0
    whole, lines = capsys.readouterr().out, (tmp_path / "log.jsonl").read_bytes().splitlines(True)
    assert {(line["pair"], line["system"]) for line in rows(tmp_path)} == {
        (f"snr{5 * (n % 2):+03d}_{n:03d}", system)
        for n in range(4)
        for system in ("input", "net", "theirs")
    }
    (tmp_path / "log.jsonl").write_bytes(b"".join(lines[:6]) + lines[6][:40])
    assert main(scored) == 0
    again = capsys.readouterr()

    assert again.out == whole
    assert again.err.count("(known)") == 2
    assert (tmp_path / "log.jsonl").read_bytes() == b"".join(lines)


def test_a_killed_evaluation_loses_nothing(scored, tmp_path, capsys):
    """kill -9 in the middle; what has a line is known to the next run."""
    log = tmp_path / "log.jsonl"
    process = SERVER.Process(target=work, args=(scored, {}, tmp_path / "said"))
    process.start()
    while process.is_alive() and not (log.is_file() and log.stat().st_size):
        time.sleep(0.005)
    process.kill()
    process.join()
    known = len({line["pair"] for line in rows(tmp_path)})
    assert main(scored) == 0
    again = capsys.readouterr()
    assert known
    assert again.err.count("(known)") == known
    log.unlink()
    assert main(scored) == 0
    assert capsys.readouterr().out == again.out


def test_what_changed_is_scored_again_and_only_that(scored, tmp_path, capsys):
    """An output, a model, a pair; a name alone is no change."""

    def added():
        before = len(rows(tmp_path))
        assert main(scored) == 0
        return [(line["pair"], line["system"]) for line in rows(tmp_path)[before:]]

    assert len(added()) == 12
    path = tmp_path / "theirs" / "snr+00_002.wav"
    sf.write(path, 0.5 * sf.read(path)[0], RATE, "FLOAT")
    assert added() == [("snr+00_002", "theirs")]
    save(Late(0, gain=0.5), tmp_path / "net.pt", lookahead=0)
    assert {system for _, system in added()} == {"net"}
    (tmp_path / "net.pt").rename(tmp_path / "other.pt")
    scored[scored.index("--model") + 1] = f"renamed={tmp_path}/other.pt"
    assert added() == []
    assert "| renamed |" in capsys.readouterr().out
    clean = tmp_path / "clean" / "snr+00_002.wav"
    sf.write(clean, 0.95 * sf.read(clean)[0], RATE, "FLOAT")
    assert {pair for pair, _ in added()} == {"snr+00_002"}
    scored += ["--metrics", "snr"]
    assert len(added()) == 12


def test_a_report_is_continued_with_its_sounds(scored, tmp_path, capsys):
    """Its files are made again if they are gone."""
    scored += ["--report", str(tmp_path / "page.html"), "--report-files", "1"]
    assert main(scored) == 0
    page = (tmp_path / "page.html").read_text()
    capsys.readouterr()
    assert main(scored) == 0
    assert capsys.readouterr().err.count("(known)") == 4
    next((tmp_path / "page_files").glob("*.png")).unlink()
    assert main(scored) == 0
    assert capsys.readouterr().err.count("(known)") == 3
    assert (tmp_path / "page.html").read_text() == page
    assert len(list((tmp_path / "page_files").glob("*.png"))) == 1


def test_a_log_of_something_else_is_one_line(scored, tmp_path, capsys):
    """Nothing is appended to a file that is no log."""
    for text in ('{"a": 1}\n', "<html>", '{"key": ""}\n[1]\n{"key": ""}\n'):
        (tmp_path / "log.jsonl").write_text(text)
        assert main(scored) == 2
        assert "log.jsonl" in capsys.readouterr().err
        assert (tmp_path / "log.jsonl").read_text() == text
    (tmp_path / "log.jsonl").unlink()
    with Log(tmp_path / "log.jsonl"):
        assert main(scored) == 2
    assert "another process writes to" in capsys.readouterr().err


BAD = """
import json, os, pathlib, time
def reduce_noise(y, sr):
    what = json.loads(pathlib.Path(__file__).with_name("what.json").read_text())
    first = float(y[0, 0])
    if first == what["dies"]:
        os._exit(9)
    if first == what["hangs"]:
        time.sleep(600)
    return y
"""


def test_a_system_that_hangs_or_ends_its_worker_has_failed_there(
    pairs, tmp_path, monkeypatch, capsys
):
    """It counts as silence on that pair, the others are scored, and another run tries again."""
    folder = pairs(lambda x: np.stack([at_snr(row, 5) for row in x]), files=3)
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "noisereduce.py").write_text(BAD)
    paths = sorted((folder / "degraded").iterdir())
    dies, _, hangs = (float(sf.read(path, dtype="float32")[0][0]) for path in paths)
    what = tmp_path / "packages" / "what.json"
    what.write_text(json.dumps({"dies": dies, "hangs": hangs}))
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    monkeypatch.setattr(fanout._Processes, "tries", 1)
    forked = staticmethod(lambda: ProcessPoolExecutor(1, SERVER))  # five imports of torch less
    monkeypatch.setattr(fanout._Processes, "_pool", forked)
    args = ["evaluate", "--data", str(folder), "--kind", "music", "--baseline", "gate"]
    args += ["--jobs", "2", "--timeout", "2", "--log", str(tmp_path / "log.jsonl")]
    assert main(args) == 0
    out = capsys.readouterr().out

    assert "gate failed on 2 of 3 files, scored as silence" in out
    assert f"{paths[0].stem}: lost with its worker" in out
    assert f"{paths[2].stem}: it took longer than 2 s" in out
    failed = {line["pair"] for line in rows(tmp_path) if "failed" in line}
    assert failed == {paths[0].stem, paths[2].stem}
    what.write_text('{"dies": 9, "hangs": 9}')
    monkeypatch.delitem(sys.modules, "noisereduce", raising=False)
    args[args.index("--jobs") + 1] = "1"
    assert main(args) == 0
    again = capsys.readouterr()
    assert "failed on" not in again.out
    assert again.err.count("(known)") == 1


def test_no_time_is_refused(pairs, capsys):
    """Every system would fail."""
    folder = pairs(lambda x: x, files=1)
    assert main(["evaluate", "--data", str(folder), "--timeout", "0"]) == 2
    assert "no time" in capsys.readouterr().err


def test_interrupted_mixes_go_on(cache, tmp_path, monkeypatch):
    """The pairs that are there stay, and the set is the same; another set is refused."""
    mixes.make(cache, TINY, tmp_path / "whole", count=6)

    made = mixes.origin

    def stop(*told):
        if len(list((tmp_path / "part").glob("*/*.wav"))) > 5:
            raise InterruptedError
        return made(*told)

    monkeypatch.setattr(mixes, "origin", stop)
    with pytest.raises(AudioError, match="run the same command again"):
        mixes.make(cache, TINY, tmp_path / "part", count=6)
    monkeypatch.undo()
    assert not (tmp_path / "part" / "pairs.csv").exists()
    _, *lines = read_lines(tmp_path / "part" / mixes.BEGUN)
    first = tmp_path / "part" / "clean" / f"{lines[0]['pair']}.wav"
    before = first.stat().st_mtime_ns
    with pytest.raises(ValueError, match="holds pairs already"):
        mixes.make(cache, TINY, tmp_path / "part", count=6, seed=8)
    mixes.make(cache, TINY, tmp_path / "part", count=6)

    assert first.stat().st_mtime_ns == before
    for path in (tmp_path / "whole").glob("*/*.wav"):
        other = tmp_path / "part" / path.relative_to(tmp_path / "whole")
        assert np.array_equal(sf.read(path)[0], sf.read(other)[0])
    texts = [(tmp_path / name / "pairs.csv").read_text() for name in ("whole", "part")]
    assert texts[0] == texts[1]
    with pytest.raises(ValueError, match="holds pairs already"):
        mixes.make(cache, TINY, tmp_path / "part", count=6)
