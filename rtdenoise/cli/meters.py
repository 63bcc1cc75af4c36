"""A progress bar for files.

This is the only file that imports rich. Everything goes to stderr; a pipe gets plain lines.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress as Bar,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _Rate(ProgressColumn):
    """The column with the seconds of audio that a second of work processes."""

    def render(self, task: Task) -> Text:
        """Return the rate, as "123 x real time"."""
        return Text(f"{task.speed or 0.0:5.0f} x real time")


class _Shown:
    """A bar on stderr while a block runs; it is shown only in a terminal.

    Args:
        quiet: Whether nothing is shown.
        total: What the bar counts to. None: it is not known yet.
        columns: The columns of the bar.
    """

    def __init__(self, quiet: bool, total: float | None, *columns: ProgressColumn) -> None:
        self._bar: Bar | None = None
        if not quiet and sys.stderr.isatty():
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


class Progress(_Shown):
    """A progress bar with the rate and the time left; it is shown only in a terminal.

    Args:
        total_seconds: Length of all the audio in seconds.
        quiet: Whether nothing is shown.

    >>> with Progress(10.0, quiet=True) as progress:
    ...     progress.advance(5.0)
    """

    def __init__(self, total_seconds: float, quiet: bool = False) -> None:
        percent = TextColumn("{task.percentage:>3.0f} %")
        super().__init__(quiet, total_seconds, BarColumn(), percent, _Rate(), TimeRemainingColumn())

    def advance(self, seconds: float) -> None:
        """Advance the bar by *seconds* of audio."""
        if self._bar is not None:
            self._bar.advance(self._task, seconds)


class Gauge(_Shown):
    """The facts of a run over many items: a bar in a terminal, and JSON lines in a pipe.

    Args:
        quiet: Whether nothing is shown.

    Attributes:
        every_s: Seconds between two calls that are worth it.
    """

    def __init__(self, quiet: bool = False) -> None:
        super().__init__(quiet, None, BarColumn(20), TextColumn("{task.description}"))
        self._quiet, self.every_s = quiet, 0.5 if sys.stderr.isatty() else 30.0

    def __call__(self, facts: dict[str, Any]) -> None:
        """Show the facts of `cluster.progress.Progress`."""
        if self._bar is not None:
            over = facts["done"] + facts["failed"] + facts["skipped"]
            text = spoken(facts)
            self._bar.update(self._task, completed=over, total=facts["of"], description=text)
        elif not self._quiet:
            print(json.dumps(facts), file=sys.stderr, flush=True)


def spoken(facts: dict[str, Any]) -> str:
    """Return the facts of a run as people read them.

    >>> spoken({"done": 8, "failed": 1, "skipped": 0, "items_per_s": 2.0, "audio_s_per_s": 90.4,
    ...     "workers": 4, "eta_s": 60.0, "core_hours": 0.1, "core_hours_expected": 0.25})
    '8 done, 1 failed, 2.0/s, 90 x real time, 4 workers, 0:01:00 left, 0.10 of 0.25 core-hours'
    """
    names = ("done", "skipped", "failed")
    parts = [f"{facts[name]} {name}" for name in names if facts[name] or name == "done"]
    parts += [f"{facts['items_per_s']:.1f}/s", f"{facts['audio_s_per_s']:.0f} x real time"]
    parts.append(f"{facts['workers']} workers")
    cost = f"{facts['core_hours']:.2f}"
    if facts["eta_s"] is not None:
        parts.append(f"{timedelta(seconds=round(facts['eta_s']))} left")
        cost += f" of {facts['core_hours_expected']:.2f}"
    return ", ".join([*parts, f"{cost} core-hours"])
