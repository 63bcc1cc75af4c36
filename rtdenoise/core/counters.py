"""Counts of what happened in the nets of a stream, in plain arrays that any thread may read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import last_line

RECENT_HOPS = 4096  # hop times kept for the percentiles: 44 s of 512-sample hops at 48 kHz


class Counters:
    """Counts and hop times, written by the thread that processes and read by any other.

    The hop times have an index of their own, because a dry hop has no time: if all hops shared
    one index, the empty places would count as 0 ms, and the median would be best exactly when the
    net is worst.

    Attributes:
        NAMES: The names of the counts. `hops` are the windows so far; `dry` are those where the
            input took the place of the net's output; `late` are those that took longer than
            their deadline; `failed` are those where the net raised or gave NaN or infinity;
            `nonfinite` are the NaN and infinite input samples, which were replaced by 0.
        counts: The counts in the order of `NAMES`, int64.
        fault: The last exception that a net raised. None: no net has raised.
        max_hop_s: Time of the longest hop in seconds.
    """

    NAMES = ("hops", "dry", "late", "failed", "nonfinite")

    def __init__(self) -> None:
        self.counts = np.zeros(len(self.NAMES), np.int64)
        self._hop_s = np.zeros(RECENT_HOPS, np.float64)
        self._load = np.zeros(RECENT_HOPS, np.float64)
        self.clear()

    def add(self, name: str, count: int = 1) -> None:
        """Add *count* to the count called *name*, one of `NAMES`."""
        self.counts[self.NAMES.index(name)] += count

    def __getitem__(self, name: str) -> int:
        return int(self.counts[self.NAMES.index(name)])

    def clear(self) -> None:
        """Set all counts and times back to zero."""
        self.counts[:] = 0
        self._timed = 0
        self.max_hop_s = 0.0
        self.fault: Exception | None = None

    def follow(self, other: Counters) -> None:
        """Add the counts of *other*, whose net ran before; the times stay those of the own net."""
        self.counts += other.counts
        self.fault = self.fault or other.fault

    def record_hop(self, seconds: float, period_s: float) -> None:
        """Record the time of one hop.

        Args:
            seconds: How long the net took.
            period_s: Time between two hops of that net in seconds.
        """
        at = self._timed % RECENT_HOPS
        self._hop_s[at], self._load[at] = seconds, seconds / period_s
        self._timed += 1
        self.max_hop_s = max(self.max_hop_s, seconds)

    def hop_percentiles_s(self, *percent: float) -> list[float]:
        """Return percentiles of the recent hop times in seconds; zeros before the first hop."""
        return self._percentiles(self._hop_s, percent)

    def load_percentiles(self, *percent: float) -> list[float]:
        """Return percentiles of the recent loads: hop time by the period of the hop's own net."""
        return self._percentiles(self._load, percent)

    def _percentiles(self, values: NDArray[np.float64], percent: tuple[float, ...]) -> list[float]:
        """Return percentiles of the recent ones of *values*; zeros if there are none."""
        recent = values[: min(self._timed, RECENT_HOPS)]
        if not len(recent):
            return [0.0] * len(percent)
        return [float(value) for value in np.percentile(recent, percent)]

    def why(self) -> str:
        """Return the reason why a net failed: what it raised, or that its output was not finite."""
        return "it gave NaN or infinity" if self.fault is None else last_line(self.fault)
