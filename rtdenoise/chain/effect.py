"""`Effect`, which makes stages and is called as in pedalboard; `Denoise` and `DryWet` are effects.

The call is that of pedalboard's plugins: `process(input_array, sample_rate, buffer_size, reset)`.
With reset=True it takes a whole recording, and gives as many samples, latency compensated. With
reset=False it takes the next block of a stream: the first `latency` samples are withheld, `flush`
gives the last ones, and the block sizes never change a sample.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples, check_rate
from ..core.blend import Blend, Strength
from ..core.counters import Counters
from ..core.stage import Stage, pump
from ..core.stream import Stream
from ..errors import UsageError
from ..nets.box import find, source
from ..nets.line import Line
from ..nets.net import Net, twin, warm_up
from .call import Audio, Call
from .knobs import Knobbed
from .parameter import Parameter


class Effect(ABC):
    """An object that makes stages, for boards, board files, sound files and live sound.

    A subclass must define `stage`; all else has defaults. examples/own_effect.py shows one.

    Attributes:
        own_rate: Sample rate in Hz at which its nets work. None: it has no preference.
        own_hop: Samples at *own_rate* between two windows of its nets. None: it has no hops.
        parameters: The parameters that a board file may set. Empty: those of the constructor.
        inner: The effects and plugins within it.

    A copy and a pickle carry the settings; they begin streams of their own.
    """

    is_effect, is_instrument = True, False
    own_rate: int | None = None
    own_hop: int | None = None
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    inner: Sequence[Any] = ()

    @abstractmethod
    def stage(self, stream: Stream, counters: Counters | None = None) -> Stage:
        """Return a new stage of this effect.

        Args:
            stream: The stream that the stage is to process.
            counters: Where the nets of the stage count. None: in counters of their own.

        Raises:
            AudioError: If the effect cannot process this rate or channel count.
            UsageError: If the effect cannot stream.
        """

    def render(
        self, blocks: Iterable[Samples], stream: Stream, counters: Counters
    ) -> Iterator[Samples]:
        """Yield a whole recording after this effect: as many samples, aligned with the input.

        Args:
            blocks: The recording, as blocks (channels, n) float32 of any size.
            stream: The rate and the channels of the recording.
            counters: Where the nets count.
        """
        return pump(blocks, self.stage(stream, counters))

    def latency(self, sample_rate: float) -> int:
        """Return the latency in samples of a stream at *sample_rate* Hz with any block size."""
        return self.stage(Stream(check_rate(sample_rate), 1)).latency

    def rate_of_result(self, sample_rate: int) -> int:
        """Return the rate in Hz that holds what this effect makes of sound at *sample_rate* Hz.

        It is higher for an effect that adds frequencies which the sound does not have. A file gets
        this rate; a stream and an array keep theirs.
        """
        inner = (effect for effect in self.inner if isinstance(effect, Effect))
        return max([sample_rate, *(effect.rate_of_result(sample_rate) for effect in inner)])

    def warm_up(self, channels: int) -> None:  # noqa: B027 - most effects need none
        """Run the nets of this effect on *channels* channels until they reach their full speed."""

    def prepare_thread(self) -> None:  # noqa: B027 - most effects need none
        """Prepare the calling thread for the stages of this effect; see `Net.prepare_thread`."""

    def one_thread(self) -> AbstractContextManager[None]:
        """Return a context in which the nets of this effect use one core; see `Net.one_thread`."""
        return nullcontext()

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy and a pickle carry: all but the stream of the calls."""
        return {name: value for name, value in vars(self).items() if name != "_call"}

    @cached_property
    def _call(self) -> Call:
        return Call(self.stage, self.render)

    @property
    def counters(self) -> Counters:
        """The counts of the nets in the calls of this effect: failed hops, dry hops and so on."""
        return self._call.counters

    def reset(self) -> None:
        """Forget the stream, so that the next block begins a new one."""
        self._call.reset()

    def process(
        self, input_array: Audio, sample_rate: float, buffer_size: int = 8192, reset: bool = True
    ) -> NDArray[np.float32]:
        """Process a whole recording, or the next block of a stream.

        Args:
            input_array: The audio, (channels, samples), (samples, channels) or (samples,), float32
                or float64, full scale 1.0.
            sample_rate: Sample rate of the audio in Hz.
            buffer_size: An argument of pedalboard's call, which changes nothing here.
            reset: Whether the audio is a whole recording, which is given back in full. False: it
                is the next block of a stream, whose first `latency` samples are withheld.

        Returns:
            The processed audio, float32 in the layout of the input, C-contiguous, always a copy.

        Raises:
            TypeError: If the audio is not floating point, as in pedalboard.
            AudioError: If the shape or the rate is none that audio can have.
            ModelError: If a net failed in any window of a whole recording.
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
        """Return the last `latency` samples of the stream in its layout, and end the stream."""
        with self.one_thread():
            return np.array(self._call.rest(), np.float32, order="C")


class Blended(Effect):
    """An effect whose stages are `Blend`s: it has dry/wet settings and a bypass.

    All settings may be changed while it runs. They reach every stage that it made, and the sound
    glides to the new setting, so that nothing clicks.

    Args:
        mix: Percentage of wet (processed) sound in the output, 0 to 100.
        atten_lim_db: Most that is removed, in dB. 0: the input stays untouched; None: no limit.
        residual: Whether the output is what was removed, instead of what was kept.

    Raises:
        UsageError: If a value is out of range.
    """

    def __init__(
        self, mix: float = 100.0, atten_lim_db: float | None = None, residual: bool = False
    ) -> None:
        self._strength, self._bypass = Strength(mix, atten_lim_db, residual), False
        self._blends: WeakSet[Blend] = WeakSet()

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy and a pickle carry: all but the stages that this effect made."""
        return {name: value for name, value in super().__getstate__().items() if name != "_blends"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the settings of a copy or a pickle."""
        vars(self).update(state, _blends=WeakSet())

    def _made(self, blend: Blend) -> Blend:
        """Return a new stage, which from now on gets the settings of this effect."""
        if self._bypass:  # the first sample is dry already, without a crossfade to it
            blend.bypass = True
            blend.reset()
        self._blends.add(blend)
        return blend

    @property
    def strength(self) -> Strength:
        """The dry/wet settings."""
        return self._strength

    @strength.setter
    def strength(self, value: Strength) -> None:
        self._strength = value
        for blend in self._blends:
            blend.strength = value

    @property
    def bypass(self) -> bool:
        """Whether the output is the aligned input instead of the processed sound."""
        return self._bypass

    @bypass.setter
    def bypass(self, value: bool) -> None:
        self._bypass = value
        for blend in self._blends:
            blend.bypass = value

    @property
    def mix(self) -> float:
        """The percentage of wet (processed) sound, 0 to 100."""
        return self._strength.mix

    @mix.setter
    def mix(self, value: float) -> None:
        self.strength = Strength(value, self.atten_lim_db, self.residual)

    @property
    def atten_lim_db(self) -> float | None:
        """The most that is removed, in dB. None: no limit."""
        return self._strength.atten_lim_db

    @atten_lim_db.setter
    def atten_lim_db(self, value: float | None) -> None:
        self.strength = Strength(self.mix, value, self.residual)

    @property
    def residual(self) -> bool:
        """Whether the output is what was removed, instead of what was kept."""
        return self._strength.residual

    @residual.setter
    def residual(self, value: bool) -> None:
        self.strength = Strength(self.mix, self.atten_lim_db, value)

    def settings(self) -> dict[str, Any]:
        """Return the dry/wet settings by the names of their arguments."""
        return {"mix": self.mix, "atten_lim_db": self.atten_lim_db, "residual": self.residual}

    def _settings(self) -> str:
        return f"mix={self.mix:g}, atten_lim_db={self.atten_lim_db}, residual={self.residual}"


class Denoise(Knobbed, Blended):
    """An effect that runs a net on the sound.

    Args:
        model: Name of a model in the box, path of a model file, or a loaded net.
        mix: Percentage of wet (processed) sound in the output, 0 to 100.
        atten_lim_db: Most that is removed, in dB. 0: the input stays untouched; None: no limit.
        residual: Whether the output is what was removed, instead of what was kept.
        values: Values of the model's own parameters, which models of other hosts have.

    Raises:
        ModelError: If there is no such model, or it breaks the contract.
        UsageError: If a setting is out of range, or the model has no such parameter.

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
        **values: Any,
    ) -> None:
        super().__init__(mix, atten_lim_db, residual)
        if not isinstance(model, str | Path) and not hasattr(model, "card"):
            raise UsageError(f"model = {model!r}: wanted a name, a path or a loaded net")
        self._source = source(model) if isinstance(model, str | Path) else None
        self.net = find(model) if isinstance(model, str | Path) else twin(model)
        self._turn(values)
        self.own_rate, self.own_hop = self.net.card.sample_rate, self.net.card.hop

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle carries: in place of the net, its name or path if it has one."""
        state = super().__getstate__() | {"_values": self._turned()}
        if self._source is not None:
            del state["net"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the settings of a copy or a pickle, and load the net."""
        values = state.pop("_values", {})
        super().__setstate__(state)
        if self._source is not None and "net" not in state:
            self.net = find(self._source)
        self._turn(values)

    def settings(self) -> dict[str, Any]:
        """Return the arguments that make this effect as it is set; see `model`."""
        return {"model": self._source, **super().settings(), **self._turned()}

    @property
    def model(self) -> str | None:
        """The name of the model in the box, or its absolute path. None: a net was given."""
        return self._source

    def __deepcopy__(self, memo: dict[int, Any]) -> Denoise:
        """Return a copy with the same net, which holds no state, and streams of its own."""
        other = memo[id(self)] = type(self).__new__(type(self))
        memo[id(self.net)] = twin(self.net)
        other.__setstate__(deepcopy(super().__getstate__(), memo))
        return other

    def stage(self, stream: Stream, counters: Counters | None = None) -> Blend:
        """See `Effect.stage`."""
        return self._made(Line(self.net, stream, self.strength, counters))

    def rate_of_result(self, sample_rate: int) -> int:
        """See `Effect.rate_of_result`."""
        if self.net.card.task != "superres":
            return sample_rate
        return max(sample_rate, self.net.card.sample_rate)

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
    """An effect that mixes another effect with its aligned input.

    Args:
        effect: The effect that gives the wet sound.
        mix: Percentage of wet (processed) sound in the output, 0 to 100.
        atten_lim_db: Most that is removed, in dB. 0: the input stays untouched; None: no limit.
        residual: Whether the output is what was removed, instead of what was kept.

    Raises:
        UsageError: If a setting is out of range.
    """

    def __init__(
        self,
        effect: Effect,
        mix: float = 100.0,
        atten_lim_db: float | None = None,
        residual: bool = False,
    ) -> None:
        super().__init__(mix, atten_lim_db, residual)
        self.effect, self.inner = effect, (effect,)
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
    """Return *effect* with dry/wet settings: in a `DryWet`, unless *strength* changes nothing."""
    if strength == Strength():
        return effect
    return DryWet(effect, strength.mix, strength.atten_lim_db, strength.residual)
