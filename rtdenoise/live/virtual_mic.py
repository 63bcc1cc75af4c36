"""A virtual microphone or virtual speakers for other programs, at the server of the sound.

The server is PulseAudio, or PipeWire with its Pulse server.

PortAudio reaches the server through one device of ALSA. It leads to the server's default sink and
source, or to those that the environment names while it is opened. So a `VirtualDevice` is a
`PortAudio` that opens its streams in such an environment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from threading import Thread
from types import TracebackType
from typing import Self

from ..errors import DeviceError, UsageError
from .devices import Callback, Device, DeviceNameError, DeviceStream, Kind, PortAudio, Wiring
from .ends import DeviceEnd, parse_end
from .soundserver import VARIABLES, Made, Role, answered, make
from .tone import hear_tone

END: dict[Role, Kind] = {"microphone": "output", "speakers": "input"}
ROUTES = ("pulse", "pipewire", "default")  # PortAudio's devices that lead to the server, best first
LONGEST_TITLE = 60  # characters
TRIES, PAUSE_S = 20, 0.05  # looks for a stream that was just opened, and the time between them
SETTLED = 3  # looks in a row that find it in its place


class VirtualDevice(PortAudio):
    """A microphone or speakers that other programs can choose, in its `with` block.

    It is a `Cards` in which the title finds the end at the virtual device. The other end follows
    the server's default, unless that is the virtual device itself: sound would go in a circle.

        with VirtualDevice("microphone", "clean voice") as cards:
            with Live("mic", "clean voice", "speech", cards=cards) as live:
                live.wait()

    Args:
        role: "microphone", which takes our output, or "speakers", which give our input.
        title: Name that programs show; it gets a number if a device is called so.
        channels: Channel count of the virtual device.
        rate: Sample rate of the virtual device in Hz.

    Raises:
        UsageError: If no virtual device can have the title.
    """

    def __init__(self, role: Role, title: str, channels: int = 1, rate: int = 48_000) -> None:
        super().__init__()
        self._role, self._query = role, check_title(title)
        self._channels, self._rate = channels, rate
        self._made: Made | None = None
        self._watched: Made | None = None

    def __enter__(self) -> Self:
        """Make the device at the server.

        Raises:
            DeviceError: If no server answers, or it refuses.
        """
        self._renew()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        made, self._made = self._made, None
        if made is not None:
            with suppress(DeviceError):  # a stuck server must not hold the exit
                answered(made.remove)

    @property
    def title(self) -> str:
        """The name that programs show."""
        return self._here().title

    def defaults(self) -> list[str]:
        """Return the names of the device's sink and source that are the server's defaults."""
        return answered(self._here().defaults)

    def test(self) -> float:
        """Send a tone through the device, and return after how many ms it arrives.

        Raises:
            DeviceError: If it does not arrive.
        """
        ends = self._here().ends
        route = partial(self._open, names=ends)
        source, sink = self._route("input"), self._route("output")
        delay_ms = hear_tone(route, source, sink, self._channels, self._rate)
        if delay_ms is None:
            raise DeviceError(
                f"a test tone did not arrive at {self.title!r}: is the sound of this program muted "
                "or turned down? pavucontrol shows it."
            )
        return delay_ms

    def find(self, query: str, kind: Kind) -> Device:
        """See `Cards.find`."""
        if query != self._query or kind != END[self._role]:
            return super().find(query, kind)
        device = replace(self._route(kind), name=f"{self.title} (virtual {self._role})")
        if kind == "input":
            return replace(device, inputs=self._channels)
        return replace(device, outputs=self._channels)

    def open(self, wiring: Wiring, callback: Callback) -> DeviceStream:
        """See `Cards.open`; if the server was started anew, the device is made again.

        Raises:
            DeviceError: If a device cannot be opened, or the server has none for the other end.
        """
        self._renew()
        made, names = self._here(), dict[Kind, str | None]()
        devices: dict[Kind, Device | None] = {"input": wiring.source, "output": wiring.sink}
        for kind, device in devices.items():
            if device is not None and kind == END[self._role]:
                names[kind] = made.ends[kind]
            elif device is not None and device.name in ROUTES:
                names[kind] = answered(partial(made.detour, kind))
        stream = self._open(wiring, callback, names)
        if self._watched is not made:
            self._watched = made
            Thread(target=made.watch, daemon=True, name="rtdenoise-watch").start()
        return stream

    def _open(
        self, wiring: Wiring, callback: Callback, names: Mapping[Kind, str | None]
    ) -> DeviceStream:
        """Open a stream whose ends at the server are those that *names* has; None: the default."""
        with environment({VARIABLES[kind]: name for kind, name in names.items()}):
            stream = super().open(wiring, callback)
        made = self._here()
        kinds = [kind for kind, name in names.items() if name == made.ends[kind]]
        try:
            settled = 0  # the server lists a new stream, and moves it, a moment after it was opened
            for _ in range(TRIES):
                settled = settled + 1 if answered(partial(made.place, kinds)) else 0
                if settled == SETTLED:
                    break
                time.sleep(PAUSE_S)
        except DeviceError:
            stream.close()
            raise
        return stream

    def _here(self) -> Made:
        """Return the device at the server, or raise if there is none."""
        if self._made is None:
            raise UsageError("a VirtualDevice exists only in its `with` block")
        return self._made

    def _renew(self) -> None:
        """Make the device at the server, unless it is there."""
        made = self._made
        if made is not None:
            with suppress(DeviceError):
                if answered(made.there):
                    return
                answered(made.remove)
        self._made = answered(partial(make, self._role, self._query, self._channels, self._rate))

    def _route(self, kind: Kind) -> Device:
        """Return PortAudio's device that leads to the server."""
        for name in ROUTES:
            with suppress(DeviceNameError):
                found = super().find(name, kind)
                if found.name == name:
                    return found
        raise DeviceError(
            f"PortAudio has no way to the sound server: wanted an {kind} device called "
            f"{', '.join(ROUTES)}. Install ALSA's plugin: sudo apt install libasound2-plugins"
        )


def check_title(title: str) -> str:
    """Return *title* if a virtual device can have it.

    Raises:
        UsageError: If it is empty or too long, means another end, or has characters that the
            servers read differently.

    >>> check_title("clean voice")
    'clean voice'
    """
    fits = 0 < len(title.strip()) <= LONGEST_TITLE and title.isprintable()
    if (
        not fits
        or set("\"'\\") & set(title)
        or not isinstance(parse_end(title, "input"), DeviceEnd)
    ):
        raise UsageError(
            f"{title!r} cannot name a virtual device: wanted 1 to {LONGEST_TITLE} printable "
            "characters without quotes and backslashes, and neither null nor file:"
        )
    return title


@contextmanager
def environment(names: Mapping[str, str | None]) -> Iterator[None]:
    """Return a context with these environment variables; None leaves a variable as it is."""
    before = {name: os.environ.get(name) for name in names}
    os.environ.update({name: value for name, value in names.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
