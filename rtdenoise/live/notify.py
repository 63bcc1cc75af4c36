"""What a service manager is told while live sound runs: sd_notify, in the words of systemd.

systemd names a socket in $NOTIFY_SOCKET, and each message is lines of KEY=VALUE. Without the socket
nothing is told. `man sd_notify` has the protocol.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

STATUS_S = 10.0  # time between two lines of status
MICRO = 1e-6


class Notifier:
    """Tells the service manager that sound runs, that it goes on, and that it ends.

    Nothing here raises or waits: a service manager that is gone must not end the sound.

    Args:
        environment: The variables of the process.
        clock: Function that returns the time in seconds.
    """

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self._socket: socket.socket | None = None
        if name[:1] in ("/", "@") and hasattr(socket, "AF_UNIX"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
        self._every_s = _watchdog_s(environment) / 4
        self._clock, self._ready, self._stopping, self._callbacks = clock, False, False, 0
        self._beat_s = self._status_s = -math.inf

    @property
    def listens(self) -> bool:
        """Whether there is a manager that may be told."""
        return self._socket is not None

    def running(self, status: Mapping[str, Any], waiting: bool = False) -> None:
        """Tell that sound runs, if there were callbacks since the last call.

        The first time, this is told as READY=1. Later it is told as WATCHDOG=1, a few times in the
        period that the manager allows: if the sound stops, the manager starts the service again.

        Args:
            status: The numbers of now, as `Session.status` returns them.
            waiting: Whether the run waits for a device, and is alive without callbacks.
        """
        sounds = status["callbacks"] != self._callbacks
        if self._socket is None or not (sounds or (waiting and self._ready)):
            return
        self._callbacks, now_s = status["callbacks"], self._clock()
        lines = [] if self._ready else ["READY=1"]
        if now_s - self._beat_s >= self._every_s < math.inf:
            lines.append("WATCHDOG=1")
            self._beat_s = now_s
        if now_s - self._status_s >= STATUS_S:
            lines.append(f"STATUS={'waiting for a device' if waiting else _told(status)}")
            self._status_s = now_s
        self._ready = self._send(lines) or self._ready

    def stopping(self) -> None:
        """Tell that the sound ends; a second call changes nothing."""
        if not self._stopping:
            self._send(["STOPPING=1"])
        self._stopping = True

    def close(self) -> None:
        """Close the socket; nothing is told any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, lines: list[str]) -> bool:
        """Send *lines* as one message, and return whether it was sent."""
        if self._socket is None or not lines:
            return False
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except (OSError, ValueError):  # the manager is gone or busy, or the name is none
            return False
        return True


def _told(status: Mapping[str, Any]) -> str:
    """Return a line with the numbers of now."""
    load = f"{status['load_percent']:.0f} % of the deadline"
    return f"{load}, xruns {status['xruns']}, late {status['late']}"


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """Return the period in which the manager wants a message; infinity: it wants none."""
    digits = environment.get("WATCHDOG_USEC", "")
    return MICRO * int(digits) if digits.isdecimal() and int(digits) else math.inf
