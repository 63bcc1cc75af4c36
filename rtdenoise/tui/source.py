"""`Source`, what a screen shows: a run's socket for commands and numbers, its tap for the sound."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from ..audio import Samples
from ..core.tape import Calls
from ..errors import DeviceError, RtdenoiseError

Status = dict[str, Any]


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


def open_tap(name: str) -> Tap:
    """Return a reader of the tap *name*; what it needs is imported here, which takes a second."""
    from ..live.tap import TapReader

    return TapReader(name)


class Source:
    """A run: one connection for its numbers, one for commands, and its tap.

    A model takes seconds to load, and its numbers are shown meanwhile: hence two connections. If
    the run is gone, each request looks for one anew.

    Args:
        connect: Function that returns a connection to the run.
        tap: Function that opens a tap by its name.
    """

    def __init__(self, connect: Callable[[], Client], tap: Callable[[str], Tap] = open_tap) -> None:
        self._connect, self._open_tap = connect, tap
        self._clients: dict[str, Client] = {}
        self._locks = {"numbers": threading.Lock(), "commands": threading.Lock()}
        self.tap: Tap | None = None

    def status(self) -> Status:
        """Return the status of the run, and open its tap if it has one.

        Raises:
            DeviceError: If no run answers.
        """
        status: Status = self._asked("numbers", "status", {})
        name = status["tap"]
        if name is None:
            self.tap = None
        elif self.tap is None or self.tap.name != name:
            self.tap = None
            with suppress(RtdenoiseError):  # the run has just ended, or is of another version
                self.tap = self._open_tap(name)
        return status

    def events(self, since: int) -> list[Status]:
        """Return what happened to the run from the event number *since* on."""
        events: list[Status] = self._asked("numbers", "events", {"since": since})
        return events

    def do(self, name: str, **given: Any) -> Any:
        """Return the result of a command.

        Raises:
            RtdenoiseError: What the run answers, if it refuses.
        """
        return self._asked("commands", name, given)

    def _asked(self, which: str, name: str, given: dict[str, Any]) -> Any:
        with self._locks[which]:
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
