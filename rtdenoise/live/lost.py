"""`LostTime` finds the time in which a device gave no samples: sleep, a stop, a device gone.

A stream is behind its clock by its blocks and by what the device holds, a little more at one moment
and less at the next. If it falls behind and does not catch up, samples are lost. The clock of the
device differs from that of the machine by up to 1 part in 1000, so that only what happens within
about a second tells anything.
"""

from __future__ import annotations

import time

STALL_S = 0.05  # a stream that is later than this, and two blocks, may have lost samples
SETTLE_S = 1.0  # time in which a stream may catch up, and for which its lead is remembered
LEAST_S = 0.025  # less than this is no loss, but the jitter of the callbacks


def clock_s() -> float:
    """Return a time in seconds that goes on while the machine sleeps, where a system has one."""
    kind = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    return time.monotonic() if kind is None else time.clock_gettime(kind)


class LostTime:
    """Lost time, by a clock and the count of the samples that came.

    Args:
        rate: Sample rate in Hz.
        block: Samples per callback at most, as far as known.
    """

    def __init__(self, rate: int, block: int) -> None:
        self._rate, self._settle = rate, SETTLE_S * rate
        self._stall = STALL_S * rate + 2 * block
        self._came = 0  # at the last look
        self._least: list[float] = []  # how far behind at least: in this second and the one before
        self._since = 0.0  # start of this second
        self._stopped: float | None = None  # when the stream stopped or went on; None: it runs

    def look(self, now_s: float, came: int, last: bool = False) -> int | None:
        """Return how many samples were lost since the last look that returned a number.

        Args:
            now_s: Time in seconds.
            came: Samples per channel that came so far.
            last: Whether this is the last look, which must decide.

        Returns:
            The number; None: it is not known yet, because the stream may catch up.
        """
        now = now_s * self._rate
        behind, moved, self._came = now - came, came != self._came, came
        if not self._least:
            if came:
                self._least, self._since = [behind, behind], now
            return 0
        if self._stopped is None:
            if behind - min(self._least) <= self._stall:
                self._remember(now, behind)
                return 0
            self._stopped, self._low, self._gone_on = now, behind, moved
        if moved and not self._gone_on:
            self._stopped, self._low, self._gone_on = now, behind, True
        self._low = min(self._low, behind)
        if not last and (not self._gone_on or now - self._stopped < self._settle):
            return None
        lost = round(self._low - min(self._least)) if self._gone_on else 0
        self._least, self._since, self._stopped = [self._low, self._low], now, None
        return lost if lost > LEAST_S * self._rate else 0

    def _remember(self, now: float, behind: float) -> None:
        """Keep how far behind the stream was at least in the last one to two seconds."""
        if now - self._since >= self._settle:
            self._least, self._since = [behind, self._least[0]], now
        self._least[0] = min(self._least[0], behind)
