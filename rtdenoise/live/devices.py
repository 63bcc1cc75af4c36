"""The door to PortAudio: it lists the devices, finds them by name, and opens streams on them.

`import sounddevice` fails where PortAudio is not installed. It is therefore imported only when a
device is needed, so that files and `null` work without it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from ..errors import DeviceError, Problem
from .chatter import broken_settings, hushed
from .compiled import Compiled, compiled_stream
from .library import CLOSE_S, JACK, Copy, Library, StartError

Kind = Literal["input", "output"]
Callback = Callable[[Any, Any, int, Any, Any], None]
# These names mean the default devices, unless a device has the name.
DEFAULT_NAMES: dict[Kind, str] = {"input": "mic", "output": "speakers"}
GARBAGE_S = 10.0  # a longer latency is an error of the driver: JACK reports 2^32 / 48000 s


@dataclass(frozen=True)
class Device:
    """A sound device as PortAudio lists it.

    Attributes:
        index: Index in PortAudio's list.
        name: Name of the device.
        host: Name of the host API, as "ALSA" or "Core Audio".
        inputs: Number of input channels.
        outputs: Number of output channels.
        rate: Default sample rate in Hz.
        default: The kinds of which it is the default device: "", "input", "output" or
            "input output".
        input_latency_ms: Lowest input latency that the device suggests, in ms.
        output_latency_ms: Lowest output latency that the device suggests, in ms.
    """

    index: int
    name: str
    host: str
    inputs: int
    outputs: int
    rate: int
    default: str
    input_latency_ms: float
    output_latency_ms: float

    def __str__(self) -> str:
        return f"[{self.index}] {self.name}, {self.host} ({self.inputs} in, {self.outputs} out)"


class AbsentError(DeviceError):
    """An error about a device that is not there, and may be plugged in."""


class DeviceNameError(AbsentError):
    """An error about a name that matches no device, or several; the message lists them.

    Args:
        query: The user's words for the device.
        kind: Whether an input or an output was looked for.
        matches: The devices that match, if there are several.
        usable: All devices of this kind.
    """

    def __init__(
        self, query: str, kind: Kind, matches: Sequence[Device], usable: Sequence[Device]
    ) -> None:
        self.query, self.kind, self.matches, self.usable = query, kind, matches, usable
        super().__init__(self.worded(kind), Problem.DEVICE)

    def worded(self, end: str) -> str:
        """Return the message with *end* as the name of the end that the device is for."""
        problem = f"{len(self.matches)} devices" if self.matches else "no device"
        listed = "\n  ".join(map(str, self.matches or self.usable))
        return (
            f"{problem} for {end} {self.query!r}. {'They' if self.matches else 'There'} are:\n  "
            f"{listed}\nGive an index or a longer name."
        )


def choose(devices: Sequence[Device], query: str, kind: Kind) -> Device:
    """Return the device that a user means.

    Args:
        devices: All devices of the machine.
        query: The user's words: an index; or words that must all occur in "name, host", in upper or
            lower case; or `mic` or `speakers`, which mean the device of that name, or else the
            default device.
        kind: Whether an input or an output is looked for.

    Raises:
        AbsentError: If there is no device of this kind.
        DeviceNameError: If no device matches, or several do.
    """
    usable = [d for d in devices if (d.inputs if kind == "input" else d.outputs) > 0]
    if not usable:
        raise AbsentError(
            f"PortAudio sees no {kind} device. Plug one in, or check that this user may use sound "
            "(group audio on Linux). Files and null work without.",
            Problem.DEVICE,
        )
    if query.isdecimal():
        matches = [d for d in usable if d.index == int(query)]
    else:
        words = query.lower().split()
        exact = [d for d in usable if d.name.lower() == query.lower()]
        matches = exact or [
            d for d in usable if all(w in f"{d.name}, {d.host}".lower() for w in words)
        ]
        if query.lower() in DEFAULT_NAMES.values() and not exact:
            matches = [d for d in usable if kind in d.default.split()]
    if len(matches) != 1:
        raise DeviceNameError(query, kind, matches, usable)
    return matches[0]


@dataclass(frozen=True)
class Wiring:
    """The settings of a stream on sound devices.

    Attributes:
        source: Input device. None: the stream has no input.
        sink: Output device. None: the stream has no output.
        rate: Sample rate of the devices in Hz.
        block: Samples per channel of a callback. 0: the device decides each time.
        channels: Channel counts of input and output.
        latency: Latency of the devices: "low" or "high", which they define, or seconds.
    """

    source: Device | None
    sink: Device | None
    rate: int
    block: int
    channels: tuple[int, int]
    latency: str | float

    @property
    def devices(self) -> list[Device]:
        """The devices of the stream, input first."""
        return [device for device in (self.source, self.sink) if device is not None]


class Running(Protocol):
    """A running stream, which calls its callback from a thread of its own."""

    @property
    def active(self) -> bool:
        """Whether the stream still calls its callback."""
        ...

    def latency_ms(self) -> tuple[float | None, float | None]:
        """Return the latencies of input and output in ms.

        None: the driver does not report it; 0: there is no device at that end.
        """
        ...

    def close(self) -> None:
        """Stop and close the stream; one that the driver does not close in time is left."""
        ...


class Cards(Protocol):
    """An object that finds sound devices and opens streams on them."""

    def find(self, query: str, kind: Kind) -> Device:
        """Return the device that a user means; see `choose`."""
        ...

    def takes(self, device: Device, kind: Kind, rate: int) -> bool:
        """Return whether *device* runs at *rate* Hz."""
        ...

    def open(self, wiring: Wiring, callback: Callback) -> Running:
        """Open and start a stream, which calls *callback* as sounddevice does."""
        ...

    def relist(self) -> None:
        """Forget the list of devices, so that `find` sees those of now; every stream ends."""
        ...


def _sounddevice() -> Any:
    import sounddevice

    return sounddevice


T = TypeVar("T")
_LIBRARY = Library(_sounddevice)  # one a process, like the state of PortAudio itself


class PortAudio:
    """The sound devices of this machine: a `Cards` that uses sounddevice.

    Args:
        load: Function that returns the module sounddevice, or raises OSError if PortAudio is not
            installed. None: the library that the process shares.
    """

    def __init__(self, load: Callable[[], Any] | None = None) -> None:
        self._library = _LIBRARY if load is None else Library(load)

    def _call(self, work: Callable[[Any], T]) -> T:
        """Return work(module) from PortAudio's thread; what C libraries write goes to the log."""
        try:
            with hushed():
                return self._library.copy.call(work)
        except StartError as error:
            broken = broken_settings()
            reason = f"ALSA cannot read {broken}" if broken else str(error)
            remedy = "Mend that file, or move it away. " if broken else ""
            raise DeviceError(
                f"PortAudio cannot start: {reason}. {remedy}Files and null need no PortAudio.",
                Problem.DEVICE,
            ) from None

    def version(self) -> tuple[str, list[str]]:
        """Return PortAudio's version and the names of its host APIs.

        Raises:
            DeviceError: If PortAudio is not installed; the message says how to install it.
        """

        def ask(sd: Any) -> tuple[str, list[str]]:
            number = sd.get_portaudio_version()[0]
            hosts = [host["name"] for host in sd.query_hostapis()]
            return f"{number >> 16}.{number >> 8 & 255}.{number & 255}", hosts

        return self._call(ask)

    def devices(self) -> list[Device]:
        """Return every device, in PortAudio's order.

        Raises:
            DeviceError: If PortAudio is not installed, does not start or does not answer; the
                message says what to do.
        """
        return self._call(self._devices)

    def _devices(self, sd: Any) -> list[Device]:
        hosts = [host["name"] for host in sd.query_hostapis()]
        default_in, default_out = sd.default.device
        devices = []
        for index, info in enumerate(sd.query_devices()):
            marks = [k for k, i in (("input", default_in), ("output", default_out)) if i == index]
            devices.append(
                Device(
                    index=index,
                    name=info["name"],
                    host=hosts[info["hostapi"]],
                    inputs=info["max_input_channels"],
                    outputs=info["max_output_channels"],
                    rate=int(info["default_samplerate"]),
                    default=" ".join(marks),
                    input_latency_ms=1e3 * info["default_low_input_latency"],
                    output_latency_ms=1e3 * info["default_low_output_latency"],
                )
            )
        return devices

    def find(self, query: str, kind: Kind) -> Device:
        """See `Cards.find`."""
        return choose(self.devices(), query, kind)

    def takes(self, device: Device, kind: Kind, rate: int) -> bool:
        """See `Cards.takes`."""

        def check(sd: Any) -> bool:
            ask = sd.check_input_settings if kind == "input" else sd.check_output_settings
            try:
                ask(device=device.index, samplerate=rate, dtype="float32")
            except sd.PortAudioError:
                return False
            return True

        return self._call(check)

    def open(self, wiring: Wiring, callback: Callback) -> DeviceStream:
        """See `Cards.open`.

        Raises:
            DeviceError: If PortAudio refuses the settings, or does not answer.
        """
        copy = self._library.copy

        def start(sd: Any) -> DeviceStream:
            try:
                return DeviceStream(copy, sd, wiring, callback)
            except sd.PortAudioError as error:
                ends = " and ".join(map(str, wiring.devices))
                raise DeviceError(
                    f"{ends} cannot be opened at {wiring.rate} Hz, {wiring.channels[0]} in, "
                    f"{wiring.channels[1]} out: {error}. Another program may hold it.",
                    Problem.DEVICE,
                ) from None

        with hushed():
            return copy.call(start)

    def relist(self) -> None:
        """See `Cards.relist`."""
        self._library.relist()


