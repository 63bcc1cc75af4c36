"""Times against a deadline, and the verdict that `rtdenoise bench` and `rtdenoise doctor` share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

Verdict = Literal["yes", "barely", "no"]
BETTER: dict[Verdict, tuple[Verdict, ...]] = {
    "yes": (),
    "barely": ("yes",),
    "no": ("yes", "barely"),
}
ROOM = 0.5  # share of the deadline that leaves room for other programs


def verdict(p99_ms: float, deadline_ms: float) -> Verdict:
    """Return whether hops are real-time: "barely" leaves no room for other programs.

    >>> verdict(4.0, 10.0), verdict(9.0, 10.0), verdict(11.0, 10.0)
    ('yes', 'barely', 'no')
    """
    if p99_ms <= ROOM * deadline_ms:
        return "yes"
    return "barely" if p99_ms <= deadline_ms else "no"


@dataclass(frozen=True)
class Timing:
    """The times of an action that was repeated, in ms.

    Attributes:
        name: What was timed.
        p50_ms: Median time in ms.
        p99_ms: 99th percentile of the times in ms.
        max_ms: Longest time in ms.
        deadline_ms: Longest time that is real-time, in ms. None: the action has no deadline.
    """

    name: str
    p50_ms: float
    p99_ms: float
    max_ms: float
    deadline_ms: float | None = None

    @property
    def verdict(self) -> Verdict | None:
        """Whether it is real-time; see `verdict`. None: the action has no deadline."""
        return None if self.deadline_ms is None else verdict(self.p99_ms, self.deadline_ms)

    @property
    def held_up(self) -> bool:
        """Whether most are fast and some too slow, as when other programs take the processor."""
        return self.verdict == "no" and verdict(self.p50_ms, self.deadline_ms or 0.0) == "yes"

    @property
    def share_percent(self) -> float:
        """The share of the deadline that the 99th percentile takes, in percent."""
        return 100 * self.p99_ms / self.deadline_ms if self.deadline_ms else 0.0

    def as_dict(self) -> dict[str, float | str | None]:
        """Return the times and the verdict, for JSON."""
        return {**asdict(self), "verdict": self.verdict}


def timing(name: str, times_s: Sequence[float], deadline_s: float | None = None) -> Timing:
    """Return the percentiles of *times_s*, the times of single actions in seconds."""
    p50, p99, worst = (1e3 * float(v) for v in np.percentile(times_s, (50, 99, 100)))
    return Timing(name, p50, p99, worst, None if deadline_s is None else 1e3 * deadline_s)
