"""`Ear`, what a screen has read of a tap so far: levels, spectra, and the last calls."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import numpy as np

from ..core.tape import DRY, FAILED, LATE, XRUN_IN, XRUN_OUT, Calls
from .paint import Hops, Level, hops_of
from .source import Tap
from .spectrum import Spectrogram

LEVEL_S = 0.3  # time of a level
HOPS_S = 20.0  # time of the histogram
# What a status counts, by the flags of the calls that it will count next time.
COUNTED = {"xruns": XRUN_IN | XRUN_OUT, "late": LATE, "dry": DRY, "failed": FAILED}


class Ear:
    """The levels, spectra and calls of one tap.

    Attributes:
        dry: Level of the input, as late as the output, so that both levels are of the same sound.
        wet: Level of the output.
        spectra: The spectrogram. None: nothing was read so far.
    """

    def __init__(self) -> None:
        self.dry, self.wet = Level(), Level()
        self.spectra: Spectrogram | None = None
        self._calls: deque[Calls] = deque()
        self._next = 0
        self._counts: Counter[str] = Counter()
        self._heard_s: float | None = None

    def counts(self) -> Counter[str]:
        """Return how many calls had each of `COUNTED` since the last look, and forget them."""
        counts, self._counts = self._counts, Counter()
        return counts

    def news(self, tap: Tap) -> list[str]:
        """Return what happened since the last look, as sentences; nothing at the first one."""
        events = tap.events()
        before, self._heard_s = self._heard_s, events[-1]["unix_s"] if events else 0.0
        if before is None:
            return []
        return [str(event["text"]) for event in events if event["unix_s"] > before]

    def listen(self, tap: Tap, now_s: float) -> None:
        """Read what is new in *tap* at the time *now_s*."""
        if self.spectra is None:
            self.spectra = Spectrogram(tap.rate)
        for level, sound in zip((self.dry, self.wet), tap.last(LEVEL_S, True), strict=True):
            level.update(sound, now_s)
        position = tap.position
        seconds = self.spectra.wants(position)
        if seconds > 0:
            self.spectra.add(*tap.last(seconds, True), position)
        calls = tap.calls(self._next)
        if len(calls):
            for name, bits in COUNTED.items() if self._calls else ():  # the status has the first
                self._counts[name] += int(np.count_nonzero(calls["flags"] & bits))
            self._next = int(calls["number"][-1]) + 1
            self._calls.append(calls)
            oldest_s = float(calls["began_s"][-1]) - HOPS_S
            while float(self._calls[0]["began_s"][-1]) < oldest_s:
                self._calls.popleft()

    def guess(self, status: dict[str, Any], now_s: float) -> None:
        """Take the peaks of *status*, of a run without a tap, at the time *now_s*."""
        self.dry.peak(status["in_db"], now_s)
        self.wet.peak(status["out_db"], now_s)

    def hops(self) -> Hops | None:
        """Return the hop times of the last `HOPS_S`."""
        return hops_of(np.concatenate(self._calls)) if self._calls else None
