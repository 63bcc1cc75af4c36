"""The door to PulseAudio's protocol, which PipeWire's Pulse server speaks too: virtual devices.

    microphone:  our output -> null sink -> its monitor -> remapped source <- programs record it
    speakers:    programs play -> null sink -> its monitor -> our input

The server's modules outlive a process that was killed. Each one therefore carries the name of its
owner's connection, and whoever starts next removes the modules whose owner is not connected.
"""

from __future__ import annotations

import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, TypeVar

from ..errors import DeviceError, Problem
from .devices import Kind

Role = Literal["microphone", "speakers"]
OTHER_END: dict[Role, Kind] = {"microphone": "input", "speakers": "output"}  # not at the device
VARIABLES: dict[Kind, str] = {"output": "PULSE_SINK", "input": "PULSE_SOURCE"}
OWNER = re.compile(r"rtdenoise\.owner=([\w-]+)")
ANSWER_S = 5.0  # a server that answers nothing for so long is stuck
SETTLE_S = 1.0  # PipeWire lists a device, and chooses a default, shortly after the request
LOOK_S = 0.02
WATCH_S = 0.5  # longest wait for an event
T = TypeVar("T")


def answered(ask: Callable[[], T]) -> T:
    """Return the result of *ask*, which may wait for the server, if it comes within `ANSWER_S`.

    Raises:
        DeviceError: If the server does not answer, or refuses.
    """
    results: list[T] = []
    faults: list[Exception] = []

    def work() -> None:
        try:
            results.append(ask())
        except Exception as fault:
            faults.append(fault)

    thread = threading.Thread(target=work, daemon=True, name="rtdenoise-server")
    thread.start()
    thread.join(ANSWER_S)
    if results:
        return results[0]
    if faults and isinstance(faults[0], DeviceError):
        raise faults[0]
    text = f"refuses: {faults[0]}" if faults else f"has not answered for {ANSWER_S:.0f} s"
    raise DeviceError(f"the sound server {text}", Problem.SOUND_SERVER)


@dataclass(frozen=True)
class Made:
    """A virtual device at the server.

    Attributes:
        role: "microphone" or "speakers".
        pulse: Connection that owns it.
        modules: Modules of the server, in the order in which they were loaded.
        title: Name that programs show.
        ends: Names of its sink and its source, by the kind of the stream that uses them.
        real: Names of the default sink and source before it was made. None: there was none.
        over: Event that is set when it is removed.
    """

    role: Role
    pulse: Any
    modules: list[int]
    title: str
    ends: dict[Kind, str]
    real: dict[Kind, str | None]
    over: threading.Event = field(default_factory=threading.Event)

    def there(self) -> bool:
        """Return whether the device is at the server, which may have been started anew."""
        return self.ends["output"] in {sink.name for sink in self.pulse.sink_list()}

    def defaults(self) -> list[str]:
        """Return the names of its sinks and sources that are the server's defaults."""
        now = self.pulse.server_info()
        names = (now.default_sink_name, now.default_source_name)
        return [name for name in names if name in {*self._own("output"), *self._own("input")}]

    def detour(self, kind: Kind) -> str | None:
        """Return where a stream that is not for this device must go. None: to the default.

        Raises:
            DeviceError: If the server has no other device.
        """
        if not set(self.defaults()) & self._own(kind):
            return None
        if self.real[kind] not in _listed(self.pulse, kind).values():
            raise DeviceError(f"the sound server has no other {kind} device", Problem.DEVICE)
        return self.real[kind]

    def place(self, kinds: Iterable[Kind]) -> bool:
        """Move the streams of this process to the device, if ALSA's plugin ignores `VARIABLES`.

        Returns:
            Whether there is one at the device for each kind; a new stream takes a moment.
        """
        placed = True
        for kind in kinds:
            others = {*_listed(self.pulse, kind).values()} - self._own(kind)
            placed &= _move(self.pulse, kind, others, self.ends[kind])
        return placed

    def untangle(self, pulse: Any) -> None:
        """Move a stream of this process from the end that is for other programs.

        The server moves streams when its default changes. If the user makes the virtual device the
        default, its sound would go in a circle.
        """
        kind = OTHER_END[self.role]
        _move(pulse, kind, self._own(kind), self.real[kind])

    def watch(self) -> None:
        """Untangle whenever a stream changes, until the device is removed or the server ends."""
        import pulsectl

        def stop(_event: Any) -> None:
            raise pulsectl.PulseLoopStop

        ended = (pulsectl.PulseDisconnected, pulsectl.PulseError, DeviceError)
        with suppress(*ended), closing(_connected("rtdenoise-watch")) as pulse:
            pulse.event_mask_set("sink_input", "source_output")
            pulse.event_callback_set(stop)
            while not self.over.is_set():
                self.untangle(pulse)
                pulse.event_listen(timeout=WATCH_S)

    def remove(self) -> None:
        """Remove the device from the server, and close the connection."""
        self.over.set()
        _remove(self.pulse, self.modules)

    def _own(self, kind: Kind) -> set[str]:
        """Return the names of the sinks or sources that the device has."""
        sink = self.ends["output"]
        return {sink} if kind == "output" else {self.ends["input"], f"{sink}.monitor"}


