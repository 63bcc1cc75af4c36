"""What the live end asks of an effect: the only file of this room that knows chain and nets.

`Processing` holds an effect and makes its stage for a plan; strength and bypass may be set before
and while it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..audio import Samples
from ..chain.board import Board
from ..chain.effect import Denoise, Effect
from ..core.overlap import blend, clean
from ..core.ring import Ring
from ..core.stage import SPAN, Stage
from ..nets.engine import Counters
from ..nets.line import RAMP_S, Strength
from ..nets.torchscript import prepare_thread
from .negotiate import Pace, Plan
from .session import Session


class Processing:
    """An effect in the live line.

    Args:
        effect: An effect, the name or path of a model, or a plugin of pedalboard.

    Raises:
        ModelError: no such model, or it breaks the contract.
        UsageError: what came is no effect.
    """

    def __init__(self, effect: Any) -> None:
        if isinstance(effect, str | Path):
            effect = Denoise(effect)
        self.effect: Effect = effect if isinstance(effect, Effect) else Board([effect])
        self._aside: Aside | None = None
        self._strength, self._bypass = Strength(), False

    @property
    def pace(self) -> Pace:
        """Rate and hop of its net, or of the first net of a board."""
        rate, hop = getattr(self.effect, "own_rate", None), getattr(self.effect, "own_hop", None)
        if isinstance(self.effect, Denoise):
            card = self.effect.generator.card
            rate, hop = card.sample_rate, card.hop
        usual = Pace()
        rate = rate or usual.rate
        return Pace(rate, hop or round(usual.period_s * rate))

    def session(self, plan: Plan) -> Session:
        """A stage for *plan* behind a callback, run until it is as fast as it will be."""
        counters = Counters()
        deadline_s = plan.period_s if plan.paced else None
        stage = self.effect.stage(plan.rate, plan.rows, plan.block or None, deadline_s, counters)
        self._aside = Aside(stage, plan.rate, plan.rows)
        self._set()
        self._aside.reset()
        channels = (plan.inputs, plan.outputs)
        session = Session(self._aside, counters, plan.rate, channels, plan.period_s, prepare_thread)
        session.warm_up(plan.block)
        return session

    @property
    def strength(self) -> Strength:
        """How much of the processing is heard; it glides."""
        if isinstance(self.effect, Denoise):
            return Strength(self.effect.mix, self.effect.atten_lim_db, self.effect.residual)
        return self._strength

    @strength.setter
    def strength(self, value: Strength) -> None:
        if isinstance(self.effect, Denoise):
            self.effect.mix, self.effect.atten_lim_db = value.mix, value.atten_lim_db
            self.effect.residual = value.residual
        else:
            self._strength = value
            self._set()

    @property
    def bypass(self) -> bool:
        """Whether the aligned input is heard; it glides."""
        return self._bypass

    @bypass.setter
    def bypass(self, value: bool) -> None:
        self._bypass = value
        self._set()

    def _set(self) -> None:
        if self._aside is not None:
            self._aside.strength, self._aside.bypass = self._strength, self._bypass


class Aside:
    """A stage beside its aligned input, with strength and bypass. It has the latency of the stage.

    The stage goes on hearing the stream while it is bypassed, so that it is in step afterwards.
    """

    def __init__(self, stage: Stage, rate: int, channels: int) -> None:
        self.stage, self.channels = stage, channels
        self.strength, self.bypass = Strength(), False
        self._dry = Ring(channels, stage.latency + SPAN)
        self._gain, self._away = np.zeros(1, np.float32), np.zeros(1, np.float32)
        self._step = 1.0 / (RAMP_S * rate)
        self._begin()

    def _begin(self) -> None:
        self._dry.reset(silence=self.latency)
        self._gain[0], self._away[0] = self.strength.dry_gain, float(self.bypass)

    @property
    def latency(self) -> int:
        """That of the stage."""
        return self.stage.latency

    def push(self, block: Samples) -> Samples:
        """See `Stage.push`; *block* has no more than `SPAN` samples."""
        wet, dry = self.stage.push(block), np.empty(block.shape, np.float32)
        if np.may_share_memory(wet, block):  # a wire gives back what it was given
            wet = wet.copy()
        clean(block, dry)
        self._dry.write(dry)
        self._dry.read(dry)
        if self.strength != Strength() or self._gain[0] > 0:
            gain, residual = self.strength.dry_gain, self.strength.residual
            blend(dry, wet, self._gain, gain, self._step, residual)
        if self.bypass or self._away[0] > 0:
            blend(dry, wet, self._away, float(self.bypass), self._step, False)
        return wet

    def flush(self) -> Samples:
        """See `Stage.flush`."""
        rest = self.push(np.zeros((self.channels, self.latency), np.float32))
        self.reset()
        return rest

    def reset(self) -> None:
        """See `Stage.reset`."""
        self.stage.reset()
        self._begin()
