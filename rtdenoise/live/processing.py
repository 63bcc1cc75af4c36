"""`Processing`, an effect as live sound needs it.

It holds the effect, makes a session of it for a plan, and changes to another effect while that
runs. The dry/wet settings and the bypass may be set before and while it runs. Other files of this
room know of chain/ only how a board file is read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..chain import controls
from ..chain.board import Board, shared_plugin
from ..chain.boardfile import SUFFIX, open_board
from ..chain.describe import cards, describe
from ..chain.effect import Blended, Denoise, DryWet, Effect
from ..chain.registry import kinds
from ..core.blend import Strength
from ..core.counters import Counters
from ..core.stream import Stream
from ..errors import UsageError, last_line
from .negotiate import Pace, Plan
from .session import Session

PATIENCE_S = 2.0  # a change waits no longer for a device that makes no call
LOOK_S = 0.01
DEADLINE = 1.0  # share of its own period that a net may take if somebody waits for it


def is_board(effect: Any) -> bool:
    """Return whether *effect* is the path of a board file."""
    return isinstance(effect, str | Path) and Path(effect).suffix.lower() == SUFFIX


def blended(effect: Any) -> Blended:
    """Return an effect that has dry/wet settings, as `Processing` takes it."""
    if isinstance(effect, str | Path):
        effect = open_board(effect) if is_board(effect) else Denoise(effect)
    if not isinstance(effect, Effect):
        effect = Board([effect])
    return effect if isinstance(effect, Blended) else DryWet(effect)


def pace_of(effect: Effect) -> Pace:
    """Return the rate and hop of the net of *effect*; see `Processing.pace`."""
    usual = Pace()
    rate = effect.own_rate or usual.rate
    return Pace(rate, effect.own_hop or round(usual.period_s * rate))


def known_effects() -> list[dict[str, Any]]:
    """Return every kind of effect that a board can name, with the ranges of its parameters."""
    return [kind.as_dict() for kind in kinds().values()]


class Processing:
    """An effect between two live ends.

    Args:
        effect: The effect, a plugin of pedalboard, the name or path of a model, or the path of a
            board file (.toml).
        ready: Models and board files that are loaded at once, for later changes.

    Attributes:
        effect: The effect, with dry/wet settings and a bypass that may be set at any time.

    Raises:
        ModelError: If there is no such model, or it breaks the contract.
        UsageError: If *effect* is no effect.
    """

    def __init__(self, effect: Any, ready: Sequence[str | Path] = ()) -> None:
        self.effect = blended(effect)
        self._ready = [blended(name) for name in ready]  # a net in use is not loaded again
        self._left: Blended | None = None  # it is heard until a change is over
        self._run: tuple[Session, Plan, Stream] | None = None
        self._changing = threading.Lock()  # two changes; no audio thread takes it

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
        if self._run is None:
            raise UsageError("nothing runs yet: set the parameter of the effect itself")
        control = controls.find(self.inner, path)
        control.set(value, self._run[1].rate)
        return control.as_dict()["value"]

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
        return pace_of(self.effect)

    @property
    def strength(self) -> Strength:
        """The dry/wet settings, of both effects while one is faded to the other."""
        return self.effect.strength

    @strength.setter
    def strength(self, value: Strength) -> None:
        for effect in (self.effect, self._left):
            if effect is not None:
                effect.strength = value

    @property
    def bypass(self) -> bool:
        """Whether the output is the aligned input."""
        return self.effect.bypass

    @bypass.setter
    def bypass(self, value: bool) -> None:
        for effect in (self.effect, self._left):
            if effect is not None:
                effect.bypass = value

    def session(self, plan: Plan) -> Session:
        """Return a session with a stage for *plan*, which has run until it is at full speed."""
        counters, channels = Counters(), (plan.inputs, plan.outputs)
        stream = Stream(plan.rate, plan.rows, plan.block or None, DEADLINE if plan.paced else None)
        self.effect.warm_up(plan.rows)
        stage, prepare = self.effect.stage(stream, counters), self.effect.prepare_thread
        session = Session(stage, counters, plan.rate, channels, plan.period_s, prepare)
        session.warm_up(plan.block)
        self._run = session, plan, stream
        return session

    def change(self, effect: Any) -> bool:
        """Change to another effect while the session runs, and wait until it is heard.

        A model that is given by its name, and a board, take the dry/wet settings of now; any effect
        takes the bypass.

        Returns:
            Whether it is heard. False: no sound comes, and the change is made when it does.

        Raises:
            ModelError: If there is no such model, or it breaks the contract.
            UsageError: If *effect* is no effect, has a plugin that runs already, or fails; the old
                one stays.
            AudioError: If it cannot process this rate or channel count.
        """
        if self._run is None:
            raise UsageError("nothing runs yet, so that nothing can be changed")
        session, plan, stream = self._run
        with self._changing:
            new = blended(effect)
            if plugin := shared_plugin(new, self.effect):
                raise UsageError(
                    f"{plugin} is running: a plugin holds its sound itself, and cannot run twice. "
                    "Make a new one"
                )
            if new is not effect:
                new.strength = self.strength
            new.bypass = self.bypass
            counters = Counters()
            with new.one_thread():
                new.warm_up(plan.rows)
                stage = new.stage(stream, counters)
                pace = pace_of(new)
                session.change(stage, counters, pace.period_s, new.prepare_thread, plan.block)
            self._left, self.effect = self.effect, new
            return self._heard(session)

    def _heard(self, session: Session) -> bool:
        """Wait until the last change is over, and free what has run; return whether it is over."""
        switch, frames, seen_s = session.stage, session.frames, time.monotonic()
        while not switch.settled and time.monotonic() - seen_s < PATIENCE_S:
            if session.frames != frames:
                frames, seen_s = session.frames, time.monotonic()
            time.sleep(LOOK_S)
        if switch.settled and self._left is not None:
            if switch.fault is not None:
                self.effect, self._left = self._left, None
                switch.left.clear()
                raise UsageError(f"it failed, and the old effect stays: {last_line(switch.fault)}")
            self._left = None
        switch.left.clear()
        return switch.settled
