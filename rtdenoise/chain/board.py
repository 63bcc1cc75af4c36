"""Chains: `Board` and `Mix` hold pedalboard's plugins, VST3s and our effects in any order.

Nothing written in Python can sit inside a native chain (native.py says what happens instead), so
the chain is ours, and runs of neighbouring native plugins in it are native.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableSequence
from pathlib import Path
from typing import Any, SupportsIndex, overload

import numpy as np

from ..audio import Samples
from ..core.stage import Chain, Stage, Sum
from ..errors import UsageError
from ..nets.engine import Counters
from . import native
from .boardfile import EffectSettings, load_board
from .effect import Denoise, Effect


class Board(Effect, MutableSequence[Any]):
    """Effects one after the other: pedalboard's plugins, ours, boards and mixes, in any order.

    A mutable sequence like pedalboard's own board. Neighbouring native plugins run as one native
    call. None is a free place. An edit ends the stream: the next block begins a new one;
    parameters of effects may be set at any time.

    Args:
        effects: In the order of the sound.

    Raises:
        UsageError: something that is no effect, one that is on the board already, or a Python
            subclass of a native plugin (pedalboard would silently ignore it).

    >>> Board([None])
    Board([None])
    """

    def __init__(self, effects: Iterable[Any] = ()) -> None:
        super().__init__()
        self._effects: list[Any] = []
        self.extend(effects)

    def __len__(self) -> int:
        return len(self._effects)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        return self._effects[index]

    def __setitem__(self, index: SupportsIndex | slice, effect: Any) -> None:
        changed = list(self._effects)
        changed[index] = effect
        self._replace(changed)

    def __delitem__(self, index: SupportsIndex | slice) -> None:
        changed = list(self._effects)
        del changed[index]
        self._replace(changed)

    def insert(self, index: SupportsIndex, effect: Any) -> None:
        """Put *effect* before *index*."""
        changed = list(self._effects)
        changed.insert(index, effect)
        self._replace(changed)

    def _replace(self, effects: list[Any]) -> None:
        """Take the new list, if every part of it can stand here; otherwise change nothing."""
        for effect in effects:
            if native.is_plugin(effect):
                native.check(effect)
            elif effect is not None and not isinstance(effect, Effect):
                raise UsageError(
                    f"{effect!r} is neither a pedalboard plugin nor an rtdenoise effect"
                )
            if effect is self:
                raise UsageError("a board cannot stand on itself")
        there = [id(effect) for effect in effects if effect is not None]
        if len(set(there)) < len(there):
            raise UsageError("the same effect stands on the board twice; make a second one")
        self._effects = effects
        self.reset()

    def _groups(self) -> list[Effect | list[Any]]:
        """Our effects one by one, and runs of neighbouring native plugins."""
        groups: list[Effect | list[Any]] = []
        for effect in self._effects:
            if isinstance(effect, Effect):
                groups.append(effect)
            elif effect is not None:
                if groups and isinstance(groups[-1], list):
                    groups[-1].append(effect)
                else:
                    groups.append([effect])
        return groups

    def stage(
        self,
        rate: int,
        channels: int,
        block: int | None = None,
        deadline_s: float | None = None,
        counters: Counters | None = None,
    ) -> BoardStage:
        """See `Effect.stage`. Native plugins hold their own state: use one stage at a time."""
        counters = Counters() if counters is None else counters
        stages: list[Stage] = []
        late = 0
        for group in self._groups():
            # A stage begins `late` samples into the stream: blocks keep their size only if that
            # is a whole number of them.
            promised = block if block and late % block == 0 else None
            stage: Stage = (
                native.Native(group, channels, rate)
                if isinstance(group, list)
                else group.stage(rate, channels, promised, deadline_s, counters)
            )
            late += stage.latency
            stages.append(stage)
        return BoardStage(stages, channels, counters)

    def whole(self, audio: Samples, rate: int, buffer_size: int, counters: Counters) -> Samples:
        """See `Effect.whole`. Native runs go through pedalboard whole, PitchShift too."""
        for group in self._groups():
            if isinstance(group, list):
                audio = native.whole(group, audio, rate, buffer_size)
            else:
                audio = group.whole(audio, rate, buffer_size, counters)
        return audio

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._effects!r})"


class Mix(Board):
    """Effects side by side, aligned and added up, as pedalboard.Mix."""

    def stage(
        self,
        rate: int,
        channels: int,
        block: int | None = None,
        deadline_s: float | None = None,
        counters: Counters | None = None,
    ) -> BoardStage:
        """See `Effect.stage`."""
        counters = Counters() if counters is None else counters
        branches: list[Stage] = [
            effect.stage(rate, channels, block, deadline_s, counters)
            if isinstance(effect, Effect)
            else native.Native([effect], channels, rate)
            for effect in self._effects
            if effect is not None
        ]
        return BoardStage([Sum(branches, channels)] if branches else [], channels, counters)

    def whole(self, audio: Samples, rate: int, buffer_size: int, counters: Counters) -> Samples:
        """See `Effect.whole`."""
        branches = [effect for effect in self._effects if effect is not None]
        if not branches:
            return audio
        total = np.zeros(audio.shape, np.float32)
        for effect in branches:
            if isinstance(effect, Effect):
                total += effect.whole(audio, rate, buffer_size, counters)
            else:
                total += native.whole([effect], audio, rate, buffer_size)
        return total


class BoardStage(Chain):
    """A board's effects as one stage, with what its nets count together."""

    def __init__(self, stages: list[Stage], channels: int, counters: Counters) -> None:
        super().__init__(stages, channels)
        self.counters = counters


def open_board(path: str | Path) -> Board:
    """The board a TOML file describes; `settings` shows the format.

    Raises:
        UsageError: not TOML, an unknown type, an unknown parameter; the choices are listed.
        ModelError: a model that cannot be loaded.
    """
    return Board([_make(effect) for effect in load_board(path)])


def _make(settings: EffectSettings) -> Any:
    if settings.type in ("Mix", "Board"):
        kind = Mix if settings.type == "Mix" else Board
        return kind([_make(effect) for effect in settings.effects])
    if settings.type != "Denoise":
        return native.make(settings.type, settings.parameters)
    known = ("model", "mix", "atten_lim_db", "residual")
    if unknown := sorted(set(settings.parameters) - set(known)):
        raise UsageError(f"Denoise has no {unknown[0]!r}; known: {', '.join(known)}")
    return Denoise(**settings.parameters)
