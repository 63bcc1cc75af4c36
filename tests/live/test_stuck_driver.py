"""No call of the driver holds the program, whichever of them never returns."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from rtdenoise.errors import DeviceError
from rtdenoise.live.devices import PortAudio, Wiring
from tests.live.array_card import ArrayCard

RATE = 48_000
FOREVER_S = 60.0  # far longer than any limit, and no test waits for it


class PortAudioError(Exception):
    """As sounddevice's, by its name."""


class Module:
    """sounddevice with a card whose calls hang, if their name is in *hangs*, until *released*."""

    PortAudioError, _lib = PortAudioError, None

    def __init__(self, hangs):
        self.hangs, self.released = hangs, threading.Event()
        self.ended: list[str] = []
        self._initialized = 1

    def _may_hang(self, name):
        if name in self.hangs:
            self.released.wait(FOREVER_S)
        self.ended.append(name)

    def query_hostapis(self):
        return [{"name": "Hangs", "devices": [0]}]

    def _exit_handler(self):
        self._terminate()

    def _terminate(self):
        self._may_hang("terminate")
        self._initialized -= 1

    def Stream(self, **_settings):  # noqa: N802 - sounddevice's name
        return ModuleStream(self)


class ModuleStream:
    """A stream of `Module`."""

    active, latency = True, (0.1, 0.1)

    def __init__(self, module):
        self.module = module

    def start(self):
        self.module._may_hang("start")

    def abort(self, ignore_errors):
        self.module._may_hang("abort")

    def close(self, ignore_errors):
        self.module._may_hang("close")


MIC, SPEAKERS = ArrayCard(np.zeros((1, 0), np.float32)).devices
WIRING = Wiring(MIC, SPEAKERS, RATE, 512, (1, 2), "low")


@pytest.mark.parametrize("hangs", ["start", "abort", "close", "terminate"])
def test_a_call_that_never_returns_is_left(monkeypatch, hangs):
    """Each within its time, and what hung is not touched again, even if it returns one day."""
    monkeypatch.setattr("rtdenoise.live.devices.CLOSE_S", 0.1)
    monkeypatch.setattr("rtdenoise.live.library.CLOSE_S", 0.1)
    monkeypatch.setattr("rtdenoise.live.library.ANSWER_S", 0.1)
    module = Module(hangs)
    cards = PortAudio(lambda: module)
    if hangs == "start":
        with pytest.raises(DeviceError, match=r"did not answer within 0\.1 s"):
            cards.open(WIRING, lambda *_: None)
    else:
        stream = cards.open(WIRING, lambda *_: None)
        stream.close()
        stream.close()
    cards.relist()
    before = list(module.ended)
    module.released.set()
    for thread in threading.enumerate():
        if thread.name == "rtdenoise-portaudio":
            thread.join(0.2)

    assert module.ended in (before, [*before, hangs])
    assert "terminate" not in before
