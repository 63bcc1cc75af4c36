"""Who calls the callback: the thread of a device, or a pump."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DeviceError
from .devices import Running
from .player import Player
from .recorder import Recorder
from .session import Frames, Session

DEAD_S = 1.0  # without a callback: the device is gone
LOOK_S = 0.1  # between two looks at a device
SWITCH_S = 0.0005  # Python's default of 5 ms lets any busy thread hold up every hop
PUMPED = 512  # samples a callback where nobody says how many


@contextmanager
def quiet_interpreter() -> Iterator[None]:
    """No garbage collection of what is there, and short turns for other threads, inside it."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        sys.setswitchinterval(before)
        gc.unfreeze()


@dataclass(frozen=True)
class Drive:
    """Calls a session until a file is over, the time is up, or somebody asks to stop.

    Attributes:
        session: Whose callback is called.
        player: The file that is the input. None: a device is, or nothing.
        recorder: Where what is heard goes. None: nowhere.
        most: Samples after which it is over. None: any number.
        stop: Set it to end the run.
        clock: Gives seconds.
    """

    session: Session
    player: Player | None
    recorder: Recorder | None
    most: int | None
    stop: threading.Event
    clock: Callable[[], float] = time.monotonic

    def over(self) -> bool:
        """Whether all is done: what went in has come out."""
        if self.stop.is_set() or (self.most is not None and self.session.frames >= self.most):
            return True
        if self.player is None or not self.player.over:
            return False
        return self.session.frames >= self.player.taken + self.session.stage.latency

    def pump(self, block: int, paced: bool) -> None:
        """Call the callback from this thread until it is over.

        Args:
            block: Samples a call; 0: as many as the pump likes.
            paced: Keep to the pace of the samples; otherwise as fast as it goes.
        """
        block = block or PUMPED
        begin_s = self.clock()
        out = np.empty((block, self.session.outputs), np.float32)
        while not self.over():
            heard = self.player.read(block, wait=True) if self.player else None
            if self.recorder:
                self.recorder.room(block)
            self.session.callback(heard, out, block, None, None)
            ahead_s = self.session.frames / self.session.rate - (self.clock() - begin_s)
            if paced and ahead_s > 0:
                self.stop.wait(ahead_s)

    def called(
        self, indata: Frames | None, outdata: Frames | None, frames: int, when: Any, status: Any
    ) -> None:
        """What a device calls: a file takes the place of a missing input."""
        if indata is None and self.player is not None:
            indata = self.player.read(frames, wait=False)
        self.session.callback(indata, outdata, frames, when, status)

    def watch(self, stream: Running, name: str) -> None:
        """Wait until it is over. A device that is gone does not say so itself.

        Args:
            stream: What calls `called`.
            name: Of the devices, for the error.

        Raises:
            DeviceError: no call for `DEAD_S`, or the stream says that it ended.
        """
        calls, alive_s = self.session.callbacks, self.clock()
        while not self.over():
            self.stop.wait(LOOK_S)
            now_s = self.clock()
            if self.session.callbacks != calls:
                calls, alive_s = self.session.callbacks, now_s
            elif (now_s - alive_s > DEAD_S or not stream.active) and not self.over():
                raise DeviceError(f"the sound device is gone: {name} stopped")
