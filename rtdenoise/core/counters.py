"""What happened in the nets of a stream, in plain arrays that any thread may read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import last_line

RECENT_HOPS = 4096  # hop times kept for percentiles: 44 s of hops of 512 samples at 48 kHz


class Counters:
    """Counts and hop times, written by the thread that processes and read by any other.

    The times of hops that ran have an index of their own. Under overload most hops are dry and
    have no time; when the number of all hops was the index, the unwritten places counted as 0 ms,
    and the median was best exactly when the net was worst.

    Attributes:
        NAMES: What is counted: `hops`, windows so far; `dry`, windows where the input went out in
            place of the net's output; `late`, windows that took longer than their deadline;
            `failed`, windows where the net raised or gave NaN or infinity; `nonfinite`, NaN and
            infinite input samples, replaced by 0.
        fault: The last exception that a net raised. None: no net raised.
        max_hop_s: The longest hop in seconds.
    """

    NAMES = ("hops", "dry", "late", "failed", "nonfinite")

    def __init__(self) -> None:
        self._counts = np.zeros(len(self.NAMES), np.int64)
        self._hop_s = np.zeros(RECENT_HOPS, np.float64)
        self._load = np.zeros(RECENT_HOPS, np.float64)
        self.clear()

    def add(self, name: str, count: int = 1) -> None:
        """Count *count* more of *name*."""
        self._counts[self.NAMES.index(name)] += count

    def __getitem__(self, name: str) -> int:
        return int(self._counts[self.NAMES.index(name)])

    def clear(self) -> None:
        """Begin again at nothing."""
        self._counts[:] = 0
        self._timed = 0
        self.max_hop_s = 0.0
        self.fault: Exception | None = None

    def record_hop(self, seconds: float, period_s: float) -> None:
        """Note that a hop took *seconds*, where the next one comes after *period_s*."""
        at = self._timed % RECENT_HOPS
        self._hop_s[at], self._load[at] = seconds, seconds / period_s
        self._timed += 1
        self.max_hop_s = max(self.max_hop_s, seconds)

    def hop_percentiles_s(self, *percent: float) -> list[float]:
        """Percentiles of the times of the recent hops that ran, in seconds; zeros before any."""
        return self._percentiles(self._hop_s, percent)

    def load_percentiles(self, *percent: float) -> list[float]:
        """The same of each hop's share of its net's own period; 1 is all of it."""
        return self._percentiles(self._load, percent)

    def _percentiles(self, values: NDArray[np.float64], percent: tuple[float, ...]) -> list[float]:
        recent = values[: min(self._timed, RECENT_HOPS)]
        if not len(recent):
            return [0.0] * len(percent)
        return [float(value) for value in np.percentile(recent, percent)]

    def why(self) -> str:
        """Why a net failed: what it raised, or that it gave NaN."""
        return "it gave NaN or infinity" if self.fault is None else last_line(self.fault)
