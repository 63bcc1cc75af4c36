"""A progress bar for files.

This is the only file that imports rich. Everything goes to stderr; a pipe gets plain lines.
"""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress as Bar, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text


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

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, seconds: float) -> None:
        """Advance the bar by *seconds* of audio."""
        if self._bar is not None:
            self._bar.advance(self._task, seconds)
