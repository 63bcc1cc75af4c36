"""The supervisor of a run on devices: it notices that one is gone, and opens it when it is back.

A device does not say that it is gone: its stream makes no calls, or is no longer active. The stage
stays the same over the gap and starts again from silence, so that the delay is what it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ..errors import DeviceError
from .devices import AbsentError, Callback, Running
from .drive import Drive
from .session import Frames

DEAD_S = 1.0  # a device that makes no call for so long is gone
START_S = 5.0  # the same for a stream that starts: some sinks play what they have, and then stall
LOOK_S = 0.1  # time between two looks at a device
FIRST_S, LONGEST_S = 0.2, 5.0  # times between two tries to open a device, which double


@dataclass(frozen=True)
class Event:
    """Something that happened to a run.

    Attributes:
        kind: "lost": a device is gone; "waiting": it is there, but cannot be opened; "back": the
            sound goes on; "changed": another effect runs; "delay": the delay is another; "kept": a
            change failed, and the effect stays; "record": a recording began or ended; "mark":
            somebody marked this moment; "unfit": the model is for another kind of sound.
        text: A sentence about it, for people.
        gap_s: Time without sound in seconds, if it is back; otherwise 0.
        at_s: Time in seconds of the sound of the run so far.
    """

    kind: Literal["lost", "waiting", "back", "changed", "delay", "kept", "record", "mark", "unfit"]
    text: str
    gap_s: float = 0.0
    at_s: float = 0.0


class Gate:
    """The way of a stream's calls to the session, which is shut before and after its time.

    A stream that was left, because closing it hangs, may call again years later; the session must
    never be called from two threads.

    Args:
        callback: Function that gets the calls.
        is_open: Whether it gets them from the start.
        clock: Function that returns the time in seconds.

    Attributes:
        calls: Number of calls so far.
        called_s: Time of the last call.
    """

    def __init__(self, callback: Callback, is_open: bool, clock: Callable[[], float]) -> None:
        self._callback, self.is_open, self._clock = callback, is_open, clock
        self.calls, self.called_s = 0, clock()

    def __call__(
        self, indata: Frames | None, outdata: Frames | None, frames: int, when: Any, status: Any
    ) -> None:
        """Pass a call on, or give silence."""
        self.calls, self.called_s = self.calls + 1, self._clock()
        if self.is_open:
            self._callback(indata, outdata, frames, when, status)
        elif outdata is not None:
            outdata.fill(0)


class Opener(Protocol):
    """A function that finds the devices by the user's words, and opens a stream on them."""

    def __call__(self, callback: Callback) -> tuple[Running, str]:
        """Return the stream, which calls *callback*, and the names of its devices."""
        ...


class Supervisor:
    """A stream that is opened again after its device was gone.

    Args:
        drive: The drive of the run.
        opener: Function that opens a stream.
        relist: Function that makes the next call of *opener* see the devices of then.
        tell: Function that gets every event. None: the end of the device is an error.
        clock: Function that returns the time in seconds.

    Raises:
        DeviceError: If a device is missing, or cannot be opened with these settings.
    """

    def __init__(
        self,
        drive: Drive,
        opener: Opener,
        relist: Callable[[], None],
        tell: Callable[[Event], None] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._drive, self._opener, self._relist = drive, opener, relist
        self._tell, self._clock = tell, clock
        self._gate = Gate(drive.called, True, clock)
        self._stream: Running | None = None
        self._stream, self._name = opener(self._gate)

    def run(self) -> None:
        """Watch the devices until the run is over, and open them again when they were gone.

        Raises:
            DeviceError: If a device is gone, and nobody wants to wait for it.
        """
        while self._stream is not None and not self._watch(self._stream):
            self.close()
            if self._tell is None:
                raise DeviceError(f"the sound device is gone: {self._name} stopped")
            self._tell(Event("lost", f"{self._name} is gone; waiting until it is back"))
            self._relist()
            self._recover(self._tell)

    def close(self) -> None:
        """Close the stream, if there is one; what the driver does not close in time is left."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
            self._gate.is_open = False

    def _watch(self, stream: Running) -> bool:
        """Return True when the run is over, and False when the device is gone."""
        calls, last_s, up_s, silent_s = self._gate.calls, self._clock(), 0.0, 0.0
        while not self._drive.over():
            self._drive.stop.wait(LOOK_S)
            now_s = self._clock()
            # A process that was stopped, or a machine that slept, must not blame the device.
            awake_s, last_s = min(now_s - last_s, 2 * LOOK_S), now_s
            up_s, silent_s = up_s + awake_s, silent_s + awake_s
            if self._gate.calls != calls:
                calls, silent_s = self._gate.calls, 0.0
            patience_s = START_S if up_s - silent_s < START_S else DEAD_S
            if silent_s > patience_s or not stream.active:
                return self._drive.over()
        return True

    def _recover(self, tell: Callable[[Event], None]) -> None:
        """Try to open the devices until it succeeds, or the run is over."""
        gone_s, pause_s = self._gate.called_s, FIRST_S
        reason, told = "", False
        while self._stream is None and not self._drive.over(self._lost(gone_s)):
            try:
                self._open_again(gone_s)
            except DeviceError as error:
                self._relist()
                # A device that is going away refuses once; one that refuses again is told, once.
                if not told and not isinstance(error, AbsentError) and str(error) == reason:
                    tell(Event("waiting", f"still waiting: {error}"))
                    told = True
                reason = str(error)
                self._drive.stop.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_S)
        if self._stream is None:
            self._drive.session.skip(self._lost(gone_s))
            return
        gap_s = self._clock() - gone_s
        tell(Event("back", f"{self._name} is back after {gap_s:.1f} s", gap_s))

    def _lost(self, gone_s: float) -> int:
        """Return the samples per channel that would have come since *gone_s*."""
        return round((self._clock() - gone_s) * self._drive.session.rate)

    def _open_again(self, gone_s: float) -> None:
        """Open the devices, and let their calls in when the first has come.

        Raises:
            DeviceError: If a device is not there, refuses, or makes no call.
        """
        gate = Gate(self._drive.called, False, self._clock)
        stream, name = self._opener(gate)
        session, waited_s = self._drive.session, 0.0
        while not gate.calls or session.inside:  # the last call of the old stream may still run
            over = self._drive.over(self._lost(gone_s))
            if over or waited_s > START_S or not stream.active:
                stream.close()
                if over:
                    return
                raise DeviceError(f"{name} was opened, but makes no sound")
            self._drive.stop.wait(LOOK_S / 10)
            waited_s += LOOK_S / 10
        lost = self._lost(gone_s)
        session.skip(lost)
        session.restart()
        if self._drive.player is None:  # a file waits meanwhile, and nothing of it is lost
            self._drive.record_gap(lost)
        gate.is_open = True
        self._gate, self._stream, self._name = gate, stream, name
