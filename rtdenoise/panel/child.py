"""A run that the panel has started as a process of its own, with the last lines that it printed."""

from __future__ import annotations

import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ..errors import DeviceError, RtdenoiseError, printable, reason_of
from ..live.hosts import Host

LINES = 30  # lines of its stderr that are kept
LONGEST = 500  # characters of a line
END_S, TERMINATE_S = 8.0, 5.0  # time to end when it is asked, and when it is told


class Child:
    """A run that was started by the panel.

    Args:
        words: The command line.
        settings: What it was started with, which the page shows.

    Raises:
        DeviceError: If the process cannot be started.
    """

    def __init__(self, words: Sequence[str], settings: dict[str, Any]) -> None:
        self.settings = settings
        self._lines: deque[str] = deque(maxlen=LINES)
        self._asked = False
        nothing = subprocess.DEVNULL
        try:
            self._process = subprocess.Popen(
                words, stdin=nothing, stdout=nothing, stderr=subprocess.PIPE
            )
        except OSError as error:
            raise DeviceError(f"the run cannot be started: {reason_of(error)}") from None
        self._reading = threading.Thread(target=self._read, daemon=True, name="rtdenoise-panel")
        self._reading.start()

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def summary(self) -> dict[str, Any]:
        """Return what the page shows: whether it runs, how it ended, and what it printed."""
        code = self._process.poll()
        if code is not None:
            self._reading.join(1.0)  # its last words
        return {
            "pid": self.pid,
            "code": code,
            "asked": self._asked,
            "lines": list(self._lines),
            "settings": self.settings,
        }

    def end(self) -> None:
        """Ask the run to end, as its own users do, and then with more force; wait until it has."""
        self._asked = True
        with suppress(RtdenoiseError), Host(self.pid) as host:
            host.ask("quit")
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_S)
        if self.running:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(TERMINATE_S)
        if self.running:
            self._process.kill()
        self._process.wait()
        self._reading.join(1.0)

    def _read(self) -> None:
        """Keep the lines that it prints, until it ends."""
        stderr = self._process.stderr
        assert stderr is not None  # noqa: S101  it is a pipe
        with stderr:
            for line in stderr:
                text = line.decode(errors="replace").rstrip()
                if text:
                    self._lines.append(printable(text[:LONGEST]))
