"""pedalboard's face: `Effect`, and `Denoise`, a generator as one. `board.py` puts them in chains.

An effect is called as pedalboard's own: `process(input_array, sample_rate, buffer_size, reset)`.
reset=True: n samples in, n out, latency compensated. reset=False: streaming, the first `latency`
samples are withheld, and whatever the block sizes the samples are the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..audio import Layout, Samples, check_channels, check_rate
from ..core.stage import Stage, process
from ..errors import ModelError
from ..nets.engine import Counters
from ..nets.line import Line, Strength
from ..nets.torchscript import Generator, find, one_thread

Audio = NDArray[np.floating[Any]]


class Effect:
    """What stands on a `Board`: a maker of stages, with pedalboard's call.

    Subclasses give `stage`. A stage of yours is an effect in five lines: examples/own_model.py
    shows a net, docs/architecture.md what a stage must keep.
    """

    is_effect, is_instrument = True, False

    def __init__(self) -> None:
        self._stream: tuple[Stage, int, int] | None = None  # with its rate and channels
        self._withhold = 0
        self._layout: Layout | None = None
        self._counters = Counters()

    def stage(
        self,
        rate: int,
        channels: int,
        block: int | None = None,
        deadline_s: float | None = None,
        counters: Counters | None = None,
    ) -> Stage:
        """A new stage of this effect.

        Args:
            rate: Hz.
            channels: Rows of each block.
            block: Promise that every push has this many samples; None: any.
            deadline_s: Seconds a hop may take, live; None: any.
            counters: Where nets count.

        Raises:
            AudioError: a rate or channel count that cannot be.
            UsageError: the effect cannot stream.
        """
        raise NotImplementedError

    def whole(self, audio: Samples, rate: int, buffer_size: int, counters: Counters) -> Samples:
        """Process a whole recording (channels, n): as many samples out, aligned."""
        return process(self.stage(rate, audio.shape[0], counters=counters), audio)

    def reset(self) -> None:
        """Forget the stream: the next block begins a new one."""
        self._stream = self._layout = None

    @property
    def counters(self) -> Counters:
        """What the nets of this effect counted: hops, failed and dry ones, NaN samples."""
        return self._counters

    def process(
        self, input_array: Audio, sample_rate: float, buffer_size: int = 8192, reset: bool = True
    ) -> NDArray[np.float32]:
        """Process a recording, or (reset=False) the next block of a stream.

        Args:
            input_array: (channels, samples), (samples, channels) or (samples,), float32 or float64.
            sample_rate: Hz.
            buffer_size: Samples a native call; no effect on the result.
            reset: Begin anew, and give everything; or go on, and withhold the first `latency`.

        Returns:
            float32 in the layout that came, C-contiguous, never the input itself.

        Raises:
            TypeError: not floating point, as pedalboard.
            AudioError: a shape or rate that cannot be.
            ModelError: with reset=True, the net failed somewhere.
        """
        array = np.asarray(input_array)
        if array.dtype not in (np.float32, np.float64):
            raise TypeError(
                f"only 32-bit and 64-bit floating point audio can be processed, got {array.dtype}"
            )
        rate = check_rate(sample_rate)
        channels = self._stream[2] if self._stream and not reset else None
        layout = Layout.of(array, channels, None if reset else self._layout)
        audio = layout.to_samples(array)
        check_channels(audio.shape[0])
        with one_thread():
            out = self._all(audio, rate, buffer_size) if reset else self._next(audio, rate)
        self._layout = layout
        return np.array(layout.from_samples(out), np.float32, order="C")

    __call__ = process

    def _all(self, audio: Samples, rate: int, buffer_size: int) -> Samples:
        self._stream = None
        failed = self.counters["failed"]
        out = self.whole(audio, rate, buffer_size, self.counters)
        if lost := self.counters["failed"] - failed:
            raise ModelError(f"the net failed in {lost} windows; `rtdenoise verify` finds out why")
        return out

    def _next(self, audio: Samples, rate: int) -> Samples:
        if self._stream is None or self._stream[1:] != (rate, audio.shape[0]):
            stage = self.stage(rate, audio.shape[0], counters=self._counters)
            self._stream, self._withhold = (stage, rate, audio.shape[0]), stage.latency
        out = self._stream[0].push(audio)
        held = min(self._withhold, out.shape[1])
        self._withhold -= held
        return out[:, held:]


class Denoise(Effect):
    """A generator as an effect.

    Args:
        model: Name in the box (`rtdenoise models`), path of a file, or a loaded `Generator`.
        mix: Percent of processed sound, 0..100.
        atten_lim_db: Remove no more than this; 0 = untouched, None = no limit.
        residual: Give what was removed in place of what was kept.

    `mix`, `atten_lim_db` and `residual` may be set while it runs; they glide, so nothing clicks.

    Raises:
        ModelError: no such model, or it breaks the contract.
        UsageError: a setting out of range.

    >>> Denoise("speech", mix=120)
    Traceback (most recent call last):
    rtdenoise.errors.UsageError: mix = 120: wanted 0 (only the input) to 100 (only processed)
    """

    def __init__(
        self,
        model: str | Path | Generator = "speech",
        mix: float = 100.0,
        atten_lim_db: float | None = None,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self._strength = Strength(mix, atten_lim_db, residual)
        self.generator = model if isinstance(model, Generator) else find(model)
        self._lines: list[Line] = []

    def stage(
        self,
        rate: int,
        channels: int,
        block: int | None = None,
        deadline_s: float | None = None,
        counters: Counters | None = None,
    ) -> Line:
        """See `Effect.stage`. Settings changed on the effect reach its newest stage."""
        line = Line(
            self.generator, rate, channels, self._strength, block, deadline_s, counters=counters
        )
        self._lines = [line]
        return line

    def latency(self, sample_rate: float) -> int:
        """Samples of delay when streaming at *sample_rate* with any block size."""
        return Line(self.generator, check_rate(sample_rate), 1).latency

    def _set(self, strength: Strength) -> None:
        self._strength = strength
        for line in self._lines:
            line.strength = strength

    @property
    def mix(self) -> float:
        """Percent of processed sound."""
        return self._strength.mix

    @mix.setter
    def mix(self, value: float) -> None:
        self._set(Strength(value, self.atten_lim_db, self.residual))

    @property
    def atten_lim_db(self) -> float | None:
        """The most that is removed, in dB; None: no limit."""
        return self._strength.atten_lim_db

    @atten_lim_db.setter
    def atten_lim_db(self, value: float | None) -> None:
        self._set(Strength(self.mix, value, self.residual))

    @property
    def residual(self) -> bool:
        """Whether what was removed is given."""
        return self._strength.residual

    @residual.setter
    def residual(self, value: bool) -> None:
        self._set(Strength(self.mix, self.atten_lim_db, value))

    def __repr__(self) -> str:
        settings = f"mix={self.mix:g}, atten_lim_db={self.atten_lim_db}, residual={self.residual}"
        return f"<rtdenoise.Denoise {self.generator.card.name!r} {settings}>"
