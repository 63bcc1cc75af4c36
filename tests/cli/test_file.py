"""`rtdenoise file`: names, batches, pipes, interruptions, what it says and its exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rtdenoise.cli import main
from tests.sounds import noise, read, tell_files, write
from tests.toy_nets import Breaks, Identity, Smoother, save

FILE = (sys.executable, "-m", "rtdenoise", "file")
HERE = {
    **os.environ,
    "PYTHONPATH": str(Path(__file__).parents[2]),
}  # also where it is not installed


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The path of a net with memory."""
    return str(save(Smoother(), tmp_path_factory.mktemp("models") / "smoother.pt"))


@pytest.fixture
def here(tmp_path, monkeypatch, rng):
    """A working folder with a recording and a broken one."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.wav", noise(rng, 1, 9000), 16_000, subtype="PCM_16")
    (tmp_path / "bad.wav").write_text("not audio")
    return tmp_path


def test_one_file(here, model, capsys):
    """It says what it did on stderr, and keeps rate, format, subtype and length."""
    assert main(["file", "a.wav", "-m", model]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    for part in ("a.wav -> a.denoised.wav", "16000 Hz, mono, WAV PCM_16", "smoother", "real time"):
        assert part in err
    assert read(here / "a.denoised.wav").shape == read(here / "a.wav").shape
    assert main(["file", "a.wav", "-m", model]) == 1
    assert "-f" in capsys.readouterr().err
    assert main(["file", "a.wav", "-m", model, "-f", "-q"]) == 0
    assert main(["file", "a.wav", "-m", model, "--skip-existing", "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_one_bad_file_does_not_stop_the_others(here, model, capsys):
    """The rest is done, the failures are named at the end, the exit code is 1."""
    inputs = ["bad.wav", "missing.wav", "a.wav", "."]
    assert main(["file", *inputs, "-m", model, "--json", "--jobs", "3"]) == 1
    out, err = capsys.readouterr()
    lines = {line["input"]: line for line in map(json.loads, out.splitlines())}
    assert [lines[name]["status"] for name in inputs] == ["failed", "failed", "ok", "failed"]
    assert lines["a.wav"]["seconds"] == pytest.approx(9000 / 16_000)
    assert lines["a.wav"]["output"] == "a.denoised.wav"
    assert "1 done, 3 failed" in err
    assert all(f"failed: {name}" in err for name in ("bad.wav", "missing.wav", "."))


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        (["a.wav", "-m", "nosuch"], 4, "nosuch"),
        (["a.wav", "--mix", "120"], 2, "0 .* to 100"),
        (["a.wav", "-o", "a.wav"], 2, "input itself.*-f"),
        (["a.wav", "-o", "-", "--json"], 2, "stdout"),
        (["a.wav", "--board", "b.toml", "--mix", "50"], 2, "board"),
        (["a.wav", "--jobs", "0"], 2, "1 or more"),
        (["a.wav", "bad.wav", "--reference", "a.wav"], 2, "folder"),
        (["a.wav", "-o", "no/where.wav"], 1, "mkdir"),
        (["a.wav", "-o", "folder/"], 2, "-O DIR"),
        (["a.wav", "-O", "bad.wav"], 2, "is a file"),
        (["a.wav", "-O", "bad.wav/x"], 1, "cannot create the folder"),
        (["a.wav", "-o", "a.xyz"], 1, "flac"),
        (["nothing*.wav"], 1, "no file matches"),
        (["a.wav", "--reference", "nosuch.wav"], 1, "nosuch"),
        (["."], 1, "-r"),
        (["a.wav", "-o", "no where/x.wav"], 1, r"mkdir -p .*'\S*no where'"),
        (["a.wav", "-o", ".." + "/n" * 128 + "n" * 250 + ".wav"], 1, "no folder|too long"),
        (["a.wav", "-o", "n" * 252 + ".wav"], 1, "256 bytes.*-o"),
        (["a.wav", "--reference", "a.wav", "-o", "a.wav", "-f"], 2, "an input.*-O"),
        (["bad.wav", "--reference", "a.wav", "-o", "a.wav", "-f"], 2, "an input.*-O"),
    ],
)
def test_wrong_use_says_what_to_do(flags, code, says, here, model, capsys):
    """Exit codes 1, 2 and 4; the message holds the way out; nothing is written."""
    files = tell_files(here)
    given = [] if "-m" in flags or "--board" in flags else ["-m", model]
    assert main(["file", *flags, *given]) == code
    err = capsys.readouterr().err
    assert re.search(says, err), err
    assert tell_files(here) == files


def test_a_failing_net_is_a_failed_file(here, capsys):
    """Exit code 4 and no output: the model is to blame."""
    broken = save(Breaks(3), here / "broken.pt")
    assert main(["file", "a.wav", "-m", str(broken)]) == 4
    assert "verify" in capsys.readouterr().err
    assert not (here / "a.denoised.wav").exists()


def test_in_place_needs_force(here, model):
    """The input is replaced on demand, and only by a whole output."""
    before = (here / "a.wav").read_bytes()
    assert main(["file", "a.wav", "-o", "a.wav", "-m", model]) == 2
    assert (here / "a.wav").read_bytes() == before
    assert main(["file", "a.wav", "-o", "a.wav", "-f", "-m", model]) == 0
    assert len((here / "a.wav").read_bytes()) == len(before)
    assert (here / "a.wav").read_bytes() != before


def test_mix_and_residual_reach_the_line(here, model):
    """mix 0 gives the input back; cleaned and residual add up to it."""
    for name, flags in (("dry", ["--mix", "0"]), ("wet", []), ("rest", ["--residual"])):
        assert main(["file", "a.wav", "-o", f"{name}.wav", "-m", model, *flags]) == 0
    audio, dry, wet, rest = (read(here / f"{n}.wav") for n in ("a", "dry", "wet", "rest"))
    assert np.array_equal(dry, audio)
    assert np.abs(wet + rest - audio).max() < 2**-14
    assert np.abs(wet - audio).max() > 0.1


def test_scores_and_picture_are_made_on_the_way(here, model, capsys, rng):
    """--reference prints before and after; --picture puts a PNG next to the output."""
    clean = read(here / "a.wav")
    write(here / "noisy.wav", clean + noise(rng, 1, clean.shape[1], 0.03), 16_000)
    flags = ["--reference", "a.wav", "--picture", "--json"]
    assert main(["file", "noisy.wav", "-m", model, *flags]) == 0
    out, err = capsys.readouterr()
    line = json.loads(out)
    assert line["scores"]["before"]["SNR dB"] == pytest.approx(20, abs=0.3)
    assert set(line["scores"]["after"]) == {"SI-SDR dB", "SNR dB", "LSD"}
    assert re.search(r"SNR (19|20)\.\d\d -> ", err)
    assert line["picture"] == "noisy.denoised.wav.png"
    assert Path(line["picture"]).read_bytes().startswith(b"\x89PNG")
    exact = save(Identity(), here / "id.pt", sample_rate=16_000)
    assert main(["file", "a.wav", "-m", str(exact), "--reference", "a.wav", "--json"]) == 0
    json.loads(capsys.readouterr().out)  # infinite scores are null there, not Infinity


def test_a_pipe_goes_through(here, model):
    """Stdin to stdout, nothing else on stdout, the same bytes as between files."""
    assert main(["file", "a.wav", "-m", model]) == 0
    data = (here / "a.wav").read_bytes()
    command = [*FILE, "-", "-m", model]
    done = subprocess.run(command, input=data, capture_output=True, check=True, env=HERE)
    assert done.stdout == (here / "a.denoised.wav").read_bytes()
    assert b"stdin -> stdout" in done.stderr


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks at /proc")
@pytest.mark.parametrize(("sign", "code"), [("SIGINT", 130), ("SIGKILL", -9)])
def test_an_interrupted_run_leaves_nothing(sign, code, here, model):
    """Ctrl-C ends all threads at once; kill -9 at any time; neither leaves a half file."""
    for name in ("long.wav", "long2.wav"):
        write(here / name, np.zeros((8, 10), np.float32), 48_000, subtype="PCM_16")
        size = 48_000 * 16 * 1200
        with (here / name).open("r+b") as file:  # 20 minutes of 8 channels, sparse
            file.seek(40)
            file.write(size.to_bytes(4, "little"))
            file.truncate(44 + size)
    before = tell_files(here)
    command = [*FILE, "long.wav", "long2.wav", "-m", model]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=HERE) as run:
        while run.poll() is None and not any(map(grown, Path(f"/proc/{run.pid}/fd").iterdir())):
            time.sleep(0.02)
        run.send_signal(getattr(signal, sign))
        _, err = run.communicate(timeout=60)  # the whole work would take longer
    assert run.returncode == code, err
    assert tell_files(here) == before
    if sign == "SIGINT":
        assert err == b"rtdenoise file: interrupted\n"


def grown(link):
    """Is this open file a nameless output that holds samples by now?"""
    try:
        return "(deleted)" in str(link.readlink()) and link.stat().st_size > 2_000_000
    except OSError:
        return False


ODD = ["new\nline.wav", "esc\x1b[2J.wav", "-x.wav", " .wav", "b\udce9.wav", "$x_$.wav", "日本.wav"]


def test_odd_names_in_a_folder(here, model):
    """One line each, of no control characters, in any encoding; the exit code tells."""
    (here / "a.wav").rename(here / ODD[0])
    try:
        for name in ODD[1:]:
            shutil.copy(here / ODD[0], here / name)
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    os.mkfifo(here / "pipe.wav")
    shutil.copy(here / ODD[0], here / ("n" * 245 + ".wav"))
    (here / "film.vob").touch()
    env = {**HERE, "PYTHONIOENCODING": "latin-1"}
    command = [*FILE, "-r", ".", "-m", model, "--json", "-f", "--jobs", "2"]
    done = subprocess.run(command, capture_output=True, check=False, env=env)
    lines = {line["input"]: line for line in map(json.loads, done.stdout.splitlines())}

    assert done.returncode == 1, done.stderr
    by_status = {
        status: {name for name, line in lines.items() if line["status"] == status}
        for status in ("ok", "skipped", "failed")
    }
    assert by_status["ok"] == set(ODD)
    assert by_status["skipped"] == {"film.vob"}
    assert by_status["failed"] == {"bad.wav", "pipe.wav", "n" * 245 + ".wav"}
    assert all(Path(lines[name]["output"]).exists() for name in ODD)
    told = done.stderr.decode("latin-1")
    assert "\x1b" not in told
    assert "1 skipped, which are not read: 1 .vob" in told
    assert r"new\nline.wav -> new\nline.denoised.wav" in told
    assert r"b\xe9.wav -> b\xe9.denoised.wav" in told
    assert "7 done, 3 failed" in told


def test_names_that_look_like_options_are_explained(here, capsys):
    """`*.wav` of a shell may hold -x.wav."""
    (here / "a.wav").rename(here / "-x.wav")
    with pytest.raises(SystemExit) as usage:
        main(["file", "-x.wav"])
    assert usage.value.code == 2
    assert "./-x.wav means the file" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="mode bits are POSIX")
def test_a_private_recording_stays_private(here, model, capsys):
    """The cleaned file and its picture; the change is told when links are broken."""
    (here / "a.wav").chmod(0o600)
    assert main(["file", "a.wav", "-m", model, "--picture"]) == 0
    for name in ("a.denoised.wav", "a.denoised.wav.png"):
        assert (here / name).stat().st_mode & 0o777 == 0o600
    os.link(here / "a.denoised.wav", here / "backup.wav")
    before = (here / "backup.wav").read_bytes()
    assert main(["file", "a.wav", "-m", model, "-f", "--mix", "50"]) == 0
    assert "1 other name (hard links), which kept the old file" in capsys.readouterr().err
    assert (here / "backup.wav").read_bytes() == before


def test_a_tilde_is_the_home_even_in_quotes(here, model, monkeypatch):
    """A shell leaves it in `--output-dir=~/out`."""
    monkeypatch.setenv("HOME", str(here))
    assert main(["file", "~/a.wav", "--output-dir=~/out", "-m", model]) == 0
    assert (here / "out" / "a.wav").exists()
    with pytest.raises(SystemExit):
        main(["file", "a.wav", "-O", ""])
