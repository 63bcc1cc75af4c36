"""`Feed`, what one page is sent for as long as it is open: the state of the run, and its sound."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from ..errors import Problem, RtdenoiseError
from ..live import hosts
from ..live.hosts import Host
from ..live.tap import TapReader
from . import boards
from .desk import Desk
from .spectra import Picture, call_times

TICK_S = 0.04  # time between two looks at the sound
STATE_S, DETAIL_S, HOSTS_S = 0.25, 1.0, 1.5
Message = tuple[str, dict[str, Any]]


class Feed:
    """The messages to one page, as pairs of a name and what JSON can hold.

    `state`: {"pid", "status", "hosts", "child"}, and when they have changed "board", "parameters",
    "form" (the axes of the spectra), and new "events". `sound`: what `Picture.new` returns.

    Args:
        desk: What the pages share.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._host: Host | None = None
        self._picture: Picture | None = None
        self._running: list[int] = []
        self._named: dict[int, str] = {}
        self._events, self._changes = 0, -1
        self._kept: dict[str, Any] = {}  # what was sent last, by name
        self._due_s = dict.fromkeys(("state", "detail", "hosts"), 0.0)

    def __iter__(self) -> Iterator[Message]:
        """Yield messages until the panel ends."""
        while not self._desk.closed:
            if self._due("state", STATE_S):
                yield "state", self._state()
            if self._picture is not None and (new := self._picture.new()) is not None:
                yield "sound", new
            time.sleep(TICK_S)

    def close(self) -> None:
        """Leave the run."""
        if self._host is not None:
            self._host.close()
        self._host = self._picture = None

    def _due(self, name: str, every_s: float) -> bool:
        """Return whether it is time for *name*, and wait for the next time from now on."""
        now_s = time.monotonic()
        if now_s < self._due_s[name]:
            return False
        self._due_s[name] = now_s + every_s
        return True

    def _state(self) -> dict[str, Any]:
        """Return the state; a run that is gone has none."""
        if self._due("hosts", HOSTS_S) or self._host is None:
            with suppress(RtdenoiseError):
                self._running = hosts.running()
        pid = self._desk.chosen(self._running)
        child = self._desk.child
        state: dict[str, Any] = {"pid": pid, "status": None}
        state["child"] = None if child is None else child.summary()
        try:
            if self._host is None or self._host.pid != pid:
                self._move(pid)
            if self._host is not None:
                state |= self._of(self._host)
        except RtdenoiseError:  # it is gone
            self.close()
            self._running = [each for each in self._running if each != pid]
        state["hosts"] = [{"pid": each, "text": self._name(each)} for each in self._running]
        return state

    def _move(self, pid: int | None) -> None:
        """Leave the run that was shown, and go to another one."""
        self.close()
        self._events, self._changes, self._kept = 0, -1, {}
        if pid is not None:
            self._host = Host(pid)

    def _of(self, host: Host) -> dict[str, Any]:
        """Return what a run says about itself now."""
        status = host.ask("status")
        self._named[host.pid] = hosts.described(status)
        events = host.ask("events", since=self._events)
        self._events += len(events)
        state = {"status": status, "events": events}
        self._look(status["tap"])
        if self._due("detail", DETAIL_S) or self._changes != self._desk.changes:
            self._changes = self._desk.changes
            state |= self._changed("parameters", host.ask("parameters"))
            state |= self._changed("board", _board(host, self._kept["parameters"]))
            if self._picture is not None:
                state |= self._changed("form", self._picture.form())
                state["calls"] = call_times(self._picture.reader)
        return state

    def _look(self, tap: str | None) -> None:
        """Read the tap called *tap* from now on. None: the run has none."""
        if self._picture is None or self._picture.reader.name != tap:
            self._picture = None
            if tap is not None:
                with suppress(RtdenoiseError):  # it is gone; the next state will tell
                    self._picture = Picture(TapReader(tap))

    def _changed(self, name: str, value: Any) -> dict[str, Any]:
        """Return *value* under its name if the page does not have it."""
        if name in self._kept and self._kept[name] == value:
            return {}
        self._kept[name] = value
        return {name: value}

    def _name(self, pid: int) -> str:
        """Return what a run is called in a list."""
        if pid not in self._named:
            with suppress(RtdenoiseError), Host(pid) as host:
                self._named[pid] = hosts.described(host.ask("status"))
        return self._named.get(pid, str(pid))


def _board(host: Host, parameters: list[dict[str, Any]]) -> list[boards.Table] | None:
    """Return the effects that run. None: one of them does not tell what it was made of."""
    try:
        return boards.with_values(boards.tables(host.ask("describe")), parameters)
    except RtdenoiseError as error:
        if error.problem is Problem.NO_HOST:
            raise
        return None
