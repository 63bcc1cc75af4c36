"""stdin, stdout and stderr that cannot end a run: closed, full, or read by nobody any more."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import TextIO

PIECE = 512  # bytes that a pipe takes whole, if it takes any (the least PIPE_BUF of POSIX)


class Steady(io.TextIOBase):
    """A stderr that never raises.

    It has a number of its own: while PortAudio starts, number 2 leads elsewhere for all threads
    (live/chatter.py), and what the command tells at that moment would be lost.

    Args:
        stream: The stderr of the process.
        waits: Whether it waits for a reader that is slow. If not, a pipe that is full or a terminal
            that stands still gets no text, so that Ctrl-C and the end of a live run still work.
    """

    def __init__(self, stream: TextIO, waits: bool) -> None:
        self._fd, self._waits, self._stream = os.dup(stream.fileno()), waits, stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the text."""
        return self._stream.encoding

    def write(self, text: str) -> int:
        """Write *text* at once, as far as it can be written; return its length."""
        with suppress(OSError, ValueError):
            data = memoryview(text.encode(self.encoding, "backslashreplace"))
            while data and self._ready():
                data = data[os.write(self._fd, data[:PIECE]) :]
        return len(text)

    def _ready(self) -> bool:
        """Return whether a short text can be written, or may wait."""
        if self._waits or os.name != "posix":
            return True
        # A closed terminal is ready to be written to, and then an error.
        return bool(select.select([], [self._fd], [], 0)[1])

    def fileno(self) -> int:
        """Return the number of the file."""
        return self._fd

    def close(self) -> None:
        """Give the number back."""
        if not self.closed:
            os.close(self._fd)
        super().close()

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        with suppress(OSError):
            return os.isatty(self._fd)
        return False


def open_standard_files() -> None:
    """Open what is closed of stdin, stdout and stderr to nothing.

    The next file that is opened gets the number of the one that is closed, and a C library that
    prints an error would write it into that file: into a recording.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w", closefd=False))


@contextmanager
def steady_stderr(waits: bool) -> Iterator[None]:
    """Return a context in which stderr is `Steady`, if it is that of the process.

    Args:
        waits: Whether stderr waits for a slow reader.
    """
    before = sys.stderr
    try:
        before.fileno()
    except (OSError, ValueError):  # that of a test
        yield
        return
    with suppress(OSError, ValueError):
        before.flush()
    with closing(Steady(before, waits)) as steady:
        sys.stderr = steady
        try:
            yield
        finally:
            sys.stderr = before
