"""The door to PortAudio: which devices there are, which one a name means, streams on them.

`import sounddevice` fails where PortAudio is not installed, so it happens when a device is wanted
and not before: files and `null` work without.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ..errors import DeviceError, Problem

Kind = Literal["input", "output"]
Callback = Callable[[Any, Any, int, Any, Any], None]
# The names of the default devices, where no device bears them.
DEFAULT_NAMES: dict[Kind, str] = {"input": "mic", "output": "speakers"}
CLOSE_S = 2.0  # stop() of a stream whose server died never returns
GARBAGE_S = 10.0  # JACK reports 2^32 / 48000 s of latency


@dataclass(frozen=True)
class Device:
    """A sound device as PortAudio lists it; latencies are its own suggestions."""

    index: int
    name: str
    host: str
    inputs: int
    outputs: int
    rate: int
    default: str  # "", "input", "output" or "input output"
    input_latency_ms: float
    output_latency_ms: float

    def __str__(self) -> str:
        return f"[{self.index}] {self.name}, {self.host} ({self.inputs} in, {self.outputs} out)"


class DeviceNameError(DeviceError):
    """A name that none or several devices match; the message lists them.

    Args:
        wanted: What the user gave.
        kind: Which end of the line it was for.
        matches: The devices that match.
        usable: The devices there are.
    """

    def __init__(
        self, wanted: str, kind: Kind, matches: Sequence[Device], usable: Sequence[Device]
    ) -> None:
        self.wanted, self.kind, self.matches, self.usable = wanted, kind, matches, usable
        super().__init__(self.worded(kind), Problem.DEVICE)

    def worded(self, end: str) -> str:
        """The message, with *end* as the name of what the device was wanted for."""
        problem = f"{len(self.matches)} devices" if self.matches else "no device"
        listed = "\n  ".join(map(str, self.matches or self.usable))
        return (
            f"{problem} for {end} {self.wanted!r}. {'They' if self.matches else 'There'} are:\n  "
            f"{listed}\nGive an index or a longer name."
        )


def choose(devices: Sequence[Device], wanted: str, kind: Kind) -> Device:
    """The one of *devices* that a user means.

    Args:
        devices: All there are.
        wanted: An index, a part of the name (case does not matter; several words must all occur in
            "name, host"), or `mic` / `speakers`: the device of that name, else the default one.
        kind: Which end of the line it is for.

    Raises:
        DeviceError: there is none of this kind.
        DeviceNameError: none or several match.
    """
    usable = [d for d in devices if (d.inputs if kind == "input" else d.outputs) > 0]
    if not usable:
        raise DeviceError(
            f"PortAudio sees no {kind} device. Plug one in, or check that this user may use sound "
            "(group audio on Linux). Files and null work without.",
            Problem.DEVICE,
        )
    if wanted.isdecimal():
        matches = [d for d in usable if d.index == int(wanted)]
    else:
        words = wanted.lower().split()
        exact = [d for d in usable if d.name.lower() == wanted.lower()]
        matches = exact or [
            d for d in usable if all(w in f"{d.name}, {d.host}".lower() for w in words)
        ]
        if wanted.lower() in DEFAULT_NAMES.values() and not exact:
            matches = [d for d in usable if kind in d.default.split()]
    if len(matches) != 1:
        raise DeviceNameError(wanted, kind, matches, usable)
    return matches[0]


@dataclass(frozen=True)
class Wiring:
    """What a stream on devices is to be.

    Attributes:
        source: Input device. None: nothing comes in.
        sink: Output device. None: nothing goes out.
        rate: Hz.
        block: Samples a callback; 0: as many as the device likes.
        channels: Of input and output.
        latency: "low", "high" (what the devices suggest) or seconds.
    """

    source: Device | None
    sink: Device | None
    rate: int
    block: int
    channels: tuple[int, int]
    latency: str | float

    @property
    def devices(self) -> list[Device]:
        """Those that take part."""
        return [device for device in (self.source, self.sink) if device is not None]


class Running(Protocol):
    """A stream that calls its callback from a thread of its own."""

    @property
    def active(self) -> bool:
        """Whether it still calls."""
        ...

    def latency_ms(self) -> tuple[float | None, float | None]:
        """Of input and output, as the driver reports them. None: unknown; 0: no device there."""
        ...

    def close(self) -> bool:
        """Stop and close; False when the driver did not let go in time."""
        ...


class Cards(Protocol):
    """Who knows the sound devices and opens streams on them."""

    def find(self, wanted: str, kind: Kind) -> Device:
        """The device a user means; see `choose`."""
        ...

    def takes(self, device: Device, kind: Kind, rate: int) -> bool:
        """Whether *device* runs at *rate* Hz."""
        ...

    def open(self, wiring: Wiring, callback: Callback) -> Running:
        """A stream that runs; *callback* is called as sounddevice does."""
        ...


def _sounddevice() -> Any:
    import sounddevice

    return sounddevice


class PortAudio:
    """The devices of this machine: `Cards` by way of sounddevice.

    Args:
        load: Gives the sounddevice module, or raises OSError where PortAudio is not installed.
    """

    def __init__(self, load: Callable[[], Any] = _sounddevice) -> None:
        self._load = load

    def _module(self) -> Any:
        try:
            return self._load()
        except OSError as error:
            raise DeviceError(
                f"no PortAudio on this machine ({error}). Install it: sudo apt install "
                "libportaudio2 (Debian, Ubuntu), brew install portaudio (macOS). Files and null "
                "need none.",
                Problem.DEVICE,
            ) from None

    def devices(self) -> list[Device]:
        """Every device, in PortAudio's order.

        Raises:
            DeviceError: no PortAudio; it says how to get it.
        """
        sd = self._module()
        hosts = [host["name"] for host in sd.query_hostapis()]
        default_in, default_out = sd.default.device
        found = []
        for index, info in enumerate(sd.query_devices()):
            marks = [k for k, i in (("input", default_in), ("output", default_out)) if i == index]
            found.append(
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
        return found

    def find(self, wanted: str, kind: Kind) -> Device:
        """See `Cards.find`."""
        return choose(self.devices(), wanted, kind)

    def takes(self, device: Device, kind: Kind, rate: int) -> bool:
        """See `Cards.takes`."""
        sd = self._module()
        check = sd.check_input_settings if kind == "input" else sd.check_output_settings
        try:
            check(device=device.index, samplerate=rate, dtype="float32")
        except sd.PortAudioError:
            return False
        return True

    def open(self, wiring: Wiring, callback: Callback) -> DeviceStream:
        """See `Cards.open`.

        Raises:
            DeviceError: PortAudio refuses.
        """
        sd = self._module()
        try:
            return DeviceStream(sd, wiring, callback)
        except sd.PortAudioError as error:
            ends = " and ".join(map(str, wiring.devices))
            raise DeviceError(
                f"{ends} cannot be opened at {wiring.rate} Hz, {wiring.channels[0]} in, "
                f"{wiring.channels[1]} out: {error}. Another program may hold it.",
                Problem.DEVICE,
            ) from None


def all_devices() -> list[Device]:
    """Every device of this machine; see `PortAudio.devices`."""
    return PortAudio().devices()


class DeviceStream:
    """A running PortAudio stream: duplex, or one way where an end is missing.

    Args:
        sd: The sounddevice module.
        wiring: What it is to be.
        callback: As sounddevice calls it: (indata, outdata, frames, time, status); the missing
            side is None.
    """

    def __init__(self, sd: Any, wiring: Wiring, callback: Callback) -> None:
        source, sink = wiring.source, wiring.sink
        self._ends = (source is not None, sink is not None)
        shared = {
            "samplerate": wiring.rate,
            "blocksize": wiring.block,
            "dtype": "float32",
            "latency": wiring.latency,
        }
        if source is not None and sink is not None:
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

    @property
    def active(self) -> bool:
        """Whether the device still calls."""
        return bool(self._stream.active)

    def latency_ms(self) -> tuple[float | None, float | None]:
        """Of input and output as PortAudio reports them; None for garbage, 0 for no device."""
        reported = self._stream.latency
        pair = reported if isinstance(reported, tuple) else (reported, reported)
        sane = [1e3 * s if 0 <= s < GARBAGE_S else None for s in pair]
        return (sane[0] if self._ends[0] else 0.0), (sane[1] if self._ends[1] else 0.0)

    def close(self) -> bool:
        """Stop and close; False when the driver did not let go in time (its server died)."""

        def end() -> None:
            self._stream.abort(ignore_errors=True)
            self._stream.close(ignore_errors=True)

        thread = threading.Thread(target=end, daemon=True, name="rtdenoise-close")
        thread.start()
        thread.join(CLOSE_S)
        return not thread.is_alive()