def _listed(pulse: Any, kind: Kind) -> dict[int, str]:
    """Return the names of all sinks or sources, by their numbers."""
    devices = pulse.sink_list() if kind == "output" else pulse.source_list()
    return {device.index: device.name for device in devices}


def _move(pulse: Any, kind: Kind, astray: set[str], name: str | None) -> bool:
    """Move streams of this process from the sinks or sources *astray* to the one called *name*.

    Returns:
        Whether one is there now.
    """
    import pulsectl

    names = _listed(pulse, kind)
    to = next((index for index, each in names.items() if each == name), None)
    streams = pulse.sink_input_list() if kind == "output" else pulse.source_output_list()
    move = pulse.sink_input_move if kind == "output" else pulse.source_output_move
    there = False
    for stream in streams if to is not None else ():
        at = names.get(stream.sink if kind == "output" else stream.source)
        ours = stream.proplist.get("application.process.id") == str(os.getpid())
        there |= ours and at == name
        if ours and at in astray:
            with suppress(pulsectl.PulseError):  # the stream has ended
                move(stream.index, to)
                there = True
    return there


def make(role: Role, title: str, channels: int, rate: int) -> Made:
    """Return a new virtual device, after those are removed whose owners are not connected.

    Args:
        role: "microphone" or "speakers".
        title: Name that programs show; it gets a number if a device is called so.
        channels: Channel count of the device.
        rate: Sample rate of the device in Hz.

    Raises:
        DeviceError: If pulsectl or libpulse is not installed, or no server answers.
    """
    owner = f"rtdenoise-{os.getpid()}-{secrets.token_hex(4)}"
    pulse, modules = _connected(owner), list[int]()
    try:
        _sweep(pulse)
        real = {kind: _default(pulse, kind) for kind in VARIABLES}
        title, name = _free(pulse, title)
        sink_name, shown = name, title
        if role == "microphone":
            sink_name, shown = f"{name}_feed", f"{title} (filled by rtdenoise)"
        form = f"channels={channels} rate={rate} {_marks('sink', sink_name, shown, owner)}"
        modules.append(_null_sink(pulse, form))
        sink = _of_module(pulse.sink_list, modules[-1])
        _open_up(pulse, sink)
        source_name = sink.monitor_source_name
        if role == "microphone":  # many programs do not offer monitors as microphones
            form = (
                f"master={source_name} channels={channels} {_marks('source', name, title, owner)}"
            )
            modules.append(pulse.module_load("module-remap-source", form))
            source = _of_module(pulse.source_list, modules[-1])
            _open_up(pulse, source)
            source_name = source.name
    except Exception:
        _remove(pulse, modules)
        raise
    return Made(role, pulse, modules, title, {"output": sink.name, "input": source_name}, real)


