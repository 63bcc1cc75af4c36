"""What every processor on the line is: samples in, as many samples out, later.

`Chain` and `Sum` make one stage of several; `process` and `pump` drive one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Protocol

import numpy as np

from ..audio import Samples
from .ring import Ring

SPAN = 65_536  # samples a step, so that delays are bounded whatever comes


class Stage(Protocol):
    """One processor. Live, offline and effect drive it the same way.

    However the input is cut, the samples are the same, and late by `latency`.
    """

    @property
    def latency(self) -> int:
        """Samples by which the output is late; constant for the life of the stage."""
        ...

    def push(self, block: Samples) -> Samples:
        """Take (channels, n), give (channels, n): the input of `latency` samples ago, processed."""
        ...

    def flush(self) -> Samples:
        """Give the last (channels, latency) samples, then be as new."""
        ...

    def reset(self) -> None:
        """Forget everything: be as new."""
        ...


class Sink(Protocol):
    """Where samples go."""

    def write(self, block: Samples) -> None:
        """Take a block."""
        ...


def process(stage: Stage, audio: Samples) -> Samples:
    """Run *audio* through a stage that is as new: same length, latency compensated."""
    late = np.concatenate((stage.push(audio), stage.flush()), axis=1)
    return late[:, stage.latency :]


def pump(source: Iterable[Samples], stage: Stage, sink: Sink) -> None:
    """Carry *source* through *stage* into *sink*, aligned with the source and as long as it."""
    late = stage.latency
    for block in source:
        out = stage.push(block)
        sink.write(out[:, min(late, out.shape[1]) :])
        late -= min(late, out.shape[1])
    sink.write(stage.flush()[:, late:])


class Chain:
    """Stages one after the other, as one. An empty chain is a wire.

    A stage does not hear the silence that the latency of those before it makes at the start: it
    begins when the sound does. A reverb that has heard silence first is in another state than one
    that has not, and a stream would differ from a whole recording.

    Args:
        stages: In the order of the sound.
        channels: Rows of each block.
    """

    def __init__(self, stages: Sequence[Stage], channels: int) -> None:
        self.stages, self._channels = list(stages), channels
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

    def flush(self) -> Samples:
        """See `Stage.flush`."""
        rest = self.push(np.zeros((self._channels, self.latency), np.float32))
        self.reset()
        return rest

    def reset(self) -> None:
        """See `Stage.reset`."""
        for stage in self.stages:
            stage.reset()
        self._begin()


class Sum:
    """The sum of stages side by side, each delayed to the latest of them, so that they are in step.

    Args:
        stages: At least one.
        channels: Rows of each block.
    """

    def __init__(self, stages: Sequence[Stage], channels: int) -> None:
        self.stages, self._channels = list(stages), channels
        self._latency = max(stage.latency for stage in self.stages)
        self._delays = [Ring(channels, self._latency + SPAN) for _ in self.stages]
        self._prime()

    @property
    def latency(self) -> int:
        """The longest of theirs."""
        return self._latency

    def _prime(self) -> None:
        for stage, delay in zip(self.stages, self._delays, strict=True):
            delay.reset(silence=self._latency - stage.latency)

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

    def flush(self) -> Samples:
        """See `Stage.flush`."""
        rest = self.push(np.zeros((self._channels, self._latency), np.float32))
        self.reset()
        return rest

    def reset(self) -> None:
        """See `Stage.reset`."""
        for stage in self.stages:
            stage.reset()
        self._prime()
