"""`rtdenoise file` as archives use it: a log that goes on by digest, shards, manifests, time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rtdenoise.cli import main
from tests.sounds import noise, write
from tests.toy_nets import Identity, Smoother, save

ROOT = Path(__file__).parents[2]
NAMES = ["a.wav", "x/b c.wav", "x/y/ü%20#?.wav", "x/y/d.flac", "e.wav"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The paths of two nets."""
    folder = tmp_path_factory.mktemp("models")
    return str(save(Smoother(), folder / "one.pt")), str(save(Identity(), folder / "two.pt"))


@pytest.fixture
def here(tmp_path, monkeypatch, rng):
    """A working folder with a tree of recordings, `in`."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(NAMES):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, noise(rng, 1 + number % 2, 4000 + 1000 * number), 16_000, subtype="PCM_16")
    return tmp_path


@pytest.fixture
def run(here, models, capsys):
    """A run over the tree: (counts by status, what it says, exit code)."""

    def one(*flags, inputs=("-r", "in", "-O", "out"), model=models[0], log=("--log", "l.jsonl")):
        words = [*inputs, *log, *([] if model is None else ["-m", model]), *flags]
        code = main(["file", *words])
        out, err = capsys.readouterr()
        assert out == "" or "--json" in flags
        return summary(err), err, code

    return one


def summary(err):
    """(done, skipped, failed) of the last line."""
    words = err.splitlines()[-1].split(";")[0].replace(",", "").split()
    assert words[1::2] == ["done", "skipped", "failed"]
    return tuple(map(int, words[::2]))


def lines(path="l.jsonl"):
    """The lines of a log, by input."""
    return {line["input"]: line for line in map(json.loads, Path(path).read_text().splitlines())}


def tree(folder):
    """The bytes of all files below a folder, hidden ones too."""
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_an_equal_run_skips_all(run, here):
    """Whatever its folder is called, and whatever its files' times are."""
    assert run()[0] == (5, 0, 0)
    before, log = tree("out"), lines()
    assert set(before) == set(NAMES)
    assert {line["status"] for line in log.values()} == {"done"}
    assert log["in/a.wav"]["seconds"] == 0.25
    assert log["in/a.wav"]["bytes"] == len(before["a.wav"])
    assert run()[0] == (0, 5, 0)
    os.utime("in/a.wav")
    shutil.move("in", "moved")
    shutil.copytree("moved", "copied")
    for name in ("moved", "copied"):
        assert run(inputs=("-r", name, "-O", "out"))[0] == (0, 5, 0)
    assert tree("out") == before
    assert lines() == log


def test_what_changes_an_output_makes_it_again(run, here, models):
    """The content, even with the same size and time; the model; a setting; and only that."""
    run()
    first = tree("out")
    about = Path("in/a.wav").stat()
    data = bytearray(Path("in/a.wav").read_bytes())
    data[-100] ^= 1
    Path("in/a.wav").write_bytes(data)
    os.utime("in/a.wav", ns=(about.st_atime_ns, about.st_mtime_ns))
    assert run()[0] == (1, 4, 0)
    Path("out/e.wav").unlink()
    with Path("out/x/b c.wav").open("ab") as file:
        file.truncate(100)
    assert run()[0] == (2, 3, 0)
    assert {k: v for k, v in tree("out").items() if k != "a.wav"} == {
        k: v for k, v in first.items() if k != "a.wav"
    }
    assert run("--skip-existing", model=models[1])[0] == (5, 0, 0)
    assert run("--mix", "50", model=models[1])[0] == (5, 0, 0)
    assert run("--mix", "50", "--jobs", "1", "--timeout", "60", model=models[1])[0] == (0, 5, 0)
    shutil.copy(models[0], "my.pt")
    assert run(model="my.pt")[0] == (5, 0, 0)
    shutil.copy("my.pt", "same.pt")
    assert run(model="same.pt")[0] == (0, 5, 0)
    shutil.copy(models[1], "my.pt")
    assert run(model="my.pt")[0] == (5, 0, 0)


