"""`Errands`, what other threads want done in the main thread, which alone can load VST3 plugins."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
PATIENCE_S = 0.5  # time in which the main thread comes, if it comes at all


class Errands:
    """Work that waits for the main thread, which calls `run` again and again while it waits."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def run(self) -> None:
        """Do what waits, if this is the main thread."""
        while threading.current_thread() is threading.main_thread() and self._waiting:
            errand, work = self._waiting.popleft()
            if errand.set_running_or_notify_cancel():
                try:
                    errand.set_result(work())
                except Exception as error:
                    errand.set_exception(error)

    def do(self, work: Callable[[], T]) -> T:
        """Return what *work* returns, done in the main thread; if that does not come, in this one.

        Raises:
            Exception: What *work* raises.
        """
        if threading.current_thread() is threading.main_thread():
            return work()
        errand: Future[T] = Future()
        self._waiting.append((errand, work))
        try:
            return errand.result(PATIENCE_S)
        except TimeoutError:
            return work() if errand.cancel() else errand.result()
