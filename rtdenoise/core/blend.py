"""Any stage beside its aligned input: wet and dry, attenuation limit, residual, bypass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..audio import Samples, db_to_gain
from ..errors import UsageError
from .counters import Counters
from .kernels import clean, crossfade
from .ring import Ring
from .stage import SPAN, Stage

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

    Raises:
        UsageError: a value out of range.
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


class Blend:
    """A stage that mixes another one with its aligned input. It has the latency of the other.

    Args:
        stage: What processes.
        strength: How much of the processing is heard; it may be set while running, and glides.
        counters: Where NaN and infinite input samples are counted. None: in its own.

    Attributes:
        bypass: Give the aligned input. The stage goes on hearing the stream, so that it is in step
            when the bypass ends. It may be set while running, and glides.
    """

    def __init__(
        self, stage: Stage, strength: Strength | None = None, counters: Counters | None = None
    ) -> None:
        self.stage, self.stream, self.latency = stage, stage.stream, stage.latency
        self.strength, self.bypass = strength or Strength(), False
        self.counters = Counters() if counters is None else counters
        self._dry = Ring(self.stream.channels, self.latency + SPAN)
        self._gains = np.zeros(2, np.float32)
        self._step = 1.0 / (RAMP_S * self.stream.rate)
        self._begin()

    def _targets(self) -> tuple[float, float]:
        """The shares of the dry signal and of the residual that are asked for now."""
        if self.bypass:
            return 1.0, 0.0
        return self.strength.dry_gain, float(self.strength.residual)

    def _begin(self) -> None:
        self._dry.reset(silence=self.latency)
        self._gains[:] = self._targets()

    def push(self, block: Samples) -> Samples:
        """See `Stage.push`. NaN and infinity count as silence, and are counted."""
        if block.shape[1] > SPAN:
            parts = [self.push(block[:, i : i + SPAN]) for i in range(0, block.shape[1], SPAN)]
            return np.concatenate(parts, axis=1)
        dry = np.empty(block.shape, np.float32)
        if bad := clean(block, dry):
            self.counters.add("nonfinite", bad)
        wet = np.array(self.stage.push(dry), np.float32)  # a stage may hand back what it was given
        self._dry.write(dry)
        self._dry.read(dry)
        crossfade(dry, wet, self._gains, *self._targets(), self._step)
        return wet

    def reset(self) -> None:
        """See `Stage.reset`. The counters go on."""
        self.stage.reset()
        self._begin()
