"""The door to PortAudio: which sound devices there are, and streams on them.

`import sounddevice` fails where PortAudio is not installed, so it happens when a device is wanted
and not before: files and `null` work without.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import DeviceError

DEFAULTS = {"input": "mic", "output": "speakers"}
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


def portaudio() -> Any:
    """The sounddevice module.

    Raises:
        DeviceError: PortAudio is not installed; it says how to get it.
    """
    try:
        import sounddevice
    except OSError as error:
        raise DeviceError(
            f"no PortAudio on this machine ({error}). Install it: sudo apt install libportaudio2 "
            "(Debian, Ubuntu), brew install portaudio (macOS). Files need none: --in file:x.wav "
            "--out file:y.wav"
        ) from None
    return sounddevice


def all_devices() -> list[Device]:
    """Every device, in PortAudio's order.

    Raises:
        DeviceError: no PortAudio.
    """
    sd = portaudio()
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


def find_device(wanted: str, kind: str) -> Device:
    """The device a user means.

    Args:
        wanted: An index, a part of the name (case does not matter; several words must all occur in
            "name, host"), or `mic` / `speakers`: the device of that name, else the default one.
        kind: "input" or "output".

    Raises:
        DeviceError: none or several match; they are listed.
    """
    devices = all_devices()
    usable = [d for d in devices if (d.inputs if kind == "input" else d.outputs) > 0]
    if not usable:
        raise DeviceError(
            f"PortAudio sees no {kind} device. Plug one in, or check that this user may use sound "
            "(group audio on Linux); files and null work without: --in file:x.wav --out null"
        )
    if wanted.isdecimal():
        matches = [d for d in usable if d.index == int(wanted)]
    else:
        words = wanted.lower().split()
        exact = [d for d in usable if d.name.lower() == wanted.lower()]
        matches = exact or [
            d for d in usable if all(w in f"{d.name}, {d.host}".lower() for w in words)
        ]
        if wanted.lower() in DEFAULTS.values() and not exact:
            matches = [d for d in usable if kind in d.default.split()]
    if len(matches) == 1:
        return matches[0]
    listed = "\n  ".join(map(str, matches or usable))
    problem = "no device" if not matches else f"{len(matches)} devices"
    raise DeviceError(
        f"{problem} for --{'in' if kind == 'input' else 'out'} {wanted!r}. "
        f"{'They are' if matches else 'There are'}:\n  {listed}\nGive an index or a longer name."
    )


def pick_rate(source: Device | None, sink: Device | None, wanted: int | None, best: int) -> int:
    """A rate both devices take: the wanted one, else the net's own, else one of their defaults.

    Raises:
        DeviceError: none; it lists what each of them takes.
    """
    ends = [(d, k) for d, k in ((source, "input"), (sink, "output")) if d is not None]
    choices = [wanted] if wanted else [best, *(d.rate for d, _ in ends)]
    for rate in choices:
        if all(_takes(device, kind, rate) for device, kind in ends):
            return rate
    usual = (8000, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000)
    lines = [
        f"{d} takes {', '.join(str(r) for r in usual if _takes(d, k, r)) or 'none of the usual'}"
        for d, k in ends
    ]
    raise DeviceError(
        f"no device rate fits: tried {', '.join(map(str, choices))} Hz.\n  " + "\n  ".join(lines)
    )


def _takes(device: Device, kind: str, rate: int) -> bool:
    sd = portaudio()
    check = sd.check_input_settings if kind == "input" else sd.check_output_settings
    try:
        check(device=device.index, samplerate=rate, dtype="float32")
    except sd.PortAudioError:
        return False
    return True


class DeviceStream:
    """A running PortAudio stream: duplex, or one way when an end is None.

    Args:
        source: Input device.
        sink: Output device.
        rate: Hz.
        block: Frames a callback; 0: whatever the device likes.
        channels: Of input and output.
        latency: "low", "high" or seconds.
        callback: As sounddevice calls it: (indata, outdata, frames, time, status); the missing side
            is None.

    Raises:
        DeviceError: PortAudio refuses.
    """

    def __init__(
        self,
        source: Device | None,
        sink: Device | None,
        rate: int,
        block: int,
        channels: tuple[int, int],
        latency: str | float,
        callback: Callable[[Any, Any, int, Any, Any], None],
    ) -> None:
        sd = portaudio()
        self._ends = (source is not None, sink is not None)
        shared = {"samplerate": rate, "blocksize": block, "dtype": "float32", "latency": latency}
        try:
            if source is not None and sink is not None:
                self._stream = sd.Stream(
                    device=(source.index, sink.index),
                    channels=channels,
                    callback=callback,
                    **shared,
                )
            elif source is not None:
                self._stream = sd.InputStream(
                    device=source.index,
                    channels=channels[0],
                    callback=lambda i, n, t, s: callback(i, None, n, t, s),
                    **shared,
                )
            elif sink is not None:
                self._stream = sd.OutputStream(
                    device=sink.index,
                    channels=channels[1],
                    callback=lambda o, n, t, s: callback(None, o, n, t, s),
                    **shared,
                )
            self._stream.start()
        except sd.PortAudioError as error:
            ends = " and ".join(str(d) for d in (source, sink) if d is not None)
            raise DeviceError(
                f"{ends} cannot be opened at {rate} Hz, {channels[0]} in, {channels[1]} out: "
                f"{error}. `rtdenoise devices` shows what each can do; another program may hold it."
            ) from None

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
