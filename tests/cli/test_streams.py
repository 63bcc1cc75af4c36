"""No terminal, and nobody who reads what is printed, ends a run or its recording."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.cli.interrupt import until_interrupted
from rtdenoise.cli.streams import Steady
from tests.toy_nets import Smoother, save

pytestmark = pytest.mark.skipif(os.name != "posix", reason="terminals and signals are POSIX")
LIVE = [sys.executable, "-m", "rtdenoise", "live", "--out", "null", "--clock", "fast"]


def _nobody_reads() -> int:
    """A pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


STDERR = {
    "closed": lambda: None,
    "full": lambda: os.open("/dev/full", os.O_WRONLY),
    "broken": _nobody_reads,
}


@pytest.mark.parametrize("kind", STDERR)
def test_a_stderr_that_takes_nothing_does_not_end_the_recording(tmp_path, clips, kind):
    """Closed, full, or a pipe that nobody reads: exit code 0, and not a byte is wrong."""
    if kind == "full" and not Path("/dev/full").exists():
        pytest.skip("needs Linux's /dev/full")
    model, record = save(Smoother(), tmp_path / "net.pt"), tmp_path / "r.wav"
    stderr = STDERR[kind]()
    command = [*LIVE, "-m", model, "--in", f"file:{clips / 'noisy.flac'}", "--record", record]
    words = " ".join(f"'{word}'" for word in command) + (" 2>&-" if stderr is None else "")
    done = subprocess.run(words, shell=True, stderr=stderr, timeout=120)
    if stderr is not None:
        os.close(stderr)

    assert done.returncode == 0
    assert record.read_bytes()[:4] == b"RIFF"  # and no text, which descriptor 2 would have got
    assert sf.info(record).frames == sf.info(clips / "noisy.flac").frames + 512


def test_a_closed_terminal_ends_the_run_with_a_whole_recording(tmp_path, clips):
    """As Ctrl-C does; nothing that is printed into the terminal that is gone is an error."""
    model, record = save(Smoother(), tmp_path / "net.pt"), tmp_path / "r.wav"
    sound, rate = sf.read(clips / "noisy.flac")
    sf.write(tmp_path / "long.wav", np.tile(sound, 30), rate)  # a busy machine is late by seconds
    master, slave = os.openpty()
    take_terminal = (
        "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        "signal.signal(signal.SIGHUP, signal.SIG_DFL); "  # nohup, which runs the tests, ignores it
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    command = [sys.executable, "-m", "rtdenoise", "live", "--out", "null", "-m", str(model)]
    command += ["--in", f"file:{tmp_path / 'long.wav'}", "--record", str(record)]
    running = subprocess.Popen(
        [sys.executable, "-c", take_terminal, *command],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    said = b""
    while b"latency in ms" not in said:
        said += os.read(master, 1000)
    time.sleep(0.5)
    os.close(master)

    assert running.wait(timeout=60) == 0
    assert 0.2 < sf.info(record).duration < sf.info(tmp_path / "long.wav").duration - 1
    assert not record.with_name("r.wav.part.wav").exists()


def test_a_hangup_is_ignored_where_nohup_asked_for_it():
    """So that `nohup rtdenoise live &` outlives its terminal; SIGTERM still ends it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with until_interrupted() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.is_set()
            signal.raise_signal(signal.SIGTERM)
            assert stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("waits", [False, True])
def test_a_live_run_does_not_wait_for_a_reader_that_stands_still(waits):
    """A pipe that is full gets no more text; another verb waits until it is read."""
    reader, writer = os.pipe()
    with open(writer, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        steady, line = Steady(stream, waits), "x" * 999 + "\n"
        if waits:
            assert steady.write(line) == 1000
        else:
            for _ in range(1000):
                assert steady.write(line) == 1000
        got = os.read(reader, 1 << 20)
        assert got.startswith(line.encode())
        assert len(got) < 1_000_000
        steady.write("é\udce9\n")
        assert os.read(reader, 99) == b"\xc3\xa9\\udce9\n"
    os.close(reader)


def test_what_is_told_while_number_2_leads_elsewhere_arrives():
    """PortAudio is started with it turned off, and a device can go at that very moment."""
    script = """
import os, sys
from rtdenoise.cli.streams import steady_stderr
from rtdenoise.live.chatter import hushed
with steady_stderr(waits=False):
    with hushed():
        os.write(2, b"chatter\\n")
        print("the device is gone", file=sys.stderr)
    print("and back", file=sys.stderr)
print("the end", file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr == "the device is gone\nand back\nthe end\n"
