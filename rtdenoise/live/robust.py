"""Robust mode: the device calls compiled code, and a worker thread calls the session later.

device's thread, compiled:  input -> relay -> output
worker's thread, Python:    relay -> callback of the session -> relay

Python's lock (the GIL) can hold up a callback in Python for longer than a block. Here it holds up
the worker alone, which has some hops of time. `Workers` does this for every stream of a `Cards`, so
that with two streams each has a worker, and the ring between them is as without.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.relay import Relay
from .devices import Callback, Cards, Device, Kind, Running, Wiring
from .negotiate import Plan

LOOKS = 8  # looks at the relay in the time of a block, and at most one each LEAST_S
LEAST_S = 0.0005
SPARE_S = 1.0  # input that is kept for a worker that stands still
END_S = 2.0  # time to wait for the end of a worker, whose net may never return
REALTIME, NICE = 5, -11  # below the sound servers, which have 20 and more; above other programs


@dataclass(frozen=True)
class Flags:
    """What happened since the call before, in the place of sounddevice's flags: counts.

    Attributes:
        input_overflow: Blocks before which the driver had lost samples of the input.
        output_underflow: Blocks before which it had lost samples of the output.
        silent_blocks: Blocks with silence in them, because the worker was late.
        silent: Samples per channel of that silence.
        lost: Samples per channel that are left out before this call, as their time is over.
    """

    input_overflow: int
    output_underflow: int
    silent_blocks: int
    silent: int
    lost: int
    input_underflow = output_overflow = 0

    def __bool__(self) -> bool:
        return self != NOTHING


NOTHING = Flags(0, 0, 0, 0, 0)


def raise_priority() -> str:
    """Raise the priority of this thread as far as the system lets it, and return to what.

    "real-time" needs a limit `rtprio` on Linux, "raised" a limit `nice`; "normal" is the rest. On
    macOS and Windows, Python cannot ask for it.
    """
    if not hasattr(os, "sched_setscheduler"):
        return "normal"
    with suppress(OSError):
        policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(REALTIME))  # 0: the thread that asks
        return "real-time"
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        return "raised"
    return "normal"


class Worker:
    """The thread that calls the session for a stream, block by block.

    It does not spin: between two looks at the relay it sleeps for an eighth of a block.

    Args:
        wiring: The settings of the stream.
        delay: Samples from an input to its output. A stream without an output has none.
        callback: Callback of the session.

    Attributes:
        relay: What the device calls.
        priority: What `raise_priority` returned; empty before the start.
        fault: The exception that the callback raised last. None: it has not raised.
    """

    def __init__(self, wiring: Wiring, delay: int, callback: Callback) -> None:
        inputs = wiring.channels[0] if wiring.source is not None else 0
        self._outputs = wiring.channels[1] if wiring.sink is not None else 0
        self.relay = Relay((inputs, self._outputs), delay, round(SPARE_S * wiring.rate))
        self.priority = ""
        self.fault: Exception | None = None
        self._block, self._delay, self._callback = wiring.block, delay, callback
        self._inputs = inputs
        self._look_s = max(LEAST_S, wiring.block / wiring.rate / LOOKS)
        self._at = 0  # number of the next sample to take
        self._told = self.relay.counts
        self._began, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True, name="rtdenoise-worker")

    def start(self) -> None:
        """Begin, before the stream does."""
        self._thread.start()
        self._began.wait(END_S)

    def close(self) -> None:
        """End, or leave the thread if the net does not return; the stream must be closed."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(END_S)

    def _work(self) -> None:
        """Do one block after the other, in the worker's thread."""
        self.priority = raise_priority()
        self._began.set()
        while not self._stop.is_set():
            if self.relay.came - self._at < self._block:
                time.sleep(self._look_s)
                continue
            try:
                self._turn()
            except Exception as fault:  # the session does not raise; the sound must go on
                self.fault = fault
                self._leave_out(self._block)

    def _turn(self) -> None:
        """Take a block, call the session, and give what it returns."""
        lost = self._late()
        self._leave_out(lost)
        heard = self.relay.take(self._at, self._block)
        if heard is None:  # it stood still for longer than the relay keeps the input
            more = (self.relay.came - self._at) // self._block * self._block
            self._leave_out(more)
            lost, heard = lost + more, np.zeros((self._block, self._inputs), np.float32)
        played = np.zeros((self._block, self._outputs), np.float32)
        ends = (heard if self._inputs else None, played if self._outputs else None)
        self._callback(*ends, self._block, None, self._flags(lost))
        self.relay.give(self._at + self._delay, played)
        self._at += self._block

    def _late(self) -> int:
        """Return how many samples to leave out: whole blocks, whose time to play has begun."""
        behind = self.relay.came - self._at - self._delay if self._outputs else 0
        return max(0, -(-behind // self._block)) * self._block

    def _leave_out(self, samples: int) -> None:
        """Go on *samples* later."""
        begin = self._at + self._delay
        self.relay.leave_out(begin, begin + samples)
        self._at += samples

    def _flags(self, lost: int) -> Flags:
        """Return what happened since the last call."""
        counts = self.relay.counts
        new, self._told = counts - self._told, counts
        xruns_in, xruns_out, blocks, silent = map(int, new)
        return Flags(xruns_in, xruns_out, blocks, silent, lost)


class Work:
    """A running stream with a worker, as a `Running`.

    Args:
        stream: The stream, which calls the relay of the worker.
        worker: The worker.
    """

    def __init__(self, stream: Running, worker: Worker) -> None:
        self._stream, self._worker = stream, worker

    @property
    def active(self) -> bool:
        """See `Running.active`."""
        return self._stream.active

    def latency_ms(self) -> tuple[float | None, float | None]:
        """See `Running.latency_ms`; the delay of the relay is not in it."""
        return self._stream.latency_ms()

    def close(self) -> None:
        """See `Running.close`."""
        self._stream.close()
        self._worker.close()


class Workers:
    """Sound devices whose streams have workers: a `Cards`.

    Args:
        cards: Object that finds and opens the devices.
        plan: The form of the run.

    Attributes:
        hops: Hops of time that the workers have.
        priority: What `raise_priority` returned in the last worker; empty before the first.
    """

    def __init__(self, cards: Cards, plan: Plan) -> None:
        self._cards, self._delay = cards, plan.added
        self.hops, self.priority = plan.hops, ""

    def find(self, query: str, kind: Kind) -> Device:
        """See `Cards.find`."""
        return self._cards.find(query, kind)

    def takes(self, device: Device, kind: Kind, rate: int) -> bool:
        """See `Cards.takes`."""
        return self._cards.takes(device, kind, rate)

    def relist(self) -> None:
        """See `Cards.relist`."""
        self._cards.relist()

    def summary(self) -> dict[str, Any]:
        """Return the hops and the priority of the workers."""
        return {"hops": self.hops, "priority": self.priority}

    def open(self, wiring: Wiring, callback: Callback) -> Work:
        """See `Cards.open`; the worker calls *callback*."""
        worker = Worker(wiring, self._delay if wiring.sink is not None else 0, callback)
        worker.start()
        self.priority = worker.priority
        try:
            return Work(self._cards.open(wiring, worker.relay), worker)
        except BaseException:
            worker.close()
            raise
