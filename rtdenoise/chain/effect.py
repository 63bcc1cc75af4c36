"""`Effect`, a maker of stages with pedalboard's call; `Denoise` and `DryWet`, two effects.

An effect is called as pedalboard's own: `process(input_array, sample_rate, buffer_size, reset)`.
reset=True: n samples in, n out, latency compensated. reset=False: streaming, the first `latency`
samples are withheld, `flush` gives the last ones, and whatever the block sizes the samples are the
same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import ClassVar
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples, check_rate
from ..core.blend import Blend, Strength
from ..core.counters import Counters
from ..core.stage import Stage, pump
from ..core.stream import Stream
from ..nets.box import find
from ..nets.line import Line
from ..nets.net import Net, warm_up
from .call import Audio, Call
from .parameter import Parameter


class Effect(ABC):
    """A maker of stages. It stands on a `Board`, in a board file, in files and in the live host.

    A subclass gives `stage`; the rest has defaults. examples/own_effect.py shows one.

    Attributes:
        own_rate: The rate in Hz at which its nets work best. None: any rate is as good.
        own_hop: Samples at *own_rate* between two windows of its nets. None: it has no hops.
        parameters: What a board file may set. Empty: what the constructor takes.
    """

    is_effect, is_instrument = True, False
    own_rate: int | None = None
    own_hop: int | None = None
    parameters: ClassVar[tuple[Parameter, ...]] = ()

    @abstractmethod
    def stage(self, stream: Stream, counters: Counters | None = None) -> Stage:
        """A new stage of this effect for *stream*; nets count in *counters*.

        Raises:
            AudioError: a rate or a channel count that the effect cannot process.
            UsageError: the effect cannot stream.
        """

    def render(
        self, blocks: Iterable[Samples], stream: Stream, counters: Counters
    ) -> Iterator[Samples]:
        """Process a whole recording that comes in *blocks*; as many samples out, aligned."""
        return pump(blocks, self.stage(stream, counters))

    def latency(self, sample_rate: float) -> int:
        """Samples of delay when streaming at *sample_rate* with any block size."""
        return self.stage(Stream(check_rate(sample_rate), 1)).latency

    def warm_up(self, channels: int) -> None:  # noqa: B027 - most effects need none
        """Make what it holds as fast as it will be, before a stream begins."""

    def prepare_thread(self) -> None:  # noqa: B027 - most effects need none
        """Prepare the calling thread for the stages of this effect: see `Net.prepare_thread`."""

    def one_thread(self) -> AbstractContextManager[None]:
        """Run a block on one core: see `Net.one_thread`."""
        return nullcontext()

    @cached_property
    def _call(self) -> Call:
        return Call(self.stage, self.render)

    @property
    def counters(self) -> Counters:
        """What the nets of this effect counted when it was called: failed and dry hops, ..."""
        return self._call.counters

    def reset(self) -> None:
        """Forget the stream: the next block begins a new one."""
        self._call.reset()

    def process(
        self, input_array: Audio, sample_rate: float, buffer_size: int = 8192, reset: bool = True
    ) -> NDArray[np.float32]:
        """Process a recording, or (reset=False) the next block of a stream.

        Args:
            input_array: (channels, samples), (samples, channels) or (samples,), float32 or float64.
            sample_rate: Hz.
            buffer_size: For pedalboard's sake; it has no effect on the result.
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
        with self.one_thread():
            out = self._call.whole(array, rate) if reset else self._call.next(array, rate)
        return np.array(out, np.float32, order="C")

    __call__ = process

    def flush(self) -> NDArray[np.float32]:
        """The last `latency` samples of the stream, in its layout; the next block begins anew."""
        with self.one_thread():
            return np.array(self._call.rest(), np.float32, order="C")


