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
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..audio import Samples
from ..core.ring import Ring
from ..core.stream import Stream
from ..errors import UsageError

LARGEST = 8192  # samples a native call; pedalboard's own default
EVEN = 512  # samples a call for plugins that withhold
PROBE = 32_768  # samples; longer than any frame a codec waits for
NOT_STREAMABLE = ("PitchShift", "GSMFullRateCompressor")
# The values that pedalboard 0.9 takes, (lowest, highest) by plugin and parameter. It publishes none
# of them; tests/chain/test_registry.py tries the values inside and outside.
Range = tuple[float | None, float | None]
SHARE, POSITIVE, AT_LEAST_ONE = (0.0, 1.0), (1e-3, None), (1.0, None)
RANGES: dict[str, dict[str, Range]] = {
    "Bitcrush": {"bit_depth": (0, 32)},
    "BrickwallLimiter": {"release_ms": POSITIVE, "lookahead_ms": (1e-3, 100)},
    "Chorus": {"rate_hz": (0, 100), "mix": SHARE},
    "Compressor": {"ratio": AT_LEAST_ONE},
    "Delay": {"delay_seconds": (0, 30), "feedback": SHARE, "mix": SHARE},
    "HighShelfFilter": {"cutoff_frequency_hz": POSITIVE, "q": POSITIVE},
    "LadderFilter": {"resonance": SHARE, "drive": AT_LEAST_ONE},
    "LowShelfFilter": {"cutoff_frequency_hz": POSITIVE, "q": POSITIVE},
    "MP3Compressor": {"vbr_quality": (0, 10)},
    "PeakFilter": {"cutoff_frequency_hz": POSITIVE, "q": POSITIVE},
    "PitchShift": {"semitones": (-72, 72)},
    "Resample": {"target_sample_rate": POSITIVE},
    "Reverb": dict.fromkeys(
        ("room_size", "damping", "wet_level", "dry_level", "width", "freeze_mode"), SHARE
    ),
}


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


def streams(plugins: Sequence[Any]) -> bool:
    """Whether all of *plugins* work block by block."""
    return not any(_deaf(plugin) for plugin in plugins)


def _deaf(plugin: Any) -> str:
    """The name of the part of *plugin* that gives silence when streamed; empty: none."""
    names = (type(part).__name__ for part in parts(plugin))
    return next((name for name in names if name in NOT_STREAMABLE), "")


def whole(plugins: Sequence[Any], blocks: Iterable[Samples], stream: Stream) -> Iterator[Samples]:
    """Plugins on a whole recording at once, as pedalboard does it: n samples in, n out, aligned."""
    from pedalboard import Pedalboard

    audio = np.concatenate([np.zeros((stream.channels, 0), np.float32), *blocks], axis=1)
    board = Pedalboard(list(plugins))
    out: Samples = board.process(audio, stream.rate, LARGEST, reset=True)
    yield out


def gsm(audio: Samples, rate: int) -> Samples:
    """A recording after the GSM full-rate codec: as many samples, not aligned."""
    from pedalboard import GSMFullRateCompressor

    stream = Stream(rate, audio.shape[0])
    return next(whole([GSMFullRateCompressor()], [audio], stream))


class Native:
    """A run of neighbouring native plugins as one stage, one native call a block.

    Args:
        plugins: In order; they keep their parameters, which may be set while running.
        stream: What it is made for.

    Attributes:
        latency: 0 for most; for plugins that withhold samples, those and a block.

    Raises:
        UsageError: a plugin that cannot stream; it is named.
    """

    def __init__(self, plugins: Sequence[Any], stream: Stream) -> None:
        if name := next(filter(None, map(_deaf, plugins)), ""):
            raise UsageError(
                f"{name} cannot stream: pedalboard gives silence for it block by block. "
                "Take it out, or process whole recordings (reset=True)."
            )
        from pedalboard import Pedalboard

        self.stream, self._channels = stream, stream.channels
        self._board, self._rate = Pedalboard(list(plugins)), stream.rate
        self._even = self._shortfall(64) > 0
        short = self._shortfall(EVEN) if self._even else 0
        self.latency = short + EVEN if self._even else 0
        self._waiting = Ring(self._channels, LARGEST + EVEN)
        self._ready = Ring(self._channels, self.latency + 2 * LARGEST)
        self.reset()

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

    def reset(self) -> None:
        """See `Stage.reset`."""
        self._prime()
        self._waiting.reset()
        self._ready.reset(silence=self.latency)


def plugin_types() -> dict[str, type[Any]]:
    """Pedalboard's effects by name."""
    import pedalboard

    found = {name: thing for name, thing in vars(pedalboard).items() if inspect.isclass(thing)}
    containers = (pedalboard.ExternalPlugin, pedalboard.PluginContainer)
    return {
        name: kind
        for name, kind in found.items()
        if issubclass(kind, pedalboard.Plugin)
        and kind is not pedalboard.Plugin
        and not issubclass(kind, containers)
        and kind not in (pedalboard.Pedalboard, pedalboard.IIRFilter)
    }


def load_vst3(settings: dict[str, Any]) -> Any:
    """The VST3 plugin at `path`, with the rest of *settings* as its parameters.

    Raises:
        UsageError: no path, or what stands there cannot be loaded or refuses a parameter.
    """
    from pedalboard import load_plugin

    parameters = dict(settings)
    path = parameters.pop("path", None)
    if path is None:
        raise UsageError("a VST3 needs path = '...vst3'")
    try:
        return load_plugin(path, parameter_values=parameters)
    except (ImportError, OSError, ValueError, AttributeError) as error:
        raise UsageError(f"cannot load {path}: {error}") from None


def make(name: str, kind: type[Any], parameters: dict[str, Any]) -> Any:
    """A plugin of pedalboard's class *kind*.

    Raises:
        UsageError: a value that the plugin refuses.
    """
    try:
        return kind(**parameters)
    except (TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"{name} refuses {parameters}: {reason}") from None
