"""The one line of processing that microphone, file and effect share.

    [ clean -> resample -> window -> generator -> overlap-add -> resample -> mix ]

`Line` is a stage at the caller's rate. Whoever gives it the same samples gets the same samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..audio import Samples, check_channels, check_rate, db_to_gain
from ..core.overlap import blend, clean
from ..core.resample import Resampled
from ..core.ring import Ring
from ..core.stage import SPAN, Stage
from ..errors import UsageError
from .engine import Counters, Engine
from .torchscript import Generator

RAMP_S = 0.02  # a setting reaches its new value within this time, so that it cannot click
NO_LIMIT_DB = 100.0


@dataclass(frozen=True)
class Strength:
    """How much of the processing is heard.

    Attributes:
        mix: Percent of processed sound, 0..100; the rest is the aligned input.
        atten_lim_db: No more than this is removed: the input stays in at -atten_lim_db under it.
            0 leaves the input untouched, 100 or None is no limit (as DeepFilterNet counts).
        residual: Give what was removed in place of what was kept.
    """

    mix: float = 100.0
    atten_lim_db: float | None = None
    residual: bool = False

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        if not 0 <= self.mix <= 100:
            raise UsageError(
                f"mix = {self.mix:g}: wanted 0 (only the input) to 100 (only processed)"
            )
        if self.atten_lim_db is not None and not 0 <= self.atten_lim_db <= NO_LIMIT_DB:
            raise UsageError(
                f"atten_lim_db = {self.atten_lim_db:g}: wanted 0 (untouched) to 100 (no limit) dB"
            )

    @property
    def dry_gain(self) -> float:
        """Share of the aligned input in the output, 0..1."""
        limit = NO_LIMIT_DB if self.atten_lim_db is None else self.atten_lim_db
        kept = 0.0 if limit >= NO_LIMIT_DB else db_to_gain(-limit)
        return 1.0 - self.mix / 100.0 * (1.0 - kept)


class Line:
    """A generator on a stream of *channels* at *rate*, mixed with its aligned input.

    Args:
        generator: The net; it is run at its own rate.
        rate: Hz of the stream.
        channels: Rows of each block.
        strength: How much of the processing is heard; may be set while running.
        block: Promise that every push has this many samples, for the least delay at the net's own
            rate; None: any.
        deadline_s: Seconds a hop may take before the line falls back to dry hops; None: any.
        counters: Where to count, for several lines that count together; None: its own.

    Raises:
        AudioError: a rate or channel count that cannot be.
    """

    def __init__(
        self,
        generator: Generator,
        rate: int,
        channels: int,
        strength: Strength | None = None,
        block: int | None = None,
        deadline_s: float | None = None,
        counters: Counters | None = None,
    ) -> None:
        self.rate, self.channels = check_rate(rate), check_channels(channels)
        same_rate = self.rate == generator.card.sample_rate
        promised = block if same_rate else None
        self.engine = Engine(generator, channels, promised, deadline_s, counters=counters)
        self._wet: Stage = self.engine
        if not same_rate:
            self._wet = Resampled(self.engine, channels, self.rate, generator.card.sample_rate)
        self.strength = strength or Strength()
        self._dry = Ring(channels, self.latency + SPAN)
        self._gain = np.zeros(1, np.float32)
        self._step = 1.0 / (RAMP_S * self.rate)
        self.reset()

    @property
    def latency(self) -> int:
        """Samples of delay at the stream's rate, constant."""
        return self._wet.latency

    @property
    def counters(self) -> Counters:
        """What happened so far; may be read from another thread."""
        return self.engine.counters

    def push(self, block: Samples) -> Samples:
        """See `Stage.push`. NaN and infinity count as silence, and are counted."""
        if block.shape[1] > SPAN:
            parts = [self.push(block[:, i : i + SPAN]) for i in range(0, block.shape[1], SPAN)]
            return np.concatenate(parts, axis=1)
        dry = np.empty(block.shape, np.float32)
        if bad := clean(block, dry):
            self.counters.add("nonfinite", bad)
        wet = self._wet.push(dry)
        self._dry.write(dry)
        self._dry.read(dry)
        strength = self.strength
        blend(dry, wet, self._gain, strength.dry_gain, self._step, strength.residual)
        return wet

    def flush(self) -> Samples:
        """See `Stage.flush`."""
        whole = -(-self.latency // self.engine.block) * self.engine.block
        rest = self.push(np.zeros((self.channels, whole), np.float32))
        self.reset()
        return rest[:, : self.latency]

    def reset(self) -> None:
        """See `Stage.reset`. The counters go on."""
        self._wet.reset()
        self._dry.reset(silence=self.latency)
        self._gain[0] = self.strength.dry_gain
