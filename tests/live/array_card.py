"""A sound card made of an array: it plays into the callback and keeps what comes out."""

from __future__ import annotations

import threading

import numpy as np

from rtdenoise.live.devices import Callback, Device, Kind, Wiring, choose


def device(index: int, name: str, inputs: int, outputs: int, rate: int, default: str) -> Device:
    return Device(index, name, "Array", inputs, outputs, rate, default, 1.0, 2.0)


class ArrayCard:
    """`mic` and `speakers`; the stream calls as fast as it can.

    Args:
        audio: (channels, samples) that the microphone hears, once.
        rates: Those that the card takes.
        dies: Stop calling at the end of *audio*, as a card that is pulled out; else go on with
            silence.
        again: Hear *audio* again and again.
    """

    def __init__(
        self,
        audio: np.ndarray,
        rates: tuple[int, ...] = (48_000,),
        dies: bool = False,
        again: bool = False,
    ) -> None:
        self.audio, self.rates, self.dies, self.again = audio, rates, dies, again
        self.devices = [
            device(0, "mic", len(audio), 0, rates[0], "input"),
            device(1, "speakers", 0, 2, rates[0], "output"),
        ]
        self.heard: list[np.ndarray] = []
        self.closed = 0

    def find(self, query: str, kind: Kind) -> Device:
        return choose(self.devices, query, kind)

    def takes(self, device: Device, kind: Kind, rate: int) -> bool:
        return rate in self.rates

    def relist(self) -> None:
        pass

    def open(self, wiring: Wiring, callback: Callback) -> Stream:
        return Stream(self, wiring, callback)


class Stream:
    """A stream of an `ArrayCard`; its thread is the audio thread."""

    def __init__(self, card: ArrayCard, wiring: Wiring, callback: Callback) -> None:
        self.card, self.wiring, self.callback = card, wiring, callback
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._call)
        self._thread.start()

    def _call(self) -> None:
        block, at = self.wiring.block or 500, 0
        while not self._stop.wait(0.001):
            if self.card.again and at + block > self.card.audio.shape[1]:
                at = 0
            heard = self.card.audio[:, at : at + block].T
            if self.card.dies and len(heard) < block:
                return
            silence = np.zeros((block - len(heard), heard.shape[1]), np.float32)
            out = np.full((block, self.wiring.channels[1]), np.nan, np.float32)
            self.callback(np.concatenate((heard, silence)), out, block, None, None)
            self.card.heard.append(out)
            at += block

    @property
    def active(self) -> bool:
        return self._thread.is_alive()

    def latency_ms(self) -> tuple[float | None, float | None]:
        return 3.0, None

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.card.closed += 1
