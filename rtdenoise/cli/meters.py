"""A progress bar for files and a status line for a live stream.

This is the only file that imports rich. Everything goes to stderr; a pipe gets plain lines.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress as Bar, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text

from .log import log_line


class _Rate(ProgressColumn):
    """The column with the seconds of audio that a second of work processes."""

    def render(self, task: Task) -> Text:
        """Return the rate, as "123 x real time"."""
        return Text(f"{task.speed or 0.0:5.0f} x real time")


class Progress:
    """A progress bar with the rate and the time left; it is shown only in a terminal.

    Args:
        total_seconds: Length of all the audio in seconds.
        quiet: Whether nothing is shown.

    >>> with Progress(10.0, quiet=True) as progress:
    ...     progress.advance(5.0)
    """

    def __init__(self, total_seconds: float, quiet: bool = False) -> None:
        self._bar: Bar | None = None
        if not quiet and sys.stderr.isatty():
            columns = (BarColumn(), "{task.percentage:>3.0f} %", _Rate(), TimeRemainingColumn())
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=total_seconds)

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, seconds: float) -> None:
        """Advance the bar by *seconds* of audio."""
        if self._bar is not None:
            self._bar.advance(self._task, seconds)


def level_bar(level_db: float, width: int = 12) -> str:
    """Return a level of -60 to 0 dBFS as a bar of *width* characters.

    >>> level_bar(-30.0, 4)
    '##..'
    """
    full = round(width * min(1.0, max(0.0, 1 + level_db / 60)))
    return "#" * full + "." * (width - full)


LOG_S, EVENT_S = 60.0, 10.0  # time between two lines of a log, and after an xrun or a late hop


class StatusLine:
    """A status line, which is overwritten in a terminal; a log gets a line a minute.

    After an xrun or a late hop, a log gets a line at once, unless there was one just before.

    Args:
        quiet: Whether nothing is shown.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet, self._terminal = quiet, sys.stderr.isatty()
        self._console = Console(stderr=True, highlight=False)
        self._told_s, self._drawn = time.monotonic(), False
        self._events = (0, 0)

    def show(self, status: dict[str, Any]) -> None:
        """Show *status*, as `Session.status` returns it."""
        if self._quiet:
            return
        text = (
            f"in {level_bar(status['in_db'])} {status['in_db']:4.0f} dB   "
            f"out {level_bar(status['out_db'])} {status['out_db']:4.0f} dB   "
            f"hop p50 {status['p50_ms']:.2f} p99 {status['p99_ms']:.2f} ms "
            f"({status['load_percent']:.0f} % of the deadline)   "
            f"xruns {status['xruns']}  late {status['late']}"
        )
        if self._terminal:
            room = self._console.width - 1
            sys.stderr.write("\r\x1b[2K" + text[:room])
            sys.stderr.flush()
            self._drawn = True
            return
        events = (status["xruns"], status["late"])
        if time.monotonic() - self._told_s >= (LOG_S if events == self._events else EVENT_S):
            log_line(text)
            self._told_s, self._events = time.monotonic(), events

    def clear(self) -> None:
        """Remove the line, before something else is printed."""
        if self._drawn:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._drawn = False
