"""VST3 plugins, which need more care than pedalboard's own: threads, channels, latency, names.

* pedalboard loads a VST3 on the main thread only. One whose reset does not clear its sound it even
  loads anew for each reset, on the main thread again. So a worker thread gets an instance that was
  loaded for it and has had no sound, and does not reset it. (tests/chain/test_vst3.py)
* Most VST3s are stereo. They refuse mono, and pedalboard leaves them switched off then. Mono goes
  into both of their inputs, and the mean of both outputs comes back. Other channel counts that a
  plugin does not know are refused.
* A VST3 says by how many samples it is late, and this is the latency of the stage.
* A wrong name of a parameter is an error in pedalboard that does not list the right ones.
"""

from __future__ import annotations

import base64
import os
import threading
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np

from ..audio import Samples, fit_channels
from ..core.counters import Counters
from ..core.stream import Stream
from ..errors import AudioError, UsageError
from .guard import Guard
from .native import LARGEST, load_file
from .parameter import Parameter

SAME = 1e-6  # of the range of a parameter: two values that differ by less are one

_PLACES: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()  # where each was loaded from
_CLEAN: WeakSet[Any] = WeakSet()  # those that have had no sound since they were loaded or reset

_PREPARED: WeakSet[Any] = WeakSet()  # those that a stage has used
_MONO_ROWS: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # channels that each gets for mono


def load(settings: dict[str, Any]) -> Any:
    """Load a VST3 plugin; this must be done on the main thread.

    Args:
        settings: The `path` of the plugin; its `plugin_name` if the file holds several; the
            `preset` (a .vstpreset file) or the `state` (as `state` gives it) that it begins
            with; and values for its parameters by name, which are set after that.

    Raises:
        UsageError: If there is no path, the plugin cannot be loaded, or it has no such parameter or
            refuses its value; the message lists the parameters.
    """
    values = dict(settings)
    path, name = values.pop("path", None), values.pop("plugin_name", None)
    if not (isinstance(path, str) and path and "\0" not in path):
        raise UsageError(f"path = {path!r}: wanted the path of a .vst3")
    if not os.path.exists(path):
        raise UsageError(f"cannot load {path}: there is no such file (seen from {Path.cwd()})")
    plugin = load_file(path, name)
    if name is not None and plugin.name != name:  # JUCE ignores the name if there is one plugin
        raise UsageError(f"there is no {name!r} in {path}, but {plugin.name!r}")
    _PLACES[plugin] = {"path": path, "plugin_name": name}
    _CLEAN.add(plugin)
    if (preset := values.pop("preset", None)) is not None:
        _load_preset(plugin, preset)
    if (kept := values.pop("state", None)) is not None:
        restore(plugin, kept)
    for key, value in values.items():
        set_value(plugin, key, value)
    return plugin


def place(plugin: Any) -> dict[str, Any]:
    """Return the settings with which `load` would load *plugin* again, without its parameters.

    Raises:
        UsageError: If *plugin* was loaded by something else, so that its file is not known.
    """
    if plugin not in _PLACES:
        raise UsageError(
            f"{plugin.name} cannot be copied, because pedalboard does not tell its file: load it "
            "by a board file, or by rtdenoise.chain.vst3.load({'path': ...})"
        )
    return _PLACES[plugin]


def state(plugin: Any) -> str:
    """Return the state of *plugin* for `load`, as text.

    It is what the plugin gives as its state, and after a colon the values of its parameters. A
    plugin learns of a parameter only with the next block of sound: what was set since the last one
    is not in its own state.
    """
    values = [parameter.raw_value for parameter in _settable(plugin)]
    parts = bytes(plugin.raw_state), np.array(values, "<f4").tobytes()
    return ":".join(base64.b64encode(part).decode() for part in parts)


def restore(plugin: Any, kept: Any) -> None:
    """Give *plugin* the state that `state` returned.

    Raises:
        UsageError: If *kept* is not such a text, or the plugin refuses it.
    """
    try:
        own, values = (base64.b64decode(part, validate=True) for part in kept.split(":"))
        plugin.raw_state = own
        wanted = np.frombuffer(values, "<f4")
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"{plugin.name}: state: wanted the text that a saved board has ({error})"
        ) from None
    settable = _settable(plugin)
    if len(wanted) != len(settable):  # it was another version: its own state must do
        return
    for parameter, value in zip(settable, wanted, strict=True):
        if abs(parameter.raw_value - value) > SAME:
            parameter.raw_value = float(np.clip(value, 0.0, 1.0))


def _settable(plugin: Any) -> list[Any]:
    """Return the parameters of *plugin* that are not its own reports, as that of its latency."""
    return [parameter for parameter in plugin.parameters.values() if parameter.is_automatable]


def _load_preset(plugin: Any, preset: Any) -> None:
    """Give *plugin* the settings of a .vstpreset file."""
    if not isinstance(preset, str) or not os.path.isfile(preset):
        raise UsageError(f"{plugin.name}: preset = {preset!r}: wanted the path of a .vstpreset")
    try:
        plugin.load_preset(preset)
    except (ValueError, RuntimeError) as error:
        raise UsageError(
            f"{plugin.name}: preset = {preset!r}: {' '.join(str(error).split())}"
        ) from None


def parameters(plugin: Any) -> tuple[Parameter, ...]:
    """Return the parameters of *plugin*, with the ranges that it publishes."""
    return tuple(
        Parameter(key, value(plugin, key), low, high, str(known.label or ""))
        if isinstance(low, float)
        else Parameter(key, value(plugin, key))
        for key, known in plugin.parameters.items()
        for low, high in [known.range[:2]]
    )