def test_shards_together_are_one_run(run, here):
    """Every item is in one of them, and the last one merges the log."""
    run()
    whole, log = tree("out"), lines()
    Path("l.jsonl").unlink()
    shutil.rmtree("out")
    counts = []
    for number in (2, 0, 1):
        counts.append(run("--shard", f"{number}/3")[0])
        merged = Path("l.jsonl").exists()
        assert merged == (number == 1)
    assert np.sum(counts, axis=0).tolist() == [5, 0, 0]
    assert max(done for done, _, _ in counts) < 5
    assert tree("out") == whole
    same = ("input", "output", "key", "content", "status", "seconds", "bytes")
    assert [[line[k] for k in same] for line in lines().values()] == [
        [line[k] for k in same] for line in log.values()
    ]
    assert run()[0] == (0, 5, 0)
    assert run("--shard", "1/3")[0][0] == 0


def test_failures_never_stop_a_run_and_can_be_retried_alone(run, here):
    """Bad inputs, an empty one, names that mean nothing; --retry-failed with and without inputs."""
    Path("in/bad.wav").write_text("not audio")
    Path("in/empty.wav").touch()
    Path("in/x/cut.wav").write_bytes(Path("in/a.wav").read_bytes()[:4000])
    inputs = ("-r", "in", "nosuch.wav", "z*.wav", "-O", "out")
    counts, err, code = run(inputs=inputs)
    assert (counts, code) == ((5, 0, 5), 1)
    for says in ("bad.wav is not a sound file", "empty.wav is empty", "no file nosuch.wav", "z*"):
        assert err.count(says) == 1
    assert lines()["in/x/cut.wav"]["partial"]
    assert lines()["in/bad.wav"]["status"] == "failed"

    shutil.copy("in/a.wav", "in/bad.wav")
    write(here / "in" / "new.wav", np.zeros((1, 100), np.float32), 8000)
    Path("out/a.wav").unlink()
    counts, err, _ = run("--retry-failed", inputs=("-O", "out"))
    assert counts == (1, 0, 3)
    counts, err, _ = run("--retry-failed", inputs=inputs)
    assert counts == (0, 0, 3)
    assert not Path("out/a.wav").exists()
    shutil.copy("in/a.wav", "in/empty.wav")
    assert run("--retry-failed", inputs=("-r", "in", "-O", "out"))[0] == (1, 0, 0)
    assert run()[0] == (2, 7, 0)


def test_files_that_are_not_the_logs_own_stay(run, here, capsys):
    """Unless by -f; --skip-existing skips them by name."""
    Path("out").mkdir()
    Path("out/a.wav").write_text("mine")
    counts, err, code = run()
    assert (counts, code) == ((4, 0, 1), 1)
    assert "out/a.wav exists, and may not be replaced. Choose another name" in err
    assert run()[0] == (0, 4, 1)
    assert run("--skip-existing")[0] == (0, 5, 0)
    assert Path("out/a.wav").read_text() == "mine"
    assert run("-f")[0] == (1, 4, 0)
    assert run()[0] == (0, 5, 0)
    with pytest.raises(SystemExit):
        run("--shard", "3/3")
    assert "got '3/3'" in capsys.readouterr().err
    assert run("-f", inputs=("-r", "in", "-O", "in"))[0] == (0, 0, 5)


def test_results_beside_their_inputs_are_no_inputs(run, here):
    """A second run over the same folder finds what the first one found."""
    inputs = ("-r", "in")
    assert run(inputs=inputs)[0] == (5, 0, 0)
    assert run(inputs=inputs)[0] == (0, 5, 0)
    assert run("--suffix=-x", inputs=inputs)[0] == (5, 0, 0)
    assert run("--suffix=-x", inputs=inputs)[0] == (0, 5, 0)
    assert run(inputs=("in/a.wav", "in/a.denoised.wav"))[0] == (0, 1, 0)


def test_the_log_has_scores_and_json_has_its_lines(run, here, capsys, models):
    """--reference and --json mean what they mean without a log."""
    words = ["file", "-r", "in", "-O", "out", "-m", models[1], "--reference", "in"]
    assert main([*words, "--log", "l.jsonl", "--json", "-q"]) == 0
    out, err = capsys.readouterr()
    told = {line["input"]: line for line in map(json.loads, out.splitlines())}
    assert (told, err) == (lines(), "")
    assert told["in/x/y/d.flac"]["scores"]["before"]["SNR dB"] is None  # it is infinite


KILLED = 12


