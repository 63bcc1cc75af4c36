"""The screen in a terminal of its own: whatever becomes of it, the run and the terminal do not."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.cli import main
from rtdenoise.cli.screen import screen_wanted
from tests.toy_nets import Identity, save

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no pseudo terminals")
TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
OPENED, LEFT = b"\x1b[?1049h", b"\x1b[?1049l"
LONG_S = 60.0


class Terminal:
    """A command in a terminal of 100 x 30, and what it has written so far."""

    def __init__(self, words: list[str], **environment: str) -> None:
        self.master, self.slave = os.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("4H", 30, 100, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.run = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, sys.executable, "-m", "rtdenoise", *words],
            stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True,
            env=os.environ | {"TERM": "xterm-256color"} | environment,
        )  # fmt: skip
        self.said = b""

    def until(self, text: bytes, since: int = 0) -> int:
        """Read until *text* is said after the byte *since*; return where it ends."""
        end = time.monotonic() + LONG_S
        while (at := self.said.find(text, since)) < 0:
            assert time.monotonic() < end, f"no {text!r} in {self.said[-3000:]!r}"
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.said += os.read(self.master, 65536)
                except OSError:
                    raise AssertionError(self.said[-3000:]) from None
        return at + len(text)

    def press(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.master, keys)

    def screen(self) -> int:
        """The process number of the screen."""
        children = Path(f"/proc/{self.run.pid}/task/{self.run.pid}/children")
        return int(children.read_text().split()[0])


@contextlib.contextmanager
def terminal(words: list[str], **environment: str) -> Iterator[Terminal]:
    """A command in a terminal, which is ended at last."""
    it = Terminal(words, **environment)
    try:
        yield it
    finally:
        if it.run.poll() is None:
            it.run.kill()
            it.run.wait()
        os.close(it.master)
        os.close(it.slave)


@pytest.fixture
def words(tmp_path, monkeypatch):
    """A run that lasts until it is ended, recorded."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tone = 0.5 * np.sin(np.arange(48_000 * 90) * 0.1)
    sf.write(tmp_path / "in.wav", tone, 48_000)
    model = save(Identity(), tmp_path / "net.pt")
    return [
        *("live", "--in", f"file:{tmp_path / 'in.wav'}", "--out", "null", "-m", str(model)),
        *("--record", str(tmp_path / "r.wav")),
    ]


def heard(tmp_path: Path) -> None:
    """Wait until the recording that grows is longer than `whole` wants."""
    end, growing = time.monotonic() + LONG_S, tmp_path / "r.wav.part.wav"
    while growing.stat().st_size < 2 * 50_000:
        assert time.monotonic() < end
        time.sleep(0.02)


def whole(tmp_path: Path) -> bool:
    """Whether the recording has no hole: the tone, after the delay."""
    sound = sf.read(tmp_path / "r.wav")[0][512:]
    expected = 0.5 * np.sin(np.arange(len(sound)) * 0.1)
    return len(sound) > 48_000 and bool(np.abs(sound - expected).max() < 1e-3)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="children are read from /proc")
def test_a_screen_that_is_killed_leaves_the_sound_the_terminal_and_the_status_line(words, tmp_path):
    """The run tells it, goes on without a hole, and Ctrl-C ends it as it does without a screen."""
    with terminal(words) as it:
        it.until(b"RMS", it.until(OPENED))
        os.kill(it.screen(), signal.SIGKILL)
        at = it.until(b"the screen has ended", it.until(LEFT))
        it.until(b"late", at)
        assert termios.tcgetattr(it.slave) == it.before
        heard(tmp_path)
        it.press(b"\x03")
        it.until(b"callbacks", at)
        assert it.run.wait(LONG_S) == 0
    assert whole(tmp_path)


@pytest.mark.slow
def test_the_same_key_twice_ends_the_run_and_once_with_s_only_the_screen(words, tmp_path):
    """After `s` the status line is there; `rtdenoise tui` opens the screen again."""
    with terminal(words) as it:
        it.until(b"RMS", it.until(OPENED))
        it.press(b"\x03")
        it.until(b"Quit?")
        it.press(b"s")
        at = it.until(b"the screen is closed, the sound goes on", it.until(LEFT))
        it.until(b"late", at)
        with terminal(["tui"]) as other:
            other.until(b"RMS", other.until(OPENED))
            other.press(b"q")
            other.until(b"Quit?")
            heard(tmp_path)
            other.press(b"e")
            other.until(LEFT)
            assert other.run.wait(LONG_S) == 0
            assert termios.tcgetattr(other.slave) == other.before
        it.until(b"callbacks", at)
        assert it.run.wait(LONG_S) == 0
    assert whole(tmp_path)


@pytest.mark.slow
def test_a_terminal_that_stands_still_does_not_hold_the_end_of_the_run(words, tmp_path):
    """Nobody reads what the screen draws; SIGTERM ends the run, and the recording is whole."""
    with terminal(words) as it:
        it.until(b"RMS", it.until(OPENED))
        time.sleep(3)  # the terminal is full by then
        it.run.send_signal(signal.SIGTERM)
        assert it.run.wait(LONG_S) == 0
    assert whole(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words_", "environment"), [(["--no-tui"], {}), ([], {"TERM": "dumb"})], ids=["option", "dumb"]
)
def test_without_a_screen_there_is_the_status_line(words, words_, environment):
    """Where the user wants none, and where the terminal cannot."""
    with terminal([*words, *words_], **environment) as it:
        it.until(b"late")
        it.press(b"\x03")
        it.until(b"callbacks")
        assert it.run.wait(LONG_S) == 0
    assert OPENED not in it.said


def test_without_a_terminal_there_is_no_screen(capsys):
    """A pipe gets none, and `rtdenoise tui` says what prints the numbers instead."""
    assert not screen_wanted(quiet=False)
    assert main(["tui"]) == 2
    assert "rtdenoise ctl status" in capsys.readouterr().err


def test_textual_is_imported_only_by_the_screen():
    """A run, `rtdenoise ctl` and all the others do not wait for it."""
    code = (
        "import sys, rtdenoise.cli, rtdenoise.cli.screen; rtdenoise.cli.parser(); "
        "print([m for m in sys.modules if re.match('textual|rtdenoise.tui', m)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import re; {code}"], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"\[\]\s*", done.stdout)