def value(plugin: Any, name: str) -> Any:
    """Return the value of a parameter of *plugin*: a number, a truth value or a text."""
    given = getattr(plugin, name)  # `plugin.parameters` would look at all parameters for each
    kind: type[Any] = next((kind for kind in (float, str) if isinstance(given, kind)), bool)
    return kind(given)


def choices(plugin: Any, name: str) -> list[str]:
    """Return the texts of which a parameter of *plugin* is one. Empty: it is no text."""
    if not isinstance(getattr(plugin, name), str):
        return []
    return list(map(str, plugin.parameters[name].valid_values))


def set_value(plugin: Any, name: str, value: Any) -> None:
    """Set the parameter *name* of *plugin*.

    Raises:
        UsageError: If there is no such parameter, or it refuses the value.
    """
    if name not in plugin.parameters:
        known = ", ".join(
            f"{key} ({low:g} to {high:g})" if isinstance(low, float) else key
            for key, known in plugin.parameters.items()
            for low, high in [known.range[:2]]
        )
        raise UsageError(f"{plugin.name} has no {name!r}; known: {known or 'none'}")
    if not isinstance(value, str | int | float):
        raise UsageError(f"{plugin.name}: {name} = {value!r}: wanted a number or a text")
    Parameter(name).check_at(plugin.name, value)
    try:
        setattr(plugin, name, value)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{plugin.name}: {' '.join(str(error).split())}") from None


class Hosted:
    """A stage that runs one VST3 plugin.

    Its output depends on the cut of the stream only if the plugin itself depends on it.

    Args:
        plugin: The plugin. Its parameters may be set while the stage runs.
        stream: The stream that the stage is to process.
        counters: Where a failure of the plugin is counted. None: in counters of its own.

    Attributes:
        latency: Samples by which the plugin says that its output is late.

    Raises:
        AudioError: If the plugin cannot process that many channels.
        UsageError: If the plugin has to be loaded anew, and this is not the main thread.
    """

    def __init__(self, plugin: Any, stream: Stream, counters: Counters | None = None) -> None:
        self.stream, self._plugin = stream, plugin
        self._guard = Guard(plugin.name, counters)
        for key, parameter in plugin.parameters.items():
            Parameter(key).check_at(plugin.name, float(parameter.raw_value))
        self._rows = self._fitting_rows()
        self.latency = int(plugin.reported_latency_samples)

    def _fitting_rows(self) -> int:
        """Prepare the plugin; return how many channels it gets: as the stream, or two for mono."""
        channels, refusal = self.stream.channels, ""
        tries = [_MONO_ROWS.get(self._plugin, 1), 2] if channels == 1 else [channels]
        for rows in tries:
            try:
                if refusal and self._plugin in _PREPARED:
                    self._switch_on(rows)
                self._prime(rows)
            except UsageError:
                raise
            except ValueError as error:
                refusal = refusal or " ".join(str(error).split())
                continue
            if channels == 1:
                _MONO_ROWS[self._plugin] = rows
            return rows
        raise AudioError(
            f"{self._plugin.name} cannot process {channels} channels: {refusal} Take it out, or "
            "split the recording"
        )

    def _switch_on(self, rows: int) -> None:
        """Prepare the plugin at another rate: a refusal of channels leaves it switched off."""
        other = 44_100 if self.stream.rate == 48_000 else 48_000
        self._plugin.process(np.zeros((rows, 64), np.float32), other, LARGEST, reset=False)

    def _process(self, block: Samples, reset: bool) -> Samples:
        """Return what the plugin gives for *block*."""
        out: Samples = self._plugin.process(block, self.stream.rate, LARGEST, reset)
        return out.reshape(block.shape[0], -1)

    def _prime(self, rows: int) -> None:
        """Reset the plugin, and prepare it for the largest block of *rows* channels.

        A reset that fails leaves the plugin switched off, so it is not tried in vain.
        """
        silence = np.zeros((rows, LARGEST), np.float32)
        main = threading.current_thread() is threading.main_thread()
        try:
            self._process(silence, reset=main or self._plugin not in _CLEAN)
        except RuntimeError as error:
            raise UsageError(
                f"{self._plugin.name}: {error} Make its stage on the main thread, or load another "
                "instance there for each recording."
            ) from None
        _CLEAN.add(self._plugin)
        _PREPARED.add(self._plugin)
        self._stale = False

    def push(self, block: Samples) -> Samples:
        """See `Stage.push`. NaN and infinite samples become silence, and are counted."""
        if self._stale:
            self._prime(self._rows)
        if block.any():
            _CLEAN.discard(self._plugin)
        given = fit_channels(self._guard.clean(block), self._rows)
        out = np.zeros(given.shape, np.float32)
        for at in range(0, block.shape[1], LARGEST):
            late = out[:, at : at + LARGEST]
            part = self._process(np.ascontiguousarray(given[:, at : at + LARGEST]), reset=False)
            # What pedalboard withholds, it withholds for good: then the first samples are missing.
            late[:, late.shape[1] - part.shape[1] :] = part
        if not self._guard.passes(out):
            out[:] = 0
            self.reset()
        return fit_channels(out, self.stream.channels)

    def reset(self) -> None:
        """See `Stage.reset`. Outside the main thread, the plugin is reset when a block comes."""
        if threading.current_thread() is threading.main_thread():
            self._prime(self._rows)
        else:
            self._stale = True
