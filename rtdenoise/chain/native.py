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

Plugins keep NaN in their state for ever, some crash on it, and take NaN as a parameter. So they get
finite samples and values only, and what they give is looked at (guard.py). VST3s are in vst3.py.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import Samples
from ..core.counters import Counters
from ..core.ring import Ring
from ..core.stream import Stream
from ..errors import AudioError, UsageError
from .guard import Guard
from .parameter import Parameter, from_docstring

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

# Ranges that JUCE documents and does not check: beyond them the sound grows without bounds.
STABLE: dict[str, dict[str, Range]] = {
    "Chorus": {"depth": SHARE, "centre_delay_ms": (1, 100), "feedback": (-1, 1)},
    "Phaser": {"depth": SHARE, "feedback": (-1, 1), "mix": SHARE},
}
# Plugins that crash on sound far beyond full scale (LAME does at 1e10), and the most they get: 40
# dB over. They stand alone, because a plugin before them in one native call could make such sound.
FRAGILE = {"MP3Compressor": 100.0}


def is_plugin(thing: object) -> bool:
    """Return whether *thing* is a plugin of pedalboard, without importing pedalboard."""
    pedalboard = sys.modules.get("pedalboard")
    return pedalboard is not None and isinstance(thing, pedalboard.Plugin)


def is_external(plugin: object) -> bool:
    """Return whether *plugin* is a VST3 or an Audio Unit."""
    pedalboard = sys.modules.get("pedalboard")
    return pedalboard is not None and isinstance(plugin, pedalboard.ExternalPlugin)


def stands_alone(plugin: object) -> bool:
    """Return whether *plugin* is not to share a native call with its neighbours."""
    return is_external(plugin) or loudest([plugin]) is not None


def loudest(plugins: Sequence[Any]) -> float | None:
    """Return the most that *plugins*, or those in them, may get. None: there is no limit."""
    within = (type(part).__name__ for plugin in plugins for part in parts(plugin))
    return min((FRAGILE[name] for name in within if name in FRAGILE), default=None)


def guard_of(plugins: Sequence[Any], counters: Counters | None) -> Guard:
    """Return the watch over *plugins*, which share a native call."""
    return Guard(names(plugins), counters, loudest(plugins))


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


def parameters(kind: type[Any]) -> tuple[Parameter, ...]:
    """Return the parameters of a class of pedalboard, with the ranges above."""
    ranges = RANGES.get(kind.__name__, {}) | STABLE.get(kind.__name__, {})
    return tuple(
        Parameter(p.name, p.default, *ranges.get(p.name, (None, None)), p.unit)
        for p in from_docstring(kind.__init__.__doc__ or "")
    )


def values_of(plugins: Sequence[Any]) -> list[tuple[Any, Parameter]]:
    """Return every parameter of *plugins* and of the plugins in them, with its plugin."""
    within = [part for plugin in plugins for part in parts(plugin)]
    return [(part, p) for part in within for p in parameters(type(part)) if hasattr(part, p.name)]


def check_values(values: Iterable[tuple[Any, Parameter]], rate: int) -> None:
    """Refuse a parameter that makes no sense in a stream of *rate* Hz; see `values_of`.

    Raises:
        UsageError: If a value is NaN or infinite, or a frequency is half of *rate* or more.
    """
    for plugin, parameter in values:
        parameter.check_at(type(plugin).__name__, getattr(plugin, parameter.name), rate)


def names(plugins: Sequence[Any]) -> str:
    """Return the names of *plugins*, which are no VST3s, for messages."""
    return ", ".join(type(plugin).__name__ for plugin in plugins)


def streams(plugins: Sequence[Any]) -> bool:
    """Return whether all of *plugins* can process a stream block by block."""
    return not any(_unstreamable(plugin) for plugin in plugins)


def _unstreamable(plugin: Any) -> str:
    """Return the name of the plugin in *plugin* that gives silence when streamed, or ""."""
    names = (type(part).__name__ for part in parts(plugin))
    return next((name for name in names if name in NOT_STREAMABLE), "")


def whole(
    plugins: Sequence[Any],
    blocks: Iterable[Samples],
    stream: Stream,
    counters: Counters | None = None,
) -> Iterator[Samples]:
    """Yield a whole recording, as one block, after *plugins*: as many samples, aligned."""
    from pedalboard import Pedalboard

    check_values(values_of(plugins), stream.rate)
    audio = np.concatenate([np.zeros((stream.channels, 0), np.float32), *blocks], axis=1)
    board, guard, out = Pedalboard(list(plugins)), guard_of(plugins, counters), audio
    if audio.shape[1]:
        try:
            out = board.process(guard.clean(audio), stream.rate, LARGEST, reset=True)
        except (ValueError, RuntimeError) as error:
            raise refused(plugins, stream, error) from None
    yield out if guard.passes(out) else np.zeros(out.shape, np.float32)


