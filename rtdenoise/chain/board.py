"""Chains of effects: `Board` runs them one after the other, `Mix` side by side.

Nothing written in Python can run inside a chain of pedalboard (native.py says what happens
instead). So the chain is one of our stages, and each run of neighbouring native plugins in it is
one native call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, SupportsIndex, overload

import numpy as np

from ..audio import Samples, check_rate
from ..core.counters import Counters
from ..core.stage import Chain, Stage, Sum, pump
from ..core.stream import Stream
from ..errors import UsageError
from . import native, recipe
from .effect import Effect
from .vst3 import Hosted


class NoEffectError(UsageError, TypeError):
    """An error about an object that cannot stand on a board; pedalboard raises TypeError."""


class Board(Effect, MutableSequence[Any]):
    """A chain of effects: pedalboard's plugins, ours, boards and mixes, in any order.

    It is a mutable sequence with all that a list has, and pedalboard's own board is one with less.
    Neighbouring native plugins run as one native call. None is an empty place. A change of the
    sequence ends the stream, and the next block begins a new one; parameters of effects may be set
    at any time. As in pedalboard, an effect may stand on the board twice for a moment, so that two
    can change places, but no sound can be processed meanwhile.

    Args:
        effects: The effects in the order of the sound.

    Attributes:
        file: Board file that it was read from. None: it was made otherwise.

    Raises:
        UsageError: If something is no effect (it is then also a TypeError), is the board itself, or
            is a Python subclass of a native plugin, which pedalboard would silently ignore.

    >>> Board([None])
    Board([None])
    """

    def __init__(self, effects: Iterable[Any] = ()) -> None:
        self.file: Path | None = None
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
        """Insert *effect* before the place *index*.

        Raises:
            IndexError: If *index* is beyond the end, as in pedalboard; a list would append.
        """
        changed = list(self._effects)
        if not -len(changed) <= index.__index__() <= len(changed):
            raise IndexError("index out of range")
        changed.insert(index, effect)
        self._replace(changed)

    def _replace(self, effects: list[Any]) -> None:
        """Take a new list of effects; change nothing if one of them cannot be on a board."""
        for effect in effects:
            if native.is_plugin(effect):
                native.check(effect)
            elif effect is not None and not isinstance(effect, Effect):
                raise NoEffectError(
                    f"{effect!r} is no effect: wanted a pedalboard plugin or an rtdenoise.Effect"
                )
            if any(inner is self for inner in within(effect)):
                raise UsageError("a board cannot be an effect on itself")
        self._effects = effects
        self.reset()

    def _check_single(self) -> None:
        """Refuse to process with an effect that is on the board twice, as pedalboard does."""
        effects = list(within(self))
        if len(set(map(id, effects))) < len(effects):
            raise UsageError("the same effect is on the board twice; make a second one")

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy and a pickle carry: recipes in place of native plugins."""
        state = super().__getstate__()
        return state | {"_effects": [recipe.of(effect) for effect in self._effects]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the plugins of a copy or a pickle."""
        vars(self).update(state, _effects=[recipe.made(effect) for effect in state["_effects"]])

    @property
    def inner(self) -> Sequence[Any]:  # type: ignore[override]
        """The effects on the board."""
        return tuple(self._effects)

    @property
    def _nets(self) -> list[Effect]:
        """The effects on the board that have a net, in the order of the sound."""
        return [e for e in self._effects if isinstance(e, Effect) and e.own_rate is not None]

    @property
    def own_rate(self) -> int | None:  # type: ignore[override]
        """The sample rate of the first net on the board in Hz. None: there is no net."""
        return self._nets[0].own_rate if self._nets else None

    @property
    def own_hop(self) -> int | None:  # type: ignore[override]
        """The shortest hop of all nets on the board, in samples at `own_rate`. None: no net."""
        rate = self.own_rate or 0
        hops = [(e.own_hop or 0) * rate / (e.own_rate or 1) for e in self._nets]
        return round(min(hops)) if hops else None

    def _groups(self) -> list[Group]:
        """Return our effects and VST3s one by one, and runs of other plugins as a group each."""
        groups: list[Group] = []
        for effect in self._effects:
            if isinstance(effect, Effect):
                groups.append(effect)
            elif effect is not None:
                last = groups[-1] if groups else None
                if isinstance(last, list) and not any(map(native.stands_alone, (last[0], effect))):
                    last.append(effect)
                else:
                    groups.append([effect])
        return groups

    def stage(self, stream: Stream, counters: Counters | None = None) -> Stage:
        """See `Effect.stage`. Only one stage may run at a time: native plugins hold the state."""
        self._check_single()
        return _chain(self._groups(), stream, counters)

    def render(
        self, blocks: Iterable[Samples], stream: Stream, counters: Counters
    ) -> Iterator[Samples]:
        """See `Effect.render`.

        Plugins that cannot stream, as PitchShift, get the whole recording at once.
        """
        self._check_single()
        rendered = iter(blocks)
        for streams, run in groupby(self._groups(), _streams):
            groups = list(run)
            if streams:
                rendered = pump(rendered, _chain(groups, stream, counters))
                continue
            for group in groups:
                rendered = _whole(group, rendered, stream, counters)
        return rendered

    def latency(self, sample_rate: float) -> int:
        """See `Effect.latency`. Plugins that cannot stream have none: they never run live."""
        groups = [group for group in self._groups() if _streams(group)]
        return _chain(groups, Stream(check_rate(sample_rate), 1), None).latency

    def warm_up(self, channels: int) -> None:
        """See `Effect.warm_up`."""
        for effect in self._effects:
            if isinstance(effect, Effect):
                effect.warm_up(channels)

    def prepare_thread(self) -> None:
        """See `Effect.prepare_thread`."""
        for effect in self._effects:
            if isinstance(effect, Effect):
                effect.prepare_thread()

    @contextmanager
    def one_thread(self) -> Iterator[None]:
        """See `Effect.one_thread`."""
        with ExitStack() as stack:
            for effect in self._effects:
                if isinstance(effect, Effect):
                    stack.enter_context(effect.one_thread())
            yield

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._effects!r})"


class Mix(Board):
    """Effects side by side, whose aligned outputs are added up, as in pedalboard.Mix."""

    def _groups(self) -> list[Group]:
        """Return every branch as a group of its own."""
        return [e if isinstance(e, Effect) else [e] for e in self._effects if e is not None]

    def stage(self, stream: Stream, counters: Counters | None = None) -> Stage:
        """See `Effect.stage`."""
        self._check_single()
        branches = [_stage(branch, stream, counters) for branch in self._groups()]
        return Sum(branches) if branches else Chain([], stream)

    def render(
        self, blocks: Iterable[Samples], stream: Stream, counters: Counters
    ) -> Iterator[Samples]:
        """See `Effect.render`."""
        self._check_single()
        if all(map(_streams, self._groups())):
            return pump(blocks, self.stage(stream, counters))
        return self._render_whole(list(blocks), stream, counters)

    def latency(self, sample_rate: float) -> int:
        """See `Board.latency`: a mix with a branch that cannot stream has none."""
        return Effect.latency(self, sample_rate) if all(map(_streams, self._groups())) else 0

    def _render_whole(
        self, blocks: list[Samples], stream: Stream, counters: Counters
    ) -> Iterator[Samples]:
        """Process the whole recording at once, for branches that cannot stream."""
        total = np.zeros((stream.channels, sum(block.shape[1] for block in blocks)), np.float32)
        for branch in self._groups():
            parts = list(
                Board(branch if isinstance(branch, list) else [branch]).render(
                    blocks, stream, counters
                )
            )
            total += np.concatenate(parts, axis=1)
        yield total


Group = Effect | list[Any]  # one of our effects, or a run of native plugins


def within(effect: Any) -> Iterator[Any]:
    """Yield *effect* and everything within it, native containers included."""
    if isinstance(effect, Effect):
        yield effect
        for inner in effect.inner:
            yield from within(inner)
    elif effect is not None:
        yield from native.parts(effect)


def shared_plugin(one: Any, other: Any) -> str:
    """Return the name of a native plugin that is in both effects, or "" if there is none."""
    theirs = {id(part) for part in within(other) if not isinstance(part, Effect)}
    both = (part for part in within(one) if id(part) in theirs)
    return next((type(part).__name__ for part in both), "")


def _streams(group: Group) -> bool:
    """Return whether *group* can process a stream block by block."""
    if isinstance(group, Board):
        return all(map(_streams, group._groups()))
    return isinstance(group, Effect) or native.streams(group)


def _whole(
    group: Group, blocks: Iterator[Samples], stream: Stream, counters: Counters
) -> Iterator[Samples]:
    """Process a whole recording with a group that cannot stream."""
    if isinstance(group, Effect):
        return group.render(blocks, stream, counters)
    return native.whole(group, blocks, stream, counters)


def _chain(groups: list[Group], stream: Stream, counters: Counters | None) -> Chain:
    """Return one stage that runs *groups* one after the other."""
    stages: list[Stage] = []
    late = 0
    for group in groups:
        # A stage begins `late` samples after the stream (see Chain). The promise of a block size
        # holds for it only if that is a whole number of blocks.
        kept = stream.block and late % stream.block == 0
        part = _stage(group, stream if kept else stream.any_block(), counters)
        late += part.latency
        stages.append(part)
    return Chain(stages, stream)


def _stage(group: Group, stream: Stream, counters: Counters | None) -> Stage:
    """Return a stage of *group*, one of our effects or a run of native plugins."""
    if isinstance(group, Effect):
        return group.stage(stream, counters)
    if native.is_external(group[0]):
        return Hosted(group[0], stream, counters)
    return native.Native(group, stream, counters)
