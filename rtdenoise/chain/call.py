"""The call of an effect as pedalboard has it: whole recordings, or a stream block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..audio import Layout, Samples
from ..core.counters import Counters
from ..core.stage import Stage, drain
from ..core.stream import Stream
from ..errors import AudioError, ModelError

Audio = NDArray[np.floating[Any]]
Render = Callable[[Iterable[Samples], Stream, Counters], Iterator[Samples]]
MakeStage = Callable[[Stream, Counters], Stage]


class Call:
    """The stream that an effect holds between two calls of it.

    Args:
        make_stage: Function that makes the stage of a stream; it is `Effect.stage`.
        render: Function that processes a whole recording; it is `Effect.render`.
    """

    def __init__(self, make_stage: MakeStage, render: Render) -> None:
        self._make_stage, self._render = make_stage, render
        self._stage: Stage | None = None
        self._layout: Layout | None = None
        self._withhold = 0
        self.counters = Counters()

    def reset(self) -> None:
        """Forget the stream, so that the next block begins a new one."""
        self._stage = self._layout = None

    def whole(self, audio: Audio, rate: int) -> Audio:
        """Process a recording; as many samples come out, latency compensated.

        Args:
            audio: The recording, in any layout.
            rate: Sample rate of the recording in Hz.

        Raises:
            ModelError: If a net failed in any window.
            AudioError: If a plugin or an effect gave NaN or infinity.
        """
        self.reset()
        self.counters.fault = None
        layout = Layout.of(audio)
        samples = layout.to_samples(audio)
        failed = self.counters["failed"]
        stream = Stream(rate, samples.shape[0])
        out = np.concatenate(list(self._render([samples], stream, self.counters)), axis=1)
        if lost := self.counters["failed"] - failed:
            if isinstance(self.counters.fault, AudioError):  # that of a plugin
                raise self.counters.fault
            raise ModelError(f"the net failed in {lost} windows: {self.counters.why()}")
        if not np.isfinite(out).all():
            raise AudioError("the effects gave NaN or infinity for finite sound")
        return layout.from_samples(out)

    def next(self, audio: Audio, rate: int) -> Audio:
        """Process the next block of the stream; the first `latency` samples are withheld."""
        channels = None if self._stage is None else self._stage.stream.channels
        layout = Layout.of(audio, channels, self._layout)
        samples = layout.to_samples(audio)
        stream = Stream(rate, samples.shape[0])
        if self._stage is None or self._stage.stream != stream:
            self._stage = self._make_stage(stream, self.counters)
            self._withhold = self._stage.latency
        self._layout = layout
        return layout.from_samples(self._held_back(self._stage.push(samples)))

    def rest(self) -> Audio:
        """Return the tail of the stream in its layout; the next block begins a new stream."""
        if self._stage is None or self._layout is None:
            return np.zeros((1, 0), np.float32)
        out = self._layout.from_samples(self._held_back(drain(self._stage)))
        self.reset()
        return out

    def _held_back(self, out: Samples) -> Samples:
        """Return *out* without the samples that are still to be withheld."""
        held = min(self._withhold, out.shape[1])
        self._withhold -= held
        return out[:, held:]
