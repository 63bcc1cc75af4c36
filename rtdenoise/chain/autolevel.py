"""`AutoLevel`, which brings a voice slowly to a loudness, as a hand on a fader does.

It measures the loudness of what comes in (BS.1770, blocks of 400 ms) and moves its gain towards the
one that is missing. A pause is not part of the voice: while it lasts, the gain stays where it is,
so that the noise of a room is not raised. The output is never late, and never above the ceiling: a
peak that would be is turned down at once, and comes back within a tenth of a second.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numba import types

from ..audio import Samples, db_to_gain
from ..core.counters import Counters
from ..core.jit import DOUBLES, SAMPLES_OUT, kernel
from ..core.kernels import clean
from ..core.loudness import HOP_S, HOPS, PAUSE_LU, lufs, weigh, weights
from ..core.stream import Stream
from .effect import Effect
from .parameter import Parameter

MEMORY_S = 5.0  # of the voice, pauses left out: it decides how loud the voice is
PATIENCE_S = 10.0  # after which what seemed a pause is a voice that became softer
KNOCK_LU = 10.0  # above the voice: a block counts as no louder than that
DOWN = 4.0  # times as fast as up: what is too loud is worse than what is too soft
RELEASE_S = 0.1  # of the ceiling, after a peak
FADED = 1e-30  # state of a filter that is as good as silent, and would only cost time


@kernel(types.void(SAMPLES_OUT, DOUBLES, *[types.float64] * 5))
def ride(block, gains, wanted, up, down, ceiling, release):  # type: ignore[no-untyped-def]
    """Multiply *block* (channels, n) by a gain that glides to *wanted*, and hold it at *ceiling*.

    ``gains[0]`` grows by the factor *up* a sample or shrinks by *down*. ``gains[1]`` is what peaks
    are turned down by; it comes back to 1 by the share *release* of what is missing.
    """
    g, held = gains[0], gains[1]
    for i in range(block.shape[1]):
        g = min(wanted, g * up) if g < wanted else max(wanted, g * down)
        peak = 0.0
        for c in range(block.shape[0]):
            peak = max(peak, abs(float(block[c, i])))
        held += (1.0 - held) * release
        if g * held * peak > ceiling:
            held = ceiling / (g * peak)
        for c in range(block.shape[0]):
            block[c, i] *= g * held
    gains[0], gains[1] = g, held


class AutoLevel(Effect):
    """An effect that brings a voice to a loudness, and holds its peaks below a ceiling.

    The parameters may be set while it runs.

    Args:
        target_db: Loudness to reach, in LUFS.
        max_gain_db: Most that is added, in dB.
        speed_db_per_s: How fast the gain rises, in dB a second; it falls four times as fast.
        gate_db: Loudness in LUFS below which the input is a pause, and the gain stays.
        ceiling_db: Highest peak of the output in dBFS. 20 leaves peaks to a limiter after it.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("target_db", -18.0, -40, -5, "LUFS", "the loudness to reach"),
        Parameter("max_gain_db", 20.0, 0, 40, "dB", "the most that is added"),
        Parameter("speed_db_per_s", 3.0, 0.1, 60, "dB/s", "how fast it rises; it falls faster"),
        Parameter("gate_db", -50.0, -70, -20, "LUFS", "what is softer is a pause"),
        Parameter("ceiling_db", -1.0, -20, 20, "dBFS", "the highest peak; 20: none is held"),
    )

    def __init__(
        self,
        target_db: float = -18.0,
        max_gain_db: float = 20.0,
        speed_db_per_s: float = 3.0,
        gate_db: float = -50.0,
        ceiling_db: float = -1.0,
    ) -> None:
        self.target_db, self.max_gain_db = target_db, max_gain_db
        self.speed_db_per_s = speed_db_per_s
        self.gate_db, self.ceiling_db = gate_db, ceiling_db
        for parameter in self.parameters:
            parameter.check(type(self).__name__, getattr(self, parameter.name))

    def stage(self, stream: Stream, counters: Counters | None = None) -> Levelled:
        """See `Effect.stage`."""
        return Levelled(self, stream, counters)

    def __repr__(self) -> str:
        return f"<rtdenoise.AutoLevel target_db={self.target_db:g}>"


class Levelled:
    """The stage of an `AutoLevel`. See `Stage` for its methods.

    Args:
        settings: The effect, whose parameters are read once a hop.
        stream: The stream to process.
        counters: Where NaN and infinite samples are counted. None: in counters of its own.
    """

    latency = 0

    def __init__(
        self, settings: AutoLevel, stream: Stream, counters: Counters | None = None
    ) -> None:
        self.settings, self.stream = settings, stream
        self._counters = Counters() if counters is None else counters
        self._hop, self._weights = round(HOP_S * stream.rate), weights(stream.rate)
        self.reset()

    def reset(self) -> None:
        """See `Stage.reset`."""
        self._filters = np.zeros((self.stream.channels, 4))
        self._energy, self._filled = np.zeros(1), 0
        self._hops: list[float] = []
        self._mean, self._count, self._soft = 0.0, 0, 0
        self._gains, self._wanted = np.ones(2), 1.0

    def push(self, block: Samples) -> Samples:
        """See `Stage.push`. NaN and infinite samples become silence, and are counted."""
        out: Samples = np.empty(block.shape, np.float32)
        if bad := clean(block, out):
            self._counters.add("nonfinite", bad)
        at, rate = 0, self.stream.rate
        while at < out.shape[1]:
            part = out[:, at : at + self._hop - self._filled]
            weigh(part, self._weights, self._filters, self._energy, 0, self._hop)
            step = db_to_gain(self.settings.speed_db_per_s / rate)
            ceiling = db_to_gain(self.settings.ceiling_db)
            release = 1.0 / (RELEASE_S * rate)
            ride(part, self._gains, self._wanted, step, step**-DOWN, ceiling, release)
            size = part.shape[1]
            at, self._filled = at + size, self._filled + size
            if self._filled == self._hop:
                self._end_hop()
        return out

    def _end_hop(self) -> None:
        """Take the energy of a hop that is whole, and decide the gain to move to."""
        self._hops = [*self._hops, float(self._energy[0]) / self._hop][-HOPS:]
        self._energy[0], self._filled = 0.0, 0
        self._filters[np.abs(self._filters) < FADED] = 0.0
        power = sum(self._hops) / HOPS
        if len(self._hops) == HOPS and lufs(power) >= self.settings.gate_db and self._voice(power):
            if self._count >= HOPS:  # a knock on the table is not the voice
                power = min(power, self._mean * 10 ** (KNOCK_LU / 10))
            self._count = min(self._count + 1, round(MEMORY_S / HOP_S))
            self._mean += (power - self._mean) / self._count
        if self._count:
            missing_db = self.settings.target_db - lufs(self._mean)
            self._wanted = db_to_gain(min(missing_db, self.settings.max_gain_db))

    def _voice(self, power: float) -> bool:
        """Return whether a block is as loud as the voice so far, or another one after a while."""
        if self._count and lufs(power) < lufs(self._mean) + PAUSE_LU:
            self._soft += 1
            if self._soft < PATIENCE_S / HOP_S:
                return False
            self._count = 0  # the mean begins anew
        self._soft = 0
        return True
