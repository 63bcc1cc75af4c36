"""The time that rounds take, by the number of their hops."""

from __future__ import annotations

import numpy as np

KEPT = 0.99  # what is left of the weight of a round after the next one: of 100 rounds a third
FIRM = 4.0  # variance of the sizes, in hops squared, at which their line weighs one half


class Times:
    """The times of rounds, as they are measured while the server runs.

    A round takes a time of its own, for the calls of nets, and one for each hop. The line is that
    of least squares, by which newer rounds weigh more. Where all rounds have one size, the slope is
    unknown: then a round is taken to have no time of its own.

    They are times of the processor: if other programs use it as well, a round takes longer by about
    the same, whatever its size is.
    """

    def __init__(self) -> None:
        self._weight, self._means = 0.0, np.zeros(2)  # of hops and seconds
        self._spread = np.zeros(2)  # variance of the hops, their covariance with the seconds

    def note(self, hops: int, seconds: float) -> None:
        """Learn that a round of *hops* hops took *seconds*."""
        self._weight = KEPT * self._weight + 1
        share = 1 / self._weight
        off = np.array([hops, seconds]) - self._means
        self._means += share * off
        self._spread = (1 - share) * (self._spread + share * off[0] * off)

    def line(self) -> tuple[float, float]:
        """Return the seconds of a round without hops, and those of each hop."""
        hops, seconds = self._means
        variance, covariance = self._spread
        alone = seconds / max(hops, 1.0)  # of a hop, if nothing is shared
        found = (covariance + FIRM * alone) / (variance + FIRM)
        hop_s = float(np.clip(found, 0.0, alone))
        return float(seconds - hop_s * hops), hop_s

    def within(self, limit_s: float) -> int:
        """Return how many hops a round of *limit_s* seconds can have; none if that is too short."""
        fixed_s, hop_s = self.line()
        return int(max(0.0, limit_s - fixed_s) / max(hop_s, 1e-6))