def refused(plugins: Sequence[Any], stream: Stream, error: Exception) -> AudioError:
    """Return the error that says why *plugins* do not take a stream."""
    return AudioError(
        f"{names(plugins)} cannot process {stream.channels} channels at {stream.rate} Hz: {error}"
    )


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
        counters: Where a failure of the plugins is counted. None: in counters of its own.

    A block for which the plugins give NaN or infinity becomes silence, and they begin anew.

    Attributes:
        latency: Samples by which the output is late: 0 for most plugins, and otherwise the most
            that the plugins withhold, plus `EVEN`.

    Raises:
        UsageError: If a plugin cannot stream, or has a parameter that makes no sense at this rate;
            the message names it.
        AudioError: If a plugin cannot process that many channels.
    """

    def __init__(
        self, plugins: Sequence[Any], stream: Stream, counters: Counters | None = None
    ) -> None:
        if name := next(filter(None, map(_unstreamable, plugins)), ""):
            raise UsageError(
                f"{name} cannot stream: pedalboard gives silence for it block by block. "
                "Take it out, or process whole recordings (reset=True)."
            )
        self._values = values_of(plugins)
        check_values(self._values, stream.rate)
        from pedalboard import Pedalboard

        self.stream, self._channels = stream, stream.channels
        self._guard = guard_of(plugins, counters)
        self._board, self._rate = Pedalboard(list(plugins)), stream.rate
        try:
            self._even = self._shortfall(64) > 0
        except (ValueError, RuntimeError) as error:
            raise refused(plugins, stream, error) from None
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
        """See `Stage.push`. NaN and infinite samples become silence, and are counted.

        Raises:
            UsageError: If a parameter was set to a value that makes no sense at this rate.
        """
        check_values(self._values, self._rate)
        finite, out = self._guard.clean(block), np.zeros(block.shape, np.float32)
        for at in range(0, block.shape[1], LARGEST):
            part, late = finite[:, at : at + LARGEST], out[:, at : at + LARGEST]
            if not self._even:
                late[:] = self._call(np.ascontiguousarray(part))
                continue
            self._waiting.write(part)
            while self._waiting.available >= EVEN:
                even = np.empty((self._channels, EVEN), np.float32)
                self._waiting.read(even)
                self._ready.write(self._call(even))
            self._ready.read(late)
        if not self._guard.passes(out):
            out[:] = 0
            self.reset()
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


def type_of(name: str) -> type[Any]:
    """Return the class of pedalboard called *name*, containers included."""
    import pedalboard

    kind: type[Any] = getattr(pedalboard, name)
    return kind


def load_file(path: str, plugin_name: str | None) -> Any:
    """Load a plugin from a file; see `vst3.load`, which checks what it can.

    Raises:
        UsageError: If the plugin cannot be loaded, or is no effect.
    """
    from pedalboard import load_plugin

    try:
        plugin = load_plugin(path, plugin_name=plugin_name)
    except (ImportError, OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split()).rpartition("VST3Plugin: ")[2]
        raise UsageError(f"cannot load {path}: {reason}") from None
    if not plugin.is_effect:
        raise UsageError(f"{path} is an instrument, wanted an effect")
    return plugin


def choice(kind: type[Any], name: str, key: str, value: str) -> Any:
    """Return the member called *value* of the enumeration that the parameter *key* takes."""
    choices = getattr(kind, key.capitalize(), None)
    if choices is None and key == "quality":  # GSMFullRateCompressor has that of Resample
        choices = type_of("Resample").Quality
    members = getattr(choices, "__members__", {})
    if value not in members:
        wanted = ", ".join(members) or "a number"
        raise UsageError(f"{name}: {key} = {value!r}: wanted {wanted}")
    return members[value]


def _check_sound(what: str, file: Any) -> None:
    """Refuse *file* if it is no sound file; a Convolution takes any file, and gives silence."""
    from pedalboard.io import AudioFile

    if not isinstance(file, str) or "\0" in file:
        raise UsageError(f"{what} = {file!r}: wanted the name of a sound file")
    if not os.path.exists(file):
        raise UsageError(f"{what}: there is no file {file} (seen from {Path.cwd()})")
    try:
        with AudioFile(file) as sound:
            frames = sound.frames
    except (ValueError, OSError, RuntimeError):
        frames = 0
    if not frames:
        raise UsageError(f"{what}: {file} is no sound file, or it is empty")


def make(name: str, kind: type[Any], parameters: dict[str, Any]) -> Any:
    """Make a plugin of pedalboard.

    Args:
        name: The name of its class, for the error message.
        kind: The class.
        parameters: Values by the names of the parameters.

    Raises:
        UsageError: If the plugin refuses a value, or a file that it needs is not there.
    """
    values = dict(parameters)
    for key, value in parameters.items():
        if key.endswith("_filename"):
            _check_sound(f"{name}: {key}", value)
        elif isinstance(value, str):
            values[key] = choice(kind, name, key, value)
    try:
        return kind(**values)
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"{name} refuses {parameters}: {reason}") from None
