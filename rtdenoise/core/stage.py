"""What every processor on the line is: samples in, as many samples out, later.

`Chain` and `Sum` make one stage of several; `drain`, `process` and `pump` drive one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Protocol

import numpy as np

from ..audio import Samples
from .ring import Ring
from .stream import Stream

SPAN = 65_536  # samples a step, so that delays are bounded whatever comes


class Stage(Protocol):
    """One processor. Live, offline and effect drive it the same way.

    However the input is cut, the samples are the same, and late by `latency`.
    """

    @property
    def stream(self) -> Stream:
        """What it was made for."""
        ...

    @property
    def latency(self) -> int:
        """Samples by which the output is late; constant for the life of the stage."""
        ...

    def push(self, block: Samples) -> Samples:
        """Take (channels, n), give (channels, n): the input of `latency` samples ago, processed."""
        ...

    def reset(self) -> None:
        """Forget everything: be as new."""
        ...


def drain(stage: Stage) -> Samples:
    """The last (channels, latency) samples of what was pushed; the stage is as new afterwards.

    Silence pushes them out, in whole blocks where the stream promises blocks.
    """
    size = stage.stream.block or 1
    whole = -(-stage.latency // size) * size
    rest = stage.push(np.zeros((stage.stream.channels, whole), np.float32))
    stage.reset()
    return rest[:, : stage.latency]


def pump(source: Iterable[Samples], stage: Stage) -> Iterator[Samples]:
    """Carry *source* through a stage that is as new: aligned with the source and as long as it.

    >>> from .stream import Stream
    >>> blocks = [np.ones((1, 3), np.float32), np.ones((1, 2), np.float32)]
    >>> [block.shape[1] for block in pump(blocks, Chain([], Stream(48_000, 1)))]
    [3, 2, 0]
    """
    late = stage.latency
    for block in source:
        out = stage.push(block)
        held = min(late, out.shape[1])
        late -= held
        yield out[:, held:]
    yield drain(stage)[:, late:]


def process(stage: Stage, audio: Samples) -> Samples:
    """Run *audio* through a stage that is as new: same length, latency compensated."""
    return np.concatenate(list(pump([audio], stage)), axis=1)


class Chain:
    """Stages one after the other, as one. An empty chain is a wire.

    A stage does not hear the silence that the latency of those before it makes at the start: it
    begins when the sound does. A reverb that has heard silence first is in another state than one
    that has not, and a stream would differ from a whole recording.

    Args:
        stages: In the order of the sound.
        stream: What the first of them was made for.
    """

    def __init__(self, stages: Sequence[Stage], stream: Stream) -> None:
        self.stages, self.stream = list(stages), stream
        self._begin()

    def _begin(self) -> None:
        late = [0, *accumulate(stage.latency for stage in self.stages)]
        self._silent = late[: len(self.stages)]

    @property
    def latency(self) -> int:
        """The sum of theirs."""
        return sum(stage.latency for stage in self.stages)

    def push(self, block: Samples) -> Samples:
        """See `Stage.push`."""
        for turn, stage in enumerate(self.stages):
            quiet = min(self._silent[turn], block.shape[1])
            self._silent[turn] -= quiet
            out = stage.push(block[:, quiet:])
            block = np.concatenate((block[:, :quiet], out), axis=1) if quiet else out
        return block

    def reset(self) -> None:
        """See `Stage.reset`."""
        for stage in self.stages:
            stage.reset()
        self._begin()


class Sum:
    """The sum of stages side by side, each delayed to the latest of them, so that they are in step.

    Args:
        stages: At least one, all made for the same stream.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages, self.stream = list(stages), stages[0].stream
        self.latency = max(stage.latency for stage in self.stages)
        self._delays = [Ring(self.stream.channels, self.latency + SPAN) for _ in self.stages]
        self._prime()

    def _prime(self) -> None:
        for stage, delay in zip(self.stages, self._delays, strict=True):
            delay.reset(silence=self.latency - stage.latency)

    def push(self, block: Samples) -> Samples:
        """See `Stage.push`."""
        total = np.zeros(block.shape, np.float32)
        for at in range(0, block.shape[1], SPAN):
            part = total[:, at : at + SPAN]
            late = np.empty(part.shape, np.float32)
            for stage, delay in zip(self.stages, self._delays, strict=True):
                delay.write(stage.push(block[:, at : at + SPAN]))
                delay.read(late)
                part += late
        return total

    def reset(self) -> None:
        """See `Stage.reset`."""
        for stage in self.stages:
            stage.reset()
        self._prime()
