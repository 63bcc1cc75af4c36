"""A stage whose inner stage is changed while it runs: a crossfade, aligned to the sample.

in --+-- old stage -- delay --(1 - g)--+
     |                                 +-- out
     +-- new stage -- delay ---(g)-----+

The new stage hears the input for `WARM_S` before it is heard itself, so that its state is that of a
stage which has run all along. A stage with less latency than the run has is delayed to it. One with
more raises the latency of the run, once, and the crossfade is then one of two sounds at different
delays; it has no jump either.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..audio import Samples
from .stage import Delayed, Stage

WARM_S = 0.5  # the states of recurrent nets and compressors settle in this time
FADE_S = 0.05


def nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Change:
    """A change that was asked for.

    Attributes:
        to: The new stage, as late as the run will be.
        prepare: Function that prepares the thread of `push` for it.
        heard: Function that is called in that thread when only the new stage is heard.
    """

    to: Delayed
    prepare: Callable[[], None] = nothing
    heard: Callable[[], None] = nothing


class Switch:
    """A stage that runs another one, and changes to a third while it runs.

    One thread may call `push` while others call the rest, except `reset`. `push` builds and frees
    no stages: the old one waits in `left`.

    Args:
        stage: The stage that runs first.

    Attributes:
        left: Stages that do not run any more, for another thread to free.
        fault: The exception that the last new stage raised, so that the old one stayed. None: it
            raised none.
    """

    def __init__(self, stage: Stage) -> None:
        self.stream = stage.stream
        self._now = Delayed(stage, stage.latency)
        self._coming: Change | None = None
        self._asked: deque[Change] = deque(maxlen=1)  # the last one counts
        self._begin, self._fade = 0, round(FADE_S * self.stream.rate)
        self._prepare, self._again = nothing, nothing
        self.left: deque[Delayed] = deque()
        self.fault: Exception | None = None

    @property
    def latency(self) -> int:
        """See `Stage.latency`; a change to a stage with more raises it."""
        return self._now.latency

    @property
    def due(self) -> int:
        """The latency in samples when all changes that were asked for are over."""
        changes = (self._coming, *self._asked)
        return max(self.latency, *(change.to.latency for change in changes if change), 0)

    @property
    def settled(self) -> bool:
        """Whether one stage runs, and no change is asked for."""
        return self._coming is None and not self._asked

    @property
    def stage(self) -> Stage:
        """The stage that is heard, or is being left."""
        return self._now.stage

    @property
    def newest(self) -> Stage:
        """The stage to which a change has begun, or else the one that runs."""
        return (self._coming.to if self._coming else self._now).stage

    def change(
        self,
        stage: Stage,
        prepare: Callable[[], None] = nothing,
        heard: Callable[[], None] = nothing,
    ) -> None:
        """Ask for a change, which begins with the next block; one that is going on ends first.

        Args:
            stage: The new stage, which is as new and has been warmed up.
            prepare: Function that prepares the thread of `push` for it.
            heard: Function that is called in that thread when only the new stage is heard.
        """
        to = Delayed(stage, max(self.due, stage.latency))
        self._asked.append(Change(to, prepare, heard))

    def push(self, block: Samples) -> Samples:
        """See `Stage.push`."""
        if self._prepare is not nothing:
            prepare, self._prepare = self._prepare, nothing
            prepare()
        if self._coming is None and self._asked:
            self._come(self._asked.popleft())
        out = self._now.push(block)
        return out if self._coming is None else self._faded(self._coming, block, out)

    def _come(self, change: Change) -> None:
        """Begin a change."""
        change.prepare()
        self._coming, self.fault = change, None
        self._begin = -change.to.latency - round(WARM_S * self.stream.rate)

    def _faded(self, change: Change, block: Samples, out: Samples) -> Samples:
        """Return *out* of the old stage, faded to the new one when its time has come."""
        try:
            new = change.to.push(block)
        except Exception as fault:  # any effect of a user: the old one stays
            self._coming, self.fault = None, fault
            self.left.append(change.to)
            return out
        count = block.shape[1]
        first, self._begin = self._begin, self._begin + count
        if self._begin <= 0:
            return out
        gains = np.arange(first + 1, first + 1 + count, dtype=np.float32) / np.float32(self._fade)
        faded: Samples = out + gains.clip(0, 1) * (new - out)
        if self._begin >= self._fade:
            self._end(change)
        return faded

    def _end(self, change: Change) -> None:
        """Leave the old stage."""
        self.left.append(self._now)
        self._now, self._coming, self._again = change.to, None, change.prepare
        change.heard()

    def reset(self) -> None:
        """See `Stage.reset`. A change that is going on is at its end then."""
        if self._coming is not None:
            self._end(self._coming)
        while self._asked:
            self._end(self._asked.popleft())
        self._now.reset()
        self._prepare = self._again
