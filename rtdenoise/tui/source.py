"""`Source`, what a screen shows: a run's socket for commands and numbers, its tap for the sound."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Protocol

from ..audio import Samples
from ..core.tape import Calls
from ..errors import DeviceError, RtdenoiseError

Status = dict[str, Any]
NUMBERS = "numbers"  # the lane of the thread that asks for the status


class Client(Protocol):
    """A connection to a run, as `live.hosts.Host` is one."""

    def ask(self, do: str, **given: Any) -> Any:
        """Return the result of a request."""

    def close(self) -> None:
        """Close the connection."""


class Tap(Protocol):
    """What is read of a tap, as `live.tap.TapReader` gives it."""

    name: str
    rate: int

    @property
    def position(self) -> int:
        """Samples per channel so far."""
        ...

    def last(self, seconds: float, aligned: bool = False) -> tuple[Samples, Samples]:
        """Return the dry and the wet sound of the last seconds, each (rows, n)."""

    def calls(self, since: int = 0) -> Calls:
        """Return the calls from the number *since* on."""

    def events(self) -> list[dict[str, Any]]:
        """Return what happened to the run, the oldest first."""


def open_tap(name: str) -> Tap:
    """Return a reader of the tap *name*; what it needs is imported here, which takes a second."""
    from ..live.tap import TapReader

    return TapReader(name)


class Source:
    """A run: its tap, and a connection for each lane of requests.

    Requests of a lane are answered in their order. A model takes seconds to load, and settings and
    numbers do not wait for it. If the run is gone, the next request looks for one anew.

    Args:
        connect: Function that returns a connection to the run.
        tap: Function that opens a tap by its name.
    """

    def __init__(self, connect: Callable[[], Client], tap: Callable[[str], Tap] = open_tap) -> None:
        self._connect, self._open_tap = connect, tap
        self._clients: dict[str, Client] = {}
        self._queues: dict[str, SimpleQueue[Callable[[], None]]] = {}
        self.tap: Tap | None = None

    def status(self) -> Status:
        """Return the status of the run, and open its tap if it has one.

        Raises:
            DeviceError: If no run answers.
        """
        status: Status = self._asked(NUMBERS, "status", {})
        name = status["tap"]
        if name is None:
            self.tap = None
        elif self.tap is None or self.tap.name != name:
            self.tap = None
            with suppress(RtdenoiseError):  # the run has just ended, or is of another version
                self.tap = self._open_tap(name)
        return status

    def do(self, name: str, **given: Any) -> Any:
        """Return the result of a command; only work of its lane may call it, see `put`.

        Raises:
            RtdenoiseError: What the run answers, if it refuses.
        """
        return self._asked(lane(name), name, given)

    def put(self, name: str, work: Callable[[], None]) -> None:
        """Let the thread of the lane of command *name* do *work*, after what was put there."""
        queue = self._queues.get(lane(name))
        if queue is None:
            queue = self._queues[lane(name)] = SimpleQueue()
            threading.Thread(target=_work_off, args=(queue,), daemon=True).start()
        queue.put(work)

    def _asked(self, which: str, name: str, given: dict[str, Any]) -> Any:
        if which not in self._clients:
            self._clients[which] = self._connect()
        try:
            return self._clients[which].ask(name, **given)
        except DeviceError:
            self._clients.pop(which).close()
            raise

    def close(self) -> None:
        """Close the connections; a command that runs goes on in the host."""
        for client in list(self._clients.values()):
            client.close()


def lane(name: str) -> str:
    """Return the lane of a command: settings are heard at once, the rest may take its time.

    >>> lane("mix"), lane("model")
    ('settings', 'work')
    """
    return "settings" if name in ("bypass", "residual", "mix", "atten-lim", "quit") else "work"


def _work_off(queue: SimpleQueue[Callable[[], None]]) -> None:
    while True:
        queue.get()()
