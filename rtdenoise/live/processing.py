"""What the live end asks of an effect: the only file of this room that knows chain.

`Processing` holds an effect and makes its session for a plan; strength and bypass may be set
before and while it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..chain.board import Board
from ..chain.effect import Blended, Denoise, DryWet, Effect
from ..core.counters import Counters
from ..core.stream import Stream
from .negotiate import Pace, Plan
from .session import Session

DEADLINE = 1.0  # share of its own period that a net may take when somebody waits


class Processing:
    """An effect in the live line.

    Args:
        effect: An effect, the name or path of a model, or a plugin of pedalboard.

    Attributes:
        effect: The same with a strength and a bypass, which may be set at any time.

    Raises:
        ModelError: no such model, or it breaks the contract.
        UsageError: what came is no effect.
    """

    def __init__(self, effect: Any) -> None:
        if isinstance(effect, str | Path):
            effect = Denoise(effect)
        if not isinstance(effect, Effect):
            effect = Board([effect])
        self.effect: Blended = effect if isinstance(effect, Blended) else DryWet(effect)

    @property
    def pace(self) -> Pace:
        """Rate and hop of its net, or of the first net of a board."""
        usual = Pace()
        rate = self.effect.own_rate or usual.rate
        return Pace(rate, self.effect.own_hop or round(usual.period_s * rate))

    def session(self, plan: Plan) -> Session:
        """A stage for *plan* behind a callback, run until it is as fast as it will be."""
        counters, channels = Counters(), (plan.inputs, plan.outputs)
        stream = Stream(plan.rate, plan.rows, plan.block or None, DEADLINE if plan.paced else None)
        self.effect.warm_up(plan.rows)
        stage, prepare = self.effect.stage(stream, counters), self.effect.prepare_thread
        session = Session(stage, counters, plan.rate, channels, plan.period_s, prepare)
        session.warm_up(plan.block)
        return session