def _connected(name: str) -> Any:
    """Return a connection to the server, called *name* there; it is a `pulsectl.Pulse`."""
    try:
        import pulsectl
    except (ImportError, OSError) as error:
        raise DeviceError(
            f"a virtual device needs pulsectl and libpulse ({error}). Install them: "
            "pip install pulsectl; sudo apt install libpulse0"
        ) from None
    pulse = pulsectl.Pulse(name, connect=False)
    try:
        pulse.connect(autospawn=True)  # with `timeout` it always takes all of that time
    except pulsectl.PulseError:
        pulse.close()
        raise DeviceError(
            "no PulseAudio or PipeWire server answers", Problem.SOUND_SERVER
        ) from None
    return pulse


def _sweep(pulse: Any) -> None:
    """Remove the modules whose owners are not connected."""
    owners = {client.name for client in pulse.client_list()}
    dead = [
        module.index
        for module in pulse.module_list()
        if (mark := OWNER.search(module.argument or "")) and mark[1] not in owners
    ]
    _unload(pulse, dead)


def _unload(pulse: Any, modules: list[int]) -> None:
    """Remove *modules*, the last one first; one that is gone is no error."""
    import pulsectl

    for module in reversed(modules):
        with suppress(pulsectl.PulseError):
            pulse.module_unload(module)


def _remove(pulse: Any, modules: list[int]) -> None:
    """Remove *modules*, and close the connection; a server that died took them with it."""
    import pulsectl

    with suppress(pulsectl.PulseDisconnected):
        _unload(pulse, modules)
    pulse.close()


def _default(pulse: Any, kind: Kind) -> str | None:
    """Return the name of the user's sink or source: the environment's, or the server's default."""
    listed = pulse.sink_list if kind == "output" else pulse.source_list

    def look() -> str | None:
        info = pulse.server_info()
        name = info.default_sink_name if kind == "output" else info.default_source_name
        name = os.environ.get(VARIABLES[kind]) or name
        return name if name in {device.name for device in listed()} else None

    return _wait_for(look)


def _wait_for(look: Callable[[], T | None]) -> T | None:
    """Return what *look* finds within `SETTLE_S`, or None."""
    end_s = time.monotonic() + SETTLE_S
    while (found := look()) is None and time.monotonic() < end_s:
        time.sleep(LOOK_S)
    return found


def _free(pulse: Any, title: str) -> tuple[str, str]:
    """Return *title* and a name for the server, with a number if a device is called so."""
    devices = [*pulse.sink_list(), *pulse.source_list()]
    taken = {device.name for device in devices} | {device.description for device in devices}
    for number in count(1):
        numbered = title if number == 1 else f"{title} {number}"
        name = re.sub(r"\W+", "_", numbered.lower(), flags=re.ASCII).strip("_") or "rtdenoise"
        if not {numbered, name, f"{name}_feed"} & taken:
            break
    return numbered, name


def _marks(end: str, name: str, shown: str, owner: str) -> str:
    """Return the arguments of a module that name its sink or source, and its owner."""
    shows = f'device.description="{shown}" rtdenoise.owner={owner}'
    return f"{end}_name={name} {end}_properties='{shows}'"


def _null_sink(pulse: Any, form: str) -> int:
    """Load a null sink that is prompt, and return the number of the module."""
    import pulsectl

    try:  # with rewinds, PulseAudio renders up to two seconds at once
        return int(pulse.module_load("module-null-sink", f"{form} norewinds=1"))
    except pulsectl.PulseError:  # PulseAudio before version 14 does not know it
        return int(pulse.module_load("module-null-sink", form))


def _of_module(listed: Callable[[], list[Any]], module: int) -> Any:
    """Return the sink or source that *module* has made."""

    def look() -> Any:
        return next((device for device in listed() if device.owner_module == module), None)

    found = _wait_for(look)
    if found is None:
        raise DeviceError("the sound server made no virtual device", Problem.SOUND_SERVER)
    return found


def _open_up(pulse: Any, device: Any) -> None:
    """Set *device* to full volume; the server remembers how it was left."""
    pulse.volume_set_all_chans(device, 1.0)
    pulse.mute(device, False)
