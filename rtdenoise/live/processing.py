"""`Processing`, an effect as live sound needs it; no other file of this room knows chain/.

It holds the effect, and makes a session of it for a plan. The dry/wet settings and the bypass may
be set before and while it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..chain.board import Board
from ..chain.describe import cards, describe
from ..chain.effect import Blended, Denoise, DryWet, Effect
from ..core.blend import Strength
from ..core.counters import Counters
from ..core.stream import Stream
from ..errors import UsageError
from .negotiate import Pace, Plan
from .session import Session

DEADLINE = 1.0  # share of its own period that a net may take if somebody waits for it


class Processing:
    """An effect between two live ends.

    Args:
        effect: The effect, a plugin of pedalboard, or the name or path of a model.

    Attributes:
        effect: The effect, with dry/wet settings and a bypass that may be set at any time.

    Raises:
        ModelError: If there is no such model, or it breaks the contract.
        UsageError: If *effect* is no effect.
    """

    def __init__(self, effect: Any) -> None:
        if isinstance(effect, str | Path):
            effect = Denoise(effect)
        if not isinstance(effect, Effect):
            effect = Board([effect])
        self.effect: Blended = effect if isinstance(effect, Blended) else DryWet(effect)

    def facts(self) -> dict[str, Any]:
        """Return what the effect is: `effect`, from which it can be made, and the cards of nets.

        `effect` is None where the effect does not tell what it was made of.
        """
        try:
            table: dict[str, Any] | None = describe(self.effect)
        except UsageError:
            table = None
        models = [{"name": card.name, "sha256": card.sha256} for card in cards(self.effect)]
        return {"effect": table, "models": models}

    def settings(self) -> tuple[Strength, bool]:
        """Return the dry/wet settings of the moment, and the bypass."""
        return self.effect.strength, self.effect.bypass

    @property
    def pace(self) -> Pace:
        """The rate and hop of its net; of a board, the first net's rate and the shortest hop."""
        usual = Pace()
        rate = self.effect.own_rate or usual.rate
        return Pace(rate, self.effect.own_hop or round(usual.period_s * rate))

    def session(self, plan: Plan) -> Session:
        """Return a session with a stage for *plan*, which has run until it is at full speed."""
        counters, channels = Counters(), (plan.inputs, plan.outputs)
        stream = Stream(plan.rate, plan.rows, plan.block or None, DEADLINE if plan.paced else None)
        self.effect.warm_up(plan.rows)
        stage, prepare = self.effect.stage(stream, counters), self.effect.prepare_thread
        session = Session(stage, counters, plan.rate, channels, plan.period_s, prepare)
        session.warm_up(plan.block)
        return session
