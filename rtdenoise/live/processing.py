"""`Processing`, an effect as live sound needs it; no other file of this room knows chain/.

It holds the effect, and makes a session of it for a plan. The dry/wet settings and the bypass may
be set before and while it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..chain import controls
from ..chain.board import Board
from ..chain.effect import Blended, Denoise, DryWet, Effect
from ..chain.registry import kinds
from ..core.counters import Counters
from ..core.stream import Stream
from ..errors import UsageError
from .negotiate import Pace, Plan
from .session import Session

DEADLINE = 1.0  # share of its own period that a net may take if somebody waits for it


def blended(effect: Any) -> Blended:
    """Return an effect that has dry/wet settings, as `Processing` takes it."""
    if isinstance(effect, str | Path):
        effect = Denoise(effect)
    if not isinstance(effect, Effect):
        effect = Board([effect])
    return effect if isinstance(effect, Blended) else DryWet(effect)


def known_effects() -> list[dict[str, Any]]:
    """Return every kind of effect that a board can name, with the ranges of its parameters."""
    return [kind.as_dict() for kind in kinds().values()]


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
        self.effect = blended(effect)
        self._stream: Stream | None = None

    @property
    def inner(self) -> Effect:
        """The effect without the dry/wet mix around it."""
        return self.effect.effect if type(self.effect) is DryWet else self.effect

    @property
    def model(self) -> str | None:
        """The name of the model on its card. None: the effect is none of a single model."""
        inner = self.inner
        return inner.net.card.name if isinstance(inner, Denoise) else None

    @property
    def board(self) -> list[str] | None:
        """The names of the effects on the board. None: the effect is a single model."""
        return None if self.model is not None else controls.names(self.inner)

    def parameters(self) -> list[dict[str, Any]]:
        """Return the parameters that may be set while it runs; see `controls.Control.as_dict`."""
        return [control.as_dict() for control in controls.controls(self.inner)]

    def set(self, path: str, value: Any) -> Any:
        """Set a parameter while the effect runs, and return its value.

        Raises:
            UsageError: If there is none at *path*, it cannot have this value, or nothing runs.
        """
        if self._stream is None:
            raise UsageError("nothing runs yet: set the parameter of the effect itself")
        control = controls.find(self.inner, path)
        control.set(value, self._stream.rate)
        return control.as_dict()["value"]

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
        self._stream = stream
        self.effect.warm_up(plan.rows)
        stage, prepare = self.effect.stage(stream, counters), self.effect.prepare_thread
        session = Session(stage, counters, plan.rate, channels, plan.period_s, prepare)
        session.warm_up(plan.block)
        return session
