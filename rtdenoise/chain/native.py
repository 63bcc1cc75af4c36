"""The door to pedalboard, which runs its plugins as stages.

pedalboard is GPLv3, and is imported only when it is used. A host must know four things about
pedalboard 0.9, each of which has a test in tests/chain/test_board.py:

* Nothing written in Python can run inside a native chain: pedalboard takes a Python subclass of a
  plugin and silently ignores its `process`. `check` refuses such a plugin by name.
* A block that is larger than any before it prepares the plugins again, which clears their state in
  the middle of the stream. So they first get the largest block that there will be, and are then
  reset by an empty one.
* With `reset=False`, some plugins (MP3Compressor, Resample, VST3s with latency) withhold their
  first samples, and how many depends on the blocks. So they get blocks of one size from a ring, and
  a second ring, which starts with as much silence as they withhold, makes the latency constant.
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

LARGEST = 8192  # most samples a native call; it is pedalboard's own default
EVEN = 512  # samples a call for plugins that withhold samples
PROBE = 32_768  # samples that measure what is withheld; no codec has longer frames
NOT_STREAMABLE = ("PitchShift", "GSMFullRateCompressor")
# The ranges of values that pedalboard 0.9 takes, (lowest, highest) by plugin and parameter. It does
# not publish them; tests/chain/test_registry.py tries values inside and outside.
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
    """Return whether *thing* is a plugin of pedalboard, without importing pedalboard."""
    pedalboard = sys.modules.get("pedalboard")
    return pedalboard is not None and isinstance(thing, pedalboard.Plugin)


def parts(plugin: Any) -> Iterator[Any]:
    """Yield *plugin* and, if it is a container, every plugin in it."""
    yield plugin
    if hasattr(plugin, "__iter__"):
        for inner in plugin:
            if inner is not None:
                yield from parts(inner)


def check(plugin: Any) -> None:
    """Refuse a plugin that pedalboard would accept and then not run.

    In a native container, a Python subclass is recognised only while its Python object exists;
    later only the native plugin is left.

    Raises:
        UsageError: If *plugin* is or holds a Python subclass of a plugin, or an instrument.
    """
    for part in parts(plugin):
        kind = type(part)
        if kind.__module__.split(".")[0] not in ("pedalboard", "pedalboard_native"):
            raise UsageError(
                f"{kind.__name__} is a Python subclass of a pedalboard plugin: pedalboard would "
                "silently ignore its process(). Make it an rtdenoise.Effect instead."
            )
        if not getattr(part, "is_effect", True):
            raise UsageError(f"{part!r} is an instrument, wanted an effect")


def streams(plugins: Sequence[Any]) -> bool:
    """Return whether all of *plugins* can process a stream block by block."""
    return not any(_unstreamable(plugin) for plugin in plugins)


def _unstreamable(plugin: Any) -> str:
    """Return the name of the plugin in *plugin* that gives silence when streamed, or ""."""
    names = (type(part).__name__ for part in parts(plugin))
    return next((name for name in names if name in NOT_STREAMABLE), "")


def whole(plugins: Sequence[Any], blocks: Iterable[Samples], stream: Stream) -> Iterator[Samples]:
    """Yield a whole recording, as one block, after *plugins*: as many samples, aligned."""
    from pedalboard import Pedalboard

    audio = np.concatenate([np.zeros((stream.channels, 0), np.float32), *blocks], axis=1)
    board = Pedalboard(list(plugins))
    out: Samples = board.process(audio, stream.rate, LARGEST, reset=True)
    yield out


def gsm(audio: Samples, rate: int) -> Samples:
    """Return *audio* after the GSM full-rate codec: as many samples, late by the codec's delay."""
    from pedalboard import GSMFullRateCompressor

    stream = Stream(rate, audio.shape[0])
    return next(whole([GSMFullRateCompressor()], [audio], stream))


class Native:
    """A stage that runs neighbouring native plugins with one native call a block.

    Args:
        plugins: The plugins in order. Their parameters may be set while the stage runs.
        stream: The stream that the stage is to process.

    Attributes:
        latency: Samples by which the output is late: 0 for most plugins, and otherwise the most
            that the plugins withhold, plus `EVEN`.

    Raises:
        UsageError: If a plugin cannot stream; the message names it.
    """

    def __init__(self, plugins: Sequence[Any], stream: Stream) -> None:
        if name := next(filter(None, map(_unstreamable, plugins)), ""):
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
        """Return the most samples that the plugins withhold, with blocks of *size* samples."""
        self._prime()
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, (self._channels, size))
        block, worst, lag = noise.astype(np.float32), 0, 0
        for _ in range(0, PROBE, size):
            lag += size - self._call(block).shape[1]
            worst = max(worst, lag)
        return worst

    def _call(self, block: Samples) -> Samples:
        """Return what the plugins give for *block*, which may be shorter."""
        out: Samples = self._board.process(block, self._rate, LARGEST, reset=False)
        return out.reshape(self._channels, -1)

    def _prime(self) -> None:
        """Prepare the plugins for the largest block, and reset them."""
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
    """Return the classes of pedalboard's effects by name."""
    import pedalboard

    classes = {name: thing for name, thing in vars(pedalboard).items() if inspect.isclass(thing)}
    containers = (pedalboard.ExternalPlugin, pedalboard.PluginContainer)
    return {
        name: kind
        for name, kind in classes.items()
        if issubclass(kind, pedalboard.Plugin)
        and kind is not pedalboard.Plugin
        and not issubclass(kind, containers)
        and kind not in (pedalboard.Pedalboard, pedalboard.IIRFilter)
    }


def load_vst3(settings: dict[str, Any]) -> Any:
    """Load a VST3 plugin.

    Args:
        settings: The `path` of the plugin, and values for its parameters by name.

    Raises:
        UsageError: If there is no path, or the plugin cannot be loaded or refuses a parameter.
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
    """Make a plugin of pedalboard.

    Args:
        name: The name of its class, for the error message.
        kind: The class.
        parameters: Values by the names of the parameters.

    Raises:
        UsageError: If the plugin refuses a value.
    """
    try:
        return kind(**parameters)
    except (TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"{name} refuses {parameters}: {reason}") from None
