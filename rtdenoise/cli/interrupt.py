"""Ctrl-C, SIGTERM and SIGHUP as a request to stop at the next point where nothing is lost."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..sound.pending import Pending

GRACE_S = 5.0  # time that a call of a net may still take after Ctrl-C
LOOK_S = 0.2
WORKERS = "rtdenoise-file"  # names of the threads of a batch of files
HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # the terminal was closed
ASKED = (signal.SIGINT, signal.SIGTERM, *([HANGUP] if HANGUP else []))


@contextmanager
def until_interrupted() -> Iterator[threading.Event]:
    """Return a context with an event that Ctrl-C, SIGTERM and SIGHUP set; later they act as before.

    A second signal changes nothing, because torchrun passes Ctrl-C on and may also send SIGTERM.

    >>> with until_interrupted() as stop:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     stop.is_set()
    True
    """
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in ASKED
        if number is not HANGUP or signal.getsignal(number) is not signal.SIG_IGN  # nohup
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def always() -> int:
    """Return that one and the same call runs all the time; see `bounded`."""
    return 0


@contextmanager
def bounded(told: str, code: int, call: Callable[[], int | None] = always) -> Iterator[None]:
    """Return a context in which Ctrl-C ends the process, even if a net never returns.

    Python handles a signal in the main thread, when that thread is back in Python. A net that loops
    for ever keeps it, or a thread that it waits for. The system's handler writes the signal into a
    socket, however, and a thread that reads it ends the process when `GRACE_S` have passed. No
    part of an output stays.

    Args:
        told: What stderr gets in that case.
        code: The exit code in that case.
        call: Function that returns the number of the call that runs, or None if none does. The
            process ends when one call takes all of `GRACE_S`.
    """
    if threading.current_thread() is not threading.main_thread():  # it gets no signals
        yield
        return
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    over = threading.Event()
    before = signal.set_wakeup_fd(ours.fileno(), warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(theirs, over, told, code, call), daemon=True)
    watch.start()
    try:
        yield
    except KeyboardInterrupt:  # with workers left, it is the second: the first one waits for them
        if any(thread.name.startswith(WORKERS) for thread in threading.enumerate()):
            _leave(told, code)
        raise
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        ours.close()
        watch.join()
        theirs.close()


def _watch(
    asked: socket.socket,
    over: threading.Event,
    told: str,
    code: int,
    call: Callable[[], int | None],
) -> None:
    """Wait for a signal, and then until the context is over, or one call took too long."""
    while not set(asked.recv(64)) & {*ASKED}:
        if over.is_set():
            return
    running, since_s = call(), time.monotonic()
    while not over.wait(LOOK_S):
        if call() != running or running is None:
            running, since_s = call(), time.monotonic()
        elif time.monotonic() - since_s > GRACE_S:
            _leave(told, code)


def _leave(told: str, code: int) -> None:
    """End the process, whatever its threads do; outputs that are not whole are removed."""
    for each in gc.get_objects():  # where the system has no files without a name
        if type(each) is Pending:  # isinstance would wake lazy objects
            each.discard()
    sys.stderr.write(told + "\n")
    sys.stderr.flush()
    os._exit(code)
