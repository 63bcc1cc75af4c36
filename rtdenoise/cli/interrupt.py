"""Ctrl-C and SIGTERM as a request to stop at the next point where nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def until_interrupted() -> Iterator[threading.Event]:
    """Return a context with an event that Ctrl-C and SIGTERM set; later they act as before.

    A second signal changes nothing, because torchrun passes Ctrl-C on and may also send SIGTERM.

    >>> with until_interrupted() as stop:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     stop.is_set()
    True
    """
    stop = threading.Event()
    asked = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in asked}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