def all_devices() -> list[Device]:
    """Return every device of this machine; see `PortAudio.devices`."""
    return PortAudio().devices()


class DeviceStream:
    """A running stream of PortAudio: duplex, or one way if it has only one device.

    Args:
        copy: The copy of PortAudio that opens it, in whose thread this is called.
        sd: The module of *copy*.
        wiring: The settings of the stream.
        callback: Function that sounddevice calls with (indata, outdata, frames, time, status); the
            data of a missing device is None.
    """

    def __init__(self, copy: Copy, sd: Any, wiring: Wiring, callback: Callback) -> None:
        source, sink = wiring.source, wiring.sink
        self._copy, self._sd, self._callback = copy, sd, callback
        self._of_jack = any(device.host.startswith(JACK) for device in wiring.devices)
        self._ends = (source is not None, sink is not None)
        shared = {
            "samplerate": wiring.rate,
            "blocksize": wiring.block,
            "dtype": "float32",
            "latency": wiring.latency,
        }
        if isinstance(callback, Compiled):
            ends = (source and source.index, sink and sink.index)
            self._stream: Any = compiled_stream(sd, callback, ends, wiring.channels, shared)
        elif source is not None and sink is not None:
            self._stream = sd.Stream(
                device=(source.index, sink.index),
                channels=wiring.channels,
                callback=callback,
                **shared,
            )
        elif source is not None:
            self._stream = sd.InputStream(
                device=source.index,
                channels=wiring.channels[0],
                callback=lambda i, n, t, s: callback(i, None, n, t, s),
                **shared,
            )
        elif sink is not None:
            self._stream = sd.OutputStream(
                device=sink.index,
                channels=wiring.channels[1],
                callback=lambda o, n, t, s: callback(None, o, n, t, s),
                **shared,
            )
        self._stream.start()
        copy.opened(self)

    @property
    def active(self) -> bool:
        """See `Running.active`."""
        try:
            return bool(self._stream.active)
        except self._sd.PortAudioError:
            return False

    def latency_ms(self) -> tuple[float | None, float | None]:
        """See `Running.latency_ms`."""
        reported = self._stream.latency
        pair = reported if isinstance(reported, tuple) else (reported, reported)
        sane = [1e3 * s if 0 <= s < GARBAGE_S else None for s in pair]
        return (sane[0] if self._ends[0] else 0.0), (sane[1] if self._ends[1] else 0.0)

    def close(self) -> None:
        """See `Running.close`; a stream whose server died is left, because closing it hangs."""
        if self._copy.stuck or (self._of_jack and not self.active):
            self._copy.leave(self._stream)
            return
        late = threading.Event()

        def end(_sd: Any) -> None:
            self._stream.abort(ignore_errors=True)
            if not late.is_set():  # once the library is left, closing could abort the process
                self._stream.close(ignore_errors=True)

        try:
            self._copy.call(end, CLOSE_S)
        except DeviceError:
            late.set()
            self._copy.leave(self._stream)
            return
        self._copy.closed(self)
