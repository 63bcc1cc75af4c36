"""The stage, which every processor is: it takes samples, and gives as many samples, later.

`Chain` and `Sum` make one stage of several; `Delayed` makes one later. `drain`, `process` and
`pump` drive a stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Protocol

import numpy as np

from ..audio import Samples
from .ring import Ring
from .stream import Stream

SPAN = 65_536  # samples a step, so that the delay rings need no more, however long a block is


class Stage(Protocol):
    """A processor of a stream; microphone, file and effect drive it in the same way.

    However the input is cut into blocks, the output has the same samples, late by `latency`.
    """

    @property
    def stream(self) -> Stream:
        """The stream for which the stage was made."""
        ...

    @property
    def latency(self) -> int:
        """The samples by which the output is late; constant for the life of the stage."""
        ...

    def push(self, block: Samples) -> Samples:
        """Take a block (channels, n); return the processed input of `latency` samples ago."""
        ...

    def reset(self) -> None:
        """Forget all input, so that the stage is as new."""
        ...


def drain(stage: Stage) -> Samples:
    """Return the last (channels, latency) samples of the stream, and reset the stage.

    Silence pushes them out, in whole blocks if the stream promises a block size.
    """
    size = stage.stream.block or 1
    whole = -(-stage.latency // size) * size
    rest = stage.push(np.zeros((stage.stream.channels, whole), np.float32))
    stage.reset()
    return rest[:, : stage.latency]


def pump(source: Iterable[Samples], stage: Stage) -> Iterator[Samples]:
    """Yield the blocks of *source* after a stage that is as new, aligned with the source.

    As many samples come out as went in: the first `latency` are left out, and the rest of the
    stream follows at the end.

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
    """Return *audio* after a stage that is as new: as many samples, latency compensated."""
    return np.concatenate(list(pump([audio], stage)), axis=1)


class Chain:
    """A stage that runs several stages one after the other; an empty chain changes nothing.

    The latency of a stage puts silence before the sound. The stages after it do not get that
    silence: each begins when the sound does. A reverb that got silence first would be in another
    state, and a stream would differ from a whole recording.

    Args:
        stages: The stages in the order of the sound.
        stream: The stream for which the first of them was made.
    """

    def __init__(self, stages: Sequence[Stage], stream: Stream) -> None:
        self.stages, self.stream = list(stages), stream
        self._begin()

    def _begin(self) -> None:
        """Begin a stream: each stage has the latency of those before it to skip."""
        late = [0, *accumulate(stage.latency for stage in self.stages)]
        self._silent = late[: len(self.stages)]

    @property
    def latency(self) -> int:
        """See `Stage.latency`; it is the sum of all stages' latencies."""
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


class Delayed:
    """A stage that delays another one to a latency.

    Args:
        stage: The stage.
        latency: The latency in samples, at least that of *stage*.
    """

    def __init__(self, stage: Stage, latency: int) -> None:
        self.stage, self.stream, self.latency = stage, stage.stream, latency
        self._extra = latency - stage.latency
        self._ring = Ring(stage.stream.channels, self._extra + SPAN if self._extra else 0)
        self._ring.reset(silence=self._extra)

    def push(self, block: Samples) -> Samples:
        """See `Stage.push`."""
        if not self._extra:
            return self.stage.push(block)
        late = np.empty(block.shape, np.float32)
        for at in range(0, block.shape[1], SPAN):
            self._ring.write(self.stage.push(block[:, at : at + SPAN]))
            self._ring.read(late[:, at : at + SPAN])
        return late

    def reset(self) -> None:
        """See `Stage.reset`."""
        self.stage.reset()
        self._ring.reset(silence=self._extra)


class Sum:
    """A stage that adds up stages side by side, each delayed so that all are as late as the latest.

    Args:
        stages: The stages, at least one, all made for the same stream.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stream = stages[0].stream
        self.latency = max(stage.latency for stage in stages)
        self._stages = [Delayed(stage, self.latency) for stage in stages]

    def push(self, block: Samples) -> Samples:
        """See `Stage.push`."""
        total = np.zeros(block.shape, np.float32)
        for stage in self._stages:
            total += stage.push(block)
        return total

    def reset(self) -> None:
        """See `Stage.reset`."""
        for stage in self._stages:
            stage.reset()
