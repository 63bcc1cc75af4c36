"""The screen of a run in its own terminal: a child process, which the sound does not need.

While it is open, what the run has to say is kept, and printed when the screen is closed. Whatever
happens to the child, the terminal is as before, and the run goes on with its status line.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from typing import Self

from .log import log_line

WAIT_S = 3.0  # time that a child has to end
CLOSED = "the screen is closed, the sound goes on; to open it again: rtdenoise tui"
BROKEN = "the screen has ended (%s), the sound goes on; to open it again: rtdenoise tui"
MISSING = "for a screen with meters and keys: pip install textual"
# Leave the second screen, show the cursor, report no mouse, no focus and no pasted text.
PLAIN = "\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[?2004l\x1b[<u\x1b[0m"


def screen_wanted(quiet: bool) -> bool:
    """Return whether a run opens a screen: its stdin and stdout are its terminal.

    A terminal that cannot move its cursor has none, nor has a run in the background.

    Args:
        quiet: Whether the run shows nothing, or the user wants no screen.
    """
    if quiet or os.environ.get("TERM", "") in ("", "dumb", "unknown") or os.name != "posix":
        return False
    with suppress(OSError, ValueError, AttributeError):
        ours = os.tcgetpgrp(sys.stdout.fileno()) == os.getpgrp()
        if sys.stdin.isatty() and sys.stdout.isatty() and ours:
            if find_spec("textual") is not None:
                return True
            log_line(MISSING)
    return False


class ScreenProcess:
    """The process of the screen, in whose `with` block it may be open.

    Args:
        wanted: Whether there is one at all.
    """

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._child: subprocess.Popen[bytes] | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        if self._wanted:
            self._open.enter_context(_kept_stderr())
            self._open.enter_context(_terminal_as_before())
            # Its imports, too, have to wait for the sound.
            command = ["nice", "-n", "10", sys.executable, "-m", "rtdenoise", "tui"]
            command.append(str(os.getpid()))
            try:
                self._child = subprocess.Popen(command, stderr=sys.stdout.fileno())
            except OSError:
                self._open.close()
        return self

    def open(self, tell: Callable[[str], None]) -> bool:
        """Return whether the screen is open; tell it when it has been closed."""
        if self._child is None:
            return False
        code = self._child.poll()
        if code is None:
            return True
        self._child = None
        self._open.close()
        tell(CLOSED if code == 0 else BROKEN % (f"code {code}"))
        return False

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.terminate()
            try:
                self._child.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
            self._child = None
        self._open.close()


@contextmanager
def _terminal_as_before() -> Iterator[None]:
    """Return a context after which the terminal is as before, also if the child was killed."""
    import termios

    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        yield
    finally:
        with suppress(OSError, termios.error):  # it was closed
            termios.tcsetattr(fd, termios.TCSANOW, before)  # to drain one that stands still is long
            if select.select([], [sys.stdout], [], 0)[1]:
                os.write(sys.stdout.fileno(), PLAIN.encode())


@contextmanager
def _kept_stderr() -> Iterator[None]:
    """Return a context that keeps what goes to a stderr that is a terminal, and prints it then.

    C libraries write to number 2, and the command to a number of its own (streams.py).
    """
    numbers = [n for n in {2, sys.stderr.fileno()} if os.isatty(n)]
    with tempfile.TemporaryFile() as kept, ExitStack() as back:
        for number in numbers:
            back.callback(_set_back, os.dup(number), number)
            os.dup2(kept.fileno(), number)
        try:
            yield
        finally:
            back.close()
            kept.seek(0)
            sys.stderr.write(kept.read().decode(errors="replace"))


def _set_back(kept: int, number: int) -> None:
    os.dup2(kept, number)
    os.close(kept)
