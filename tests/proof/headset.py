"""A headset whose input hears its output, and models whose hops take as long as a test says."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from types import SimpleNamespace

import numpy as np

from rtdenoise.chain.effect import Denoise
from rtdenoise.errors import DeviceError
from rtdenoise.live.devices import Wiring
from rtdenoise.live.ends import DeviceEnd
from rtdenoise.nets.line import Line
from rtdenoise.proof.rehearsal import Setting
from tests.live.array_card import ArrayCard, Stream, device
from tests.toy_nets import Identity, generator_for

RATE = 48_000
DEVICES = Setting(DeviceEnd("mic"), DeviceEnd("speakers"))
QUIET_ROOM = np.full((1, 1), 1e-3, np.float32)
LOST = SimpleNamespace(
    input_overflow=True, input_underflow=False, output_underflow=False, output_overflow=False
)


class Takes(Denoise):
    """A model whose every hop takes *hop_s*, on any machine."""

    def __init__(self, hop_s: float, net=None) -> None:
        super().__init__(net or generator_for(Identity()))
        self.hop_s = hop_s

    def stage(self, stream, counters=None):
        return Line(self.net, stream, self.strength, counters, count(0.0, self.hop_s).__next__)


class Card(ArrayCard):
    """A card whose input hears its output.

    Args:
        delay: Samples from the output back to the input, at least a block. None: it hears noise.
        loses: Whether a stream with these settings loses blocks.
        refuses: Whether a stream with these settings cannot be opened.
        loss: A block in so many is lost.
    """

    def __init__(
        self,
        delay: int | None = None,
        loses: Callable[[Wiring], bool] = lambda wiring: False,
        refuses: Callable[[Wiring], bool] = lambda wiring: False,
        noise: float = 1e-3,
        rates: tuple[int, ...] = (RATE,),
        gain: float = 1.0,
    ) -> None:
        super().__init__(QUIET_ROOM, rates)
        # One device, so that both ends surely have one clock.
        self.devices = [device(0, "Headset", 1, 2, rates[0], "input output")]
        self.delay, self.loses, self.refuses = delay, loses, refuses
        self.noise, self.gain, self.samples = noise, gain, 0
        self.opened: list[Wiring] = []

    def open(self, wiring, callback):
        self.opened.append(wiring)
        if self.refuses(wiring):
            raise DeviceError("Invalid number of channels")
        return Loop(self, wiring, callback)

    def clock(self) -> float:
        """The time by this card, which keeps the pace of its rate."""
        return self.samples / self.rates[0]


class Driver:
    """The list of a card's devices, as PortAudio gives it."""

    def __init__(self, card: ArrayCard) -> None:
        self.card = card

    def version(self):
        return "19.7.0", ["Array"]

    def devices(self):
        return self.card.devices


class Loop(Stream):
    """The stream of a `Card`."""

    card: Card

    def _call(self) -> None:
        card, block, at = self.card, self.wiring.block, 0
        rng = np.random.default_rng(3)
        played = np.zeros(20 * RATE, np.float32)
        status = LOST if card.loses(self.wiring) else None
        while not self._stop.wait(0.0005):
            heard = card.noise * rng.standard_normal((block, 1)).astype(np.float32)
            if card.delay is not None:
                begin = at - card.delay
                back = played[max(0, begin) : max(0, begin + block)]
                heard[block - len(back) :, 0] += card.gain * back
            out = np.full((block, self.wiring.channels[1]), np.nan, np.float32)
            self.callback(heard, out, block, None, status)
            card.heard.append(out)
            played[at : at + block] = out[:, 0]
            at += block
            card.samples += block
