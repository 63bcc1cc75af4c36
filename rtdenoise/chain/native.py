"""The door to pedalboard: its plugins as stages. pedalboard is GPLv3 and loaded only when used.

What pedalboard 0.9 does that a host must know (each has a test in tests/test_board.py):

* Nothing written in Python can sit inside a native chain: a Python subclass of a plugin is accepted
  and its `process` silently ignored. `check` refuses those by name.
* A block larger than any before re-prepares the plugins and wipes their state in mid stream. So
  they are primed with the largest block there will be, then reset by an empty one.
* With `reset=False` a plugin *withholds* its first samples (MP3Compressor, Resample, VST3s with
  latency): by how many depends on the blocks, and the priming does not help those. So they get
  blocks of one size out of a ring, and a ring primed with the shortfall makes them steady.
* PitchShift and GSMFullRateCompressor give silence when streamed (spotify/pedalboard#415).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..audio import Samples
from ..core.ring import Ring
from ..errors import UsageError

LARGEST = 8192  # samples a native call; pedalboard's own default
EVEN = 512  # samples a call for plugins that withhold
PROBE = 32_768  # samples; longer than any frame a codec waits for
NOT_STREAMABLE = ("PitchShift", "GSMFullRateCompressor")


def is_plugin(thing: object) -> bool:
    """Tell a pedalboard plugin, without loading pedalboard: if it is not loaded, nothing is one."""
    pedalboard = sys.modules.get("pedalboard")
    return pedalboard is not None and isinstance(thing, pedalboard.Plugin)


def parts(plugin: Any) -> Iterator[Any]:
    """*plugin* and, if it is a container, everything in it."""
    yield plugin
    if hasattr(plugin, "__iter__"):
        for inner in plugin:
            if inner is not None:
                yield from parts(inner)


def check(plugin: Any) -> None:
    """Refuse what pedalboard would accept and then not run.

    Inside a native container a subclass can be told only while its Python object lives; after
    that nothing of it is left but the native plugin.

    Raises:
        UsageError: a Python subclass of a plugin, or an instrument.
    """
    for part in parts(plugin):
        kind = type(part)
        if kind.__module__.split(".")[0] not in ("pedalboard", "pedalboard_native"):
            raise UsageError(
                f"{kind.__name__} is a Python subclass of a pedalboard plugin: pedalboard would "
                "silently ignore its process(). Make it an rtdenoise.Effect instead."
            )
        if not getattr(part, "is_effect", True):
            raise UsageError(f"{part!r} is an instrument, not an effect: it takes no sound")


def whole(plugins: Sequence[Any], audio: Samples, rate: int, buffer_size: int) -> Samples:
    """Plugins on a whole recording, as pedalboard does it: n samples in, n out, aligned."""
    from pedalboard import Pedalboard

    out: Samples = Pedalboard(list(plugins)).process(audio, rate, buffer_size, reset=True)
    return out


class Native:
    """A run of neighbouring native plugins as one stage, one native call a block.

    Args:
        plugins: In order; they keep their parameters, which may be set while running.
        channels: Rows of each block.
        rate: Hz.

    Raises:
        UsageError: a plugin that cannot stream; it is named.
    """

    def __init__(self, plugins: Sequence[Any], channels: int, rate: int) -> None:
        for plugin in plugins:
            for part in parts(plugin):
                if (name := type(part).__name__) in NOT_STREAMABLE:
                    raise UsageError(
                        f"{name} cannot stream: pedalboard gives silence for it block by block. "
                        "Take it out, or process whole recordings (reset=True)."
                    )
        from pedalboard import Pedalboard

        self._board, self._channels, self._rate = Pedalboard(list(plugins)), channels, rate
        self._even = self._shortfall(64) > 0
        short = self._shortfall(EVEN) if self._even else 0
        self._latency = short + EVEN if self._even else 0
        self._waiting = Ring(channels, LARGEST + EVEN)
        self._ready = Ring(channels, self._latency + 2 * LARGEST)
        self.reset()

    @property
    def latency(self) -> int:
        """Samples of delay: 0 for most, else what they withhold and a block."""
        return self._latency

    def _shortfall(self, size: int) -> int:
        """Samples by which the output's length lags behind the input's, at worst."""
        self._prime()
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, (self._channels, size))
        block, worst, lag = noise.astype(np.float32), 0, 0
        for _ in range(0, PROBE, size):
            lag += size - self._call(block).shape[1]
            worst = max(worst, lag)
        return worst

    def _call(self, block: Samples) -> Samples:
        out: Samples = self._board.process(block, self._rate, LARGEST, reset=False)
        return out.reshape(self._channels, -1)

    def _prime(self) -> None:
        for samples in (LARGEST, 0):
            silence = np.zeros((self._channels, samples), np.float32)
            self._board.process(silence, self._rate, LARGEST, reset=True)

    def push(self, block: Samples) -> Samples:
        """See `Stage.push`."""
        out = np.zeros(block.shape, np.float32)
        for at in range(0, block.shape[1], LARGEST):
            part, late = block[:, at : at + LARGEST], out[:, at : at + LARGEST]
            if not self._even:
                late[:] = self._call(np.ascontiguousarray(part))
                continue
            self._waiting.write(part)
            while self._waiting.available >= EVEN:
                even = np.empty((self._channels, EVEN), np.float32)
                self._waiting.read(even)
                self._ready.write(self._call(even))
            self._ready.read(late)
        return out

    def flush(self) -> Samples:
        """See `Stage.flush`."""
        rest = self.push(np.zeros((self._channels, self._latency), np.float32))
        self.reset()
        return rest

    def reset(self) -> None:
        """See `Stage.reset`."""
        self._prime()
        self._waiting.reset()
        self._ready.reset(silence=self._latency)


def plugin_types() -> dict[str, type[Any]]:
    """Pedalboard's effects by name."""
    import pedalboard

    found = {name: thing for name, thing in vars(pedalboard).items() if inspect.isclass(thing)}
    containers = (pedalboard.ExternalPlugin, pedalboard.Chain, pedalboard.Mix)
    return {
        name: kind
        for name, kind in found.items()
        if issubclass(kind, pedalboard.Plugin)
        and kind is not pedalboard.Plugin
        and not issubclass(kind, containers)
        and kind is not pedalboard.Pedalboard
    }


def make(name: str, parameters: dict[str, Any]) -> Any:
    """A plugin by its name, or `VST3` by its path.

    Raises:
        UsageError: unknown name or parameter (the known ones are listed), or a value it refuses.
    """
    if name == "VST3":
        from pedalboard import load_plugin

        settings = dict(parameters)
        path = settings.pop("path", None)
        if path is None:
            raise UsageError("a VST3 needs path = '...vst3'")
        try:
            return load_plugin(path, parameter_values=settings)
        except (ImportError, OSError, ValueError, AttributeError) as error:
            raise UsageError(f"cannot load {path}: {error}") from None
    kinds = plugin_types()
    if name not in kinds:
        raise UsageError(
            f"unknown effect {name!r}; known: Denoise, Mix, VST3, {', '.join(sorted(kinds))}"
        )
    try:
        return kinds[name](**parameters)
    except (TypeError, ValueError) as error:
        known = ", ".join(settable(kinds[name])) or "none"
        reason = str(error).strip().splitlines()[0]
        raise UsageError(
            f"{name} refuses {parameters}: {reason} Known parameters: {known}"
        ) from None


def settable(kind: type[Any]) -> list[str]:
    """Names of the parameters of a plugin class."""
    return sorted(
        name
        for name, thing in inspect.getmembers(kind)
        if isinstance(thing, property) and thing.fset is not None
    )
