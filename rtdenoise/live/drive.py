"""The drive of a run: the callback is called by the thread of a device, or by a pump."""

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

from .player import Player
from .recording import Recording
from .session import Frames, Session, lost_before

SWITCH_S = 0.0005  # with Python's default of 5 ms, any busy thread delays every hop
PUMPED = 512  # samples a callback of a pump, if the plan does not say


@contextmanager
def quiet_interpreter() -> Iterator[None]:
    """Return a context with short thread turns and no garbage collection of old objects."""
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
    """The driver of a session, until its file ends, its time is up, or it is asked to stop.

    Attributes:
        session: The session whose callback is called.
        player: File that is the input. None: a device is the input, or there is none.
        recorder: What is recorded. None: nothing can be.
        most: Samples after which the run ends. None: there is no limit.
        stop: Event that ends the run when it is set.
        clock: Function that returns the time in seconds.
        behind: Samples by which a device plays later than the session gives them.
    """

    session: Session
    player: Player | None
    recorder: Recording | None
    most: int | None
    stop: threading.Event
    clock: Callable[[], float] = time.monotonic
    behind: int = 0

    def over(self, missing: int = 0) -> bool:
        """Return whether the run is over: the whole file has come out, or it must stop.

        Args:
            missing: Samples per channel for which a device has been gone so far.
        """
        passed = self.session.frames + self.session.skipped + missing
        if self.stop.is_set() or (self.most is not None and passed >= self.most):
            return True
        if self.player is None or not self.player.over:
            return False
        late = self.session.stage.latency + self.behind
        return self.session.frames >= self.player.taken + late

    def pump(self, block: int, paced: bool) -> None:
        """Call the callback from this thread until the run is over.

        Args:
            block: Samples a call. 0: `PUMPED` samples.
            paced: Whether the calls keep the pace of the sample rate; otherwise they do not wait.
        """
        block = block or PUMPED
        begin_s = self.clock()
        out = np.empty((block, self.session.outputs), np.float32)
        while not self.over():
            played = self.player.read(block, wait=True) if self.player else None
            if self.recorder:
                self.recorder.room(block)
            self.session.callback(played, out, block, None, None)
            ahead_s = self.session.frames / self.session.rate - (self.clock() - begin_s)
            if paced and ahead_s > 0:
                self.stop.wait(ahead_s)

    def called(
        self, indata: Frames | None, outdata: Frames | None, frames: int, when: Any, status: Any
    ) -> None:
        """Call the session's callback for a device; a file takes the place of a missing input."""
        if self.player is None:
            self.session.miss(lost_before(status))
        elif indata is None:  # a file waits, and nothing of it is lost
            indata = self.player.read(frames, wait=False)
        self.session.callback(indata, outdata, frames, when, status)

    def record_gap(self, lost: int) -> None:
        """Record *lost* samples per channel of silence, so that the recording keeps its time.

        No stream may call `called` meanwhile.
        """
        if self.recorder is not None:
            self.recorder.gap(lost)
