"""The ring between two devices: the input's callback resamples into it, the output's reads it.

input's thread:   callback -> [ channels ] -> resample by the steered ratio -> ring
output's thread:  ring -> callback of the session -> output

`clocks.py` says by which ratio, and which place of the ring is to be played. A place that does not
hold what it should is silence, so that all that follows stays in line.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..audio import Samples
from ..core.resample import Converter, converter_lag
from ..core.ring import Ring
from .channels import Inlet
from .clocks import TwoClocks
from .devices import Callback
from .session import Frames, lost_before

LEAST_BOUND_S = 0.01  # a smaller surplus is steered away, and a larger one than the margin dropped
SPARE_S = 1.0  # sound that the ring can hold beyond its target, while the output does not play
JOIN = 96  # samples over which one sound fades into another where the stream is broken


class ClockRing:
    """A ring between an input and an output that have a clock each.

    Args:
        inlet: Channels of the input that are taken.
        rates: Sample rates of the input and the output in Hz.
        block: Samples of a callback of the input, at its own rate.
        margin_s: Time in seconds that a callback may come late.
        pull: Callback of the session, which gets what the ring holds as its input.
        clock: Function that returns the time in seconds.

    Attributes:
        latency: Time that a sample spends here, in samples at the rate of the output.
        xruns: Number of the input's callbacks whose driver had lost samples.
        calls: Number of the input's callbacks.
        underruns: Number of blocks to play that were not there in time; what lacked was silence.
        overruns: Number of blocks of the input that were lost because the output did not play.
        fault: The exception that a callback raised last. None: none has raised.
        clocks: The clocks of both devices.
    """

    def __init__(
        self,
        inlet: Inlet,
        rates: tuple[int, int],
        block: int,
        margin_s: float,
        pull: Callback,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        channels = len(inlet.rows)
        margin = round(margin_s * rates[1])
        target = round(block * rates[1] / rates[0]) + margin
        self.latency = target + converter_lag(*rates)
        self.xruns = self.calls = self.underruns = self.overruns = 0
        self.fault: Exception | None = None
        self._inlet, self._rates, self._pull, self._clock = inlet, rates, pull, clock
        bound = max(margin, round(LEAST_BOUND_S * rates[1]))
        self.clocks = TwoClocks(rates, target, bound)
        self._converter = Converter(channels, *rates)
        self._converter.push(np.zeros((channels, block), np.float32))
        self._converter.reset()
        self._ring = Ring(channels, round(SPARE_S * rates[1]) + 2 * target)
        self._taken = 0  # samples that were read from the ring
        self._tail = np.zeros((channels, 1), np.float32)  # the last samples that were played
        self._alone, self._seen = 0, 0  # samples played since the input's last callback, its number
        self._flows = False  # whether the last block ended with the sound before `_taken`

    def heard(
        self, indata: Frames, _outdata: Frames | None, frames: int, _time: Any, status: Any
    ) -> None:
        """Take a block of the input, as sounddevice calls it."""
        self.calls += 1
        self.xruns += bool(status and (status.input_overflow or status.input_underflow))
        try:
            self._converter.ratio = self.clocks.heard(self._clock(), frames)
            block = self._converter.push(self._inlet.take(indata))
            fits = self._ring.write(block)
            self.overruns += not fits
            self.clocks.wrote(block.shape[1] if fits else 0)
        except Exception as fault:  # the audio thread must go on
            self.fault = fault

    def played(
        self, _indata: Frames | None, outdata: Frames, frames: int, when: Any, status: Any
    ) -> None:
        """Give a block to the session and play what it returns, as sounddevice calls it."""
        block = None
        try:
            if lost := lost_before(status):
                self.read(lost)
            block = self.read(frames).T
        except Exception as fault:  # the audio thread must go on
            self.fault = fault
        self._pull(block, outdata, frames, when, status)

    def read(self, frames: int) -> Samples:
        """Return the next block (channels, *frames*) of the input, at the rate of the output."""
        now_s = self._clock()
        out = np.zeros((self._tail.shape[0], frames), np.float32)
        self._alone = self._alone + frames if self.calls == self._seen else 0
        self._seen = self.calls
        start = self.clocks.played(now_s, frames)
        if start is None or not frames:
            return out
        flows = self._flows and start == self._taken
        self._drop(start - self._taken)
        lead = min(max(self._taken - start, 0), frames)  # this part was played, or never was
        reached = self._taken >= start
        there = min(frames - lead, self._ring.available) if reached else 0
        self._ring.read(out[:, lead : lead + there])
        self._taken += there
        end = lead + there
        if not flows:
            self._join(out, 0)
        if 0 < lead < end:
            self._join(out, lead)
        if end < frames:
            self._join(out, end)
        self._flows = end == frames and there > 0
        self._tail = out[:, -1:]
        short = end < frames
        self.underruns += short
        self.clocks.starved(now_s, short)
        return out

    def _drop(self, count: int) -> None:
        """Drop *count* samples of the ring, or all if it holds fewer: their time is over."""
        count = min(count, self._ring.available)
        if count > 0:
            self._ring.read(np.empty((self._tail.shape[0], count), np.float32))
            self._taken += count

    def _join(self, out: Samples, at: int) -> None:
        """Fade from the sample before *at* into *out*, in which the sound begins anew there."""
        last = out[:, at - 1 : at].copy() if at else self._tail
        count = min(JOIN, out.shape[1] - at)
        fade = np.linspace(1, 0, count, dtype=np.float32)
        part = out[:, at : at + count]
        part += fade * (last - part)

    @property
    def alone_s(self) -> float:
        """Time in seconds that the output has played since the input gave anything."""
        return self._alone / self._rates[1]

    @property
    def latency_ms(self) -> float:
        """Time that a sample spends here, in ms."""
        return 1e3 * self.latency / self._rates[1]

    def summary(self) -> dict[str, Any]:
        """Return the counts, and by how many ppm the input's clock is faster than the output's."""
        return {
            "underruns": self.underruns,
            "overruns": self.overruns,
            "recentred": self.clocks.recentred,
            "drift_ppm": round(1e6 * self.clocks.steering.correction, 1),
            "fault": None if self.fault is None else str(self.fault),
        }