def test_kill_9_loses_nothing_and_repeats_little(here, models, rng):
    """Again: every output once, with the bytes of a run that nobody disturbed."""
    Path("long").mkdir()
    for number in range(KILLED):
        write(here / "long" / f"{number:02}.wav", noise(rng, 1, 400_000), 48_000)
    words = ["file", "-r", "long", "-m", models[0], "--jobs", "2", "-q"]
    assert main([*words, "-O", "whole", "--log", "w.jsonl"]) == 0
    command = [sys.executable, "-m", "rtdenoise", *words, "-O", "out", "--log", "l.jsonl"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=env) as process:
        deadline = time.monotonic() + 300
        while len(list(Path("out").glob("*"))) < 4 and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    before, whole = tree("out"), tree("whole")
    assert 4 <= len(before) < KILLED
    assert before == {name: whole[name] for name in before}
    stamps = {name: Path("out", name).stat().st_mtime_ns for name in before}

    assert main([*words, "-O", "out", "--log", "l.jsonl"]) == 0
    assert tree("out") == whole
    log = lines()
    assert len(log) == KILLED
    assert {line["status"] for line in log.values()} == {"done"}
    again = [name for name in before if Path("out", name).stat().st_mtime_ns != stamps[name]]
    assert len(again) <= 2  # one a thread, whose lines were lost
    assert not Path("l.part-run.jsonl").exists()


EFFECT = """
import threading
from rtdenoise import Effect

class Waits(Effect):
    over = threading.Event()

    def stage(self, stream, counters=None):
        return Waiting(stream)

class Waiting:
    latency = 0

    def __init__(self, stream):
        self.stream = stream

    def push(self, block):
        if self.stream.channels == 2:
            Waits.over.wait()
        return block.copy()

    def reset(self):
        pass
"""


def test_an_item_that_hangs_is_given_up(run, here, monkeypatch):
    """Its thread is left behind; the others are done, and what it finds later harms nobody."""
    Path("waits.py").write_text(EFFECT)
    monkeypatch.syspath_prepend(str(here))
    Path("b.toml").write_text('[[effect]]\ntype = "waits:Waits"\n')
    flags = ("--board", "b.toml", "--timeout", "3", "--jobs", "3")
    try:
        counts, err, _ = run(*flags, model=None)
    finally:
        sys.modules["waits"].Waits.over.set()
    assert counts == (3, 0, 2), err  # the stereo ones hang
    assert "b c.wav took more than 3 s. Give it longer with --timeout S" in err
    assert run(*flags, "--retry-failed", inputs=("-O", "out"), model=None)[0] == (2, 0, 0)
    Path("waits.py").write_text(EFFECT + "# another program\n")
    assert run(*flags, model=None)[0] == (5, 0, 0)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--retry-failed"], "--retry-failed needs the log"),
        (["in/a.wav", "--log", "in"], "the log in is a folder"),
        (["in/a.wav", "--log", "s3://b/l"], "on a disk of this machine"),
        (["--manifest", "m.csv", "in/a.wav"], "leave the others out"),
        (["--on", "mars", "in/a.wav"], "wanted here, ray or"),
        (["--timeout", "0", "in/a.wav"], "more than 0 s"),
        (["--timeout", "nan", "in/a.wav"], "more than 0 s"),
        (["-", "--log", "l.jsonl"], "stdin"),
        (["in/a.wav", "in/e.wav", "-o", "b.wav", "--log", "l.jsonl"], "give -O DIR"),
        (["--log", "l.jsonl"], "name inputs"),
        (["in/a.wav", "--picture", "--log", "l.jsonl"], "--picture"),
        ([], "name the files to clean"),
        (["foo://b/a.wav", "-O", "out"], "foo:// is unknown"),
        (["in/a.wav", "-O", "in/e.wav", "--log", "l.jsonl"], "e.wav is a file, wanted a folder"),
        (["in/a.wav", "-O", "http://host/x"], "nothing can be written by HTTP"),
        (["http://host/a.wav"], "is a URL: name a folder"),
        (["in/a.wav", "--log", "no/l.jsonl"], "mkdir -p no"),
    ],
)
def test_contradictions_are_one_line_before_any_work(flags, says, here, models, capsys):
    """Exit code 2, and nothing is written."""
    before = tree(".")
    assert main(["file", *flags, "-m", models[0]]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1
    assert tree(".") == before


@pytest.mark.parametrize("text", ["3/3", "0/0", "-1/2", "1", "a/b", "1/2/3", ""])
def test_a_shard_that_is_none(text, here, capsys):
    """The message has an example."""
    with pytest.raises(SystemExit):
        main(["file", "in/a.wav", f"--shard={text}"])
    assert "as 0/4" in capsys.readouterr().err
