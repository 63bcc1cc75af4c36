"""The streams of a run: one for both devices, or one for each if they have a clock each."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace

from ..errors import DeviceError
from .channels import Inlet, opened, width
from .clockring import ClockRing
from .devices import Callback, Cards, Device, Running, Wiring
from .negotiate import Plan

# Host APIs whose devices run on clocks of their own. The server of JACK and the driver of ASIO have
# one clock for all their devices.
SEPARATE = {
    "ALSA",
    "OSS",
    "Core Audio",
    "MME",
    "Windows DirectSound",
    "Windows WASAPI",
    "Windows WDM-KS",
}
SERVERS = {"pulse", "pipewire", "default"}  # any two cards may be behind such a name
MARGIN_S = {"low": 0.01, "high": 0.04}  # time that a callback may come late
GONE_S = 3.0  # an input that gives nothing while the output plays for so long is gone


def share_clock(source: Device, sink: Device) -> bool:
    """Return whether an input and an output surely count their samples by one clock.

    It is a matter of names, because PortAudio knows no hardware: one entry of its list, the card of
    ALSA's "(hw:0,1)", or what Windows writes in parentheses behind "Microphone" and "Speakers".
    """
    if source.host != sink.host:
        return False
    if source.host not in SEPARATE:
        return True
    if SERVERS & {source.name, sink.name}:
        return False
    return source.index == sink.index or _hardware(source) == _hardware(sink)


def _hardware(device: Device) -> str:
    """Return the hardware that the name of *device* tells, or the whole name."""
    if device.host == "ALSA":
        card = re.search(r"\((hw:[^,)]+)", device.name)
        return card[1] if card else "a plug-in, whose owner decides"
    return device.name.partition("(")[2] or device.name


@dataclass(frozen=True)
class Pair:
    """Two running streams with a ring between them, as one `Running`.

    Attributes:
        source: Stream of the input.
        sink: Stream of the output.
        ring: Ring between them.
    """

    source: Running
    sink: Running
    ring: ClockRing

    @property
    def active(self) -> bool:
        """See `Running.active`; both streams are, and the input has not fallen silent for good."""
        return self.source.active and self.sink.active and self.ring.alone_s < GONE_S

    def latency_ms(self) -> tuple[float | None, float | None]:
        """See `Running.latency_ms`."""
        return self.source.latency_ms()[0], self.sink.latency_ms()[1]

    def close(self) -> None:
        """See `Running.close`; the output ends first, so that it does not lack input."""
        self.sink.close()
        self.source.close()


def open_streams(
    cards: Cards,
    plan: Plan,
    ends: tuple[Device | None, Device | None],
    latency: str | float,
    inlet: Inlet,
    called: Callback,
) -> Running:
    """Open and start what *plan* says: a stream, or a `Pair` of streams with a ring between them.

    The effect runs in the callback of the output. So its blocks have the promised size, the delay
    behind the ring does not change, and a recording goes on by the clock of what is heard,
    whatever happens to the input.

    Args:
        cards: Object that opens the streams.
        plan: The form of the run.
        ends: Devices of input and output. None: there is none at this end.
        latency: Latency of the devices: "low" or "high", or seconds.
        inlet: Channels of the input that are taken; of one stream, *called* takes them itself.
        called: Callback of the session.

    Raises:
        DeviceError: If a device cannot be opened with these settings.
    """
    source, sink = ends
    channels = (width(plan.in_rows), width(plan.out_rows))
    wiring = Wiring(source, sink, plan.rate, plan.block, channels, latency)
    if plan.in_rate is None:
        return _open_wide(cards, wiring, plan, called)
    margin_s = MARGIN_S[latency] if isinstance(latency, str) else latency
    ring = ClockRing(inlet, (plan.in_rate, plan.rate), plan.in_block, margin_s, called)
    hears = replace(wiring, sink=None, rate=plan.in_rate, block=plan.in_block)
    heard = _open_wide(cards, hears, plan, ring.heard)
    try:
        return Pair(heard, cards.open(replace(wiring, source=None), ring.played), ring)
    except BaseException:
        heard.close()
        raise


def _open_wide(cards: Cards, wiring: Wiring, plan: Plan, callback: Callback) -> Running:
    """Open *wiring* with all channels of the input, or else with those that are used."""
    used, outputs = wiring.channels
    every = used if wiring.source is None else opened(plan.in_rows, wiring.source.inputs)
    if every > used:
        with suppress(DeviceError):  # a driver may refuse channels that it lists
            return cards.open(replace(wiring, channels=(every, outputs)), callback)
    return cards.open(wiring, callback)
