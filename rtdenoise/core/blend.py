"""A dry/wet mix around any stage: attenuation limit, residual and bypass, with aligned input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..audio import Samples, db_to_gain
from ..errors import UsageError
from .counters import Counters
from .kernels import clean, crossfade
from .ring import Ring
from .stage import SPAN, Stage

RAMP_S = 0.02  # a setting glides to its new value over this time, so that the change does not click
NO_LIMIT_DB = 100.0


@dataclass(frozen=True)
class Strength:
    """The dry/wet settings of an effect.

    Attributes:
        mix: Percentage of wet (processed) sound in the output, 0 to 100; the rest is the dry
            (aligned) input.
        atten_lim_db: Most that is removed, in dB: the dry input stays in the output at this much
            below its level. 0 leaves the input untouched; 100 or None sets no limit, as in
            DeepFilterNet.
        residual: Whether the output is what was removed, instead of what was kept.

    Raises:
        UsageError: If a value is out of range.
    """

    mix: float = 100.0
    atten_lim_db: float | None = None
    residual: bool = False

    def __post_init__(self) -> None:
        """Refuse values that are out of range."""
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
        """The share of the dry input in the output, 0 to 1."""
        limit = NO_LIMIT_DB if self.atten_lim_db is None else self.atten_lim_db
        kept = 0.0 if limit >= NO_LIMIT_DB else db_to_gain(-limit)
        return 1.0 - self.mix / 100.0 * (1.0 - kept)


class Blend:
    """A stage that mixes the output of another stage with its aligned input.

    Its latency is that of the other stage. `strength` and `bypass` may be set while it runs; the
    sound then glides from the old setting to the new one.

    Args:
        stage: The stage that gives the wet sound.
        strength: The dry/wet settings. None: only the wet sound.
        counters: Where NaN and infinite input samples are counted. None: in counters of its own.

    Attributes:
        bypass: Whether the output is the dry input. The other stage still gets every block, so
            that its sound is up to date when the bypass ends.
        applied: The strength and the bypass of the last push; another thread may set new ones.
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
        """Return the shares of the dry signal and of the residual that the settings ask for."""
        self.applied = strength, bypass = self.strength, self.bypass
        if bypass:
            return 1.0, 0.0
        return strength.dry_gain, float(strength.residual)

    def _begin(self) -> None:
        """Begin a stream: the delay is silent, and the settings hold without a glide."""
        self._dry.reset(silence=self.latency)
        self._gains[:] = self._targets()

    def push(self, block: Samples) -> Samples:
        """See `Stage.push`. NaN and infinite samples become silence, and are counted."""
        if block.shape[1] > SPAN:
            parts = [self.push(block[:, i : i + SPAN]) for i in range(0, block.shape[1], SPAN)]
            return np.concatenate(parts, axis=1)
        dry = np.empty(block.shape, np.float32)
        if bad := clean(block, dry):
            self.counters.add("nonfinite", bad)
        # A copy, because a stage may return its input.
        wet = np.array(self.stage.push(dry), np.float32)
        self._dry.write(dry)
        self._dry.read(dry)
        crossfade(dry, wet, self._gains, *self._targets(), self._step)
        return wet

    def reset(self) -> None:
        """See `Stage.reset`. The counters keep their numbers."""
        self.stage.reset()
        self._begin()
