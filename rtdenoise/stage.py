"""What every processor on the line is: samples in, as many samples out, later."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from .audio import Samples


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