class Blended(Effect):
    """An effect whose stages are `Blend`s: `mix`, `atten_lim_db`, `residual` and `bypass`.

    They may be set while it runs, and reach every stage it made; they glide, so nothing clicks.

    Args:
        mix: Percent of processed sound, 0..100.
        atten_lim_db: Remove no more than this; 0 = untouched, None = no limit.
        residual: Give what was removed in place of what was kept.

    Raises:
        UsageError: a value out of range.
    """

    def __init__(
        self, mix: float = 100.0, atten_lim_db: float | None = None, residual: bool = False
    ) -> None:
        self._strength, self._bypass = Strength(mix, atten_lim_db, residual), False
        self._blends: WeakSet[Blend] = WeakSet()

    def _made(self, blend: Blend) -> Blend:
        if self._bypass:  # from its first sample, and not after a crossfade
            blend.bypass = True
            blend.reset()
        self._blends.add(blend)
        return blend

    @property
    def strength(self) -> Strength:
        """How much of the processing is heard."""
        return self._strength

    @strength.setter
    def strength(self, value: Strength) -> None:
        self._strength = value
        for blend in self._blends:
            blend.strength = value

    @property
    def bypass(self) -> bool:
        """Whether the aligned input is given in place of the processed sound."""
        return self._bypass

    @bypass.setter
    def bypass(self, value: bool) -> None:
        self._bypass = value
        for blend in self._blends:
            blend.bypass = value

    @property
    def mix(self) -> float:
        """Percent of processed sound."""
        return self._strength.mix

    @mix.setter
    def mix(self, value: float) -> None:
        self.strength = Strength(value, self.atten_lim_db, self.residual)

    @property
    def atten_lim_db(self) -> float | None:
        """The most that is removed, in dB; None: no limit."""
        return self._strength.atten_lim_db

    @atten_lim_db.setter
    def atten_lim_db(self, value: float | None) -> None:
        self.strength = Strength(self.mix, value, self.residual)

    @property
    def residual(self) -> bool:
        """Whether what was removed is given."""
        return self._strength.residual

    @residual.setter
    def residual(self, value: bool) -> None:
        self.strength = Strength(self.mix, self.atten_lim_db, value)

    def _settings(self) -> str:
        return f"mix={self.mix:g}, atten_lim_db={self.atten_lim_db}, residual={self.residual}"


class Denoise(Blended):
    """A generator as an effect.

    Args:
        model: Name in the box (`rtdenoise models`), path of a file, or a loaded net.
        mix: Percent of processed sound, 0..100.
        atten_lim_db: Remove no more than this; 0 = untouched, None = no limit.
        residual: Give what was removed in place of what was kept.

    Raises:
        ModelError: no such model, or it breaks the contract.
        UsageError: a setting out of range.

    >>> Denoise("speech", mix=120)
    Traceback (most recent call last):
    rtdenoise.errors.UsageError: mix = 120: wanted 0 (only the input) to 100 (only processed)
    """

    def __init__(
        self,
        model: str | Path | Net = "speech",
        mix: float = 100.0,
        atten_lim_db: float | None = None,
        residual: bool = False,
    ) -> None:
        super().__init__(mix, atten_lim_db, residual)
        self.net = find(model) if isinstance(model, str | Path) else model
        self.own_rate, self.own_hop = self.net.card.sample_rate, self.net.card.hop

    def stage(self, stream: Stream, counters: Counters | None = None) -> Blend:
        """See `Effect.stage`."""
        return self._made(Line(self.net, stream, self.strength, counters))

    def warm_up(self, channels: int) -> None:
        """See `Effect.warm_up`."""
        warm_up(self.net, channels)

    def prepare_thread(self) -> None:
        """See `Effect.prepare_thread`."""
        self.net.prepare_thread()

    def one_thread(self) -> AbstractContextManager[None]:
        """See `Effect.one_thread`."""
        return self.net.one_thread()

    def __repr__(self) -> str:
        return f"<rtdenoise.Denoise {self.net.card.name!r} {self._settings()}>"


class DryWet(Blended):
    """Any effect of ours, mixed with its aligned input.

    Args:
        effect: What processes.
        mix: Percent of processed sound, 0..100.
        atten_lim_db: Remove no more than this; 0 = untouched, None = no limit.
        residual: Give what was removed in place of what was kept.

    Raises:
        UsageError: a setting out of range.
    """

    def __init__(
        self,
        effect: Effect,
        mix: float = 100.0,
        atten_lim_db: float | None = None,
        residual: bool = False,
    ) -> None:
        super().__init__(mix, atten_lim_db, residual)
        self.effect = effect
        self.own_rate, self.own_hop = effect.own_rate, effect.own_hop

    def stage(self, stream: Stream, counters: Counters | None = None) -> Blend:
        """See `Effect.stage`."""
        counters = Counters() if counters is None else counters
        return self._made(Blend(self.effect.stage(stream, counters), self.strength, counters))

    def warm_up(self, channels: int) -> None:
        """See `Effect.warm_up`."""
        self.effect.warm_up(channels)

    def prepare_thread(self) -> None:
        """See `Effect.prepare_thread`."""
        self.effect.prepare_thread()

    def one_thread(self) -> AbstractContextManager[None]:
        """See `Effect.one_thread`."""
        return self.effect.one_thread()

    def __repr__(self) -> str:
        return f"<rtdenoise.DryWet {self.effect!r} {self._settings()}>"


def with_strength(effect: Effect, strength: Strength) -> Effect:
    """*effect* at *strength*: itself where that changes nothing, else in a `DryWet`."""
    if strength == Strength():
        return effect
    return DryWet(effect, strength.mix, strength.atten_lim_db, strength.residual)
