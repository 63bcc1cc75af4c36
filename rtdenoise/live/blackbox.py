"""The flight recorder of a run: it writes a flight when it is asked to, and when something failed.

Nothing of it runs in the audio thread.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import __version__
from ..core import tape
from ..errors import RtdenoiseError, printable
from .flight import PREFIX, taken, write
from .tap import Tap, TapReader
from .tapfile import claimed, left_behind

# What makes a flight of its own accord. A clipped block is heard, and is no fault of the run.
FAULTS = (
    tape.LATE | tape.FAILED | tape.NONFINITE | tape.XRUN_IN | tape.XRUN_OUT | tape.FAULT
    | tape.MISSED
)  # fmt: skip
LOOK_S = 0.5
AFTER_S = 2.0  # time after a fault that its flight also shows
PAUSE_S = 60.0  # between two flights of faults
MOST_FLIGHTS, MOST_BYTES = 10, 200_000_000  # of faults, in all of a run
MOST_LEFT = 2  # taps of dead hosts that stay in memory
log = logging.getLogger(__name__)


def machine() -> dict[str, Any]:
    """Return the facts about this program and this machine; none of them names anybody."""
    cpu = platform.machine()  # `platform.processor` would start a process
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        cpu = next(names, cpu)
    except OSError:
        pass
    return {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu,
        "cores": os.cpu_count(),
    }


def recover(folder: Path, pid: int | None = None) -> list[Path]:
    """Write the flights of hosts that died, remove their taps, and return the folders.

    Args:
        folder: Folder of the flights.
        pid: Number of the process that died. None: all.

    Raises:
        FlightError: If a flight cannot be written; its tap stays.
    """
    written = []
    for path in left_behind():
        with claimed(path) as mine:
            if not mine:
                continue
            try:
                reader = TapReader(path)
            except RtdenoiseError as error:
                log.info("%s", error)
                path.unlink(missing_ok=True)
                continue
            if pid is not None and reader.pid != pid:
                continue
            flight = taken(reader, "crash", f"process {reader.pid} was cut off", ended=True)
            if flight.dry.size:
                written.append(write(flight, folder / name_of(path.stat().st_mtime)))
            path.unlink(missing_ok=True)
    return written


def forget_old() -> None:
    """Remove the taps of dead hosts but for the newest ones, because they take memory."""
    for path in left_behind()[:-MOST_LEFT]:
        with claimed(path) as mine:
            if mine:
                path.unlink(missing_ok=True)


def name_of(unix_s: float) -> str:
    """Return the name of the folder of a flight of that time."""
    return PREFIX + time.strftime("%Y%m%d-%H%M%S", time.localtime(unix_s))


class FlightRecorder:
    """The flight recorder of a run.

    Args:
        tap: The tap of the run.
        facts: Function that returns the facts about the run as it is now.
        folder: Folder in which the flights are written.
        on_glitch: Whether a fault of the run writes a flight of its own accord.
        tell: Function that gets a sentence about what was written, or could not be.
    """

    def __init__(
        self,
        tap: Tap,
        facts: Callable[[], dict[str, Any]],
        folder: str | Path,
        on_glitch: bool,
        tell: Callable[[str], None],
    ) -> None:
        self._tap, self._reader, self._facts, self._tell = tap, tap.reader(), facts, tell
        self._folder, self._machine = Path(folder), machine()
        self._lock, self._over = threading.Lock(), threading.Event()
        self._written: list[tuple[float, int]] = []  # time and bytes of the flights of faults
        self._watch: threading.Thread | None = None
        forget_old()
        if on_glitch:
            self._watch = threading.Thread(target=self._look, name="rtdenoise-flight", daemon=True)

    def start(self) -> None:
        """Keep the facts, write the flights of dead hosts if faults are written, and watch."""
        self.keep_facts()
        if self._watch is not None:
            try:
                for path in recover(self._folder):
                    self._tell(f"a run was cut off; its last seconds are in {printable(path)}")
            except RtdenoiseError as error:
                self._tell(str(error))
            self._watch.start()

    def keep_facts(self) -> None:
        """Keep the facts of now, for a flight of a run that will be cut off."""
        self._tap.tell(self._machine | self._facts())

    def stop(self) -> None:
        """End the watch."""
        self._over.set()
        if self._watch is not None and self._watch.is_alive():
            self._watch.join()

    def mark(self, text: str = "", reason: str = "mark") -> Path:
        """Write what is known of the last seconds, and return the folder.

        Raises:
            FlightError: If it cannot be written.
        """
        with self._lock:
            self.keep_facts()
            flight = taken(self._reader, reason, text)
            return write(flight, self._folder / name_of(time.time()))

    def failed(self, fault: BaseException) -> None:
        """Write a flight because the run failed, if faults are written at all."""
        if self._watch is not None:
            self._of_fault(f"the run failed: {fault}")

    def _look(self) -> None:
        """Look for faults until the run is over, and write a flight of them."""
        seen, tape_ = 0, self._tap.tape
        while not self._over.wait(LOOK_S):
            calls = tape_.calls(seen)
            if not len(calls):
                continue
            seen = int(calls["number"][-1]) + 1
            found = calls["flags"] & FAULTS
            if found.any() and self._may():
                kinds = [name for name, bit in tape.FLAGS.items() if (found & bit).any()]
                self._over.wait(AFTER_S)
                self._of_fault(", ".join(kinds))

    def _may(self) -> bool:
        """Return whether another flight of a fault may be written."""
        if len(self._written) >= MOST_FLIGHTS or sum(n for _, n in self._written) >= MOST_BYTES:
            return False
        return not self._written or time.monotonic() - self._written[-1][0] >= PAUSE_S

    def _of_fault(self, what: str) -> None:
        """Write a flight of a fault, and tell it."""
        try:
            self._tap.note({"kind": "glitch", "text": what})
            path = self.mark(what, "glitch")
            size = sum(file.stat().st_size for file in path.iterdir())
            self._tell(f"{printable(what)}: the last seconds are in {printable(path)}")
        except (RtdenoiseError, OSError) as error:
            size = 0
            self._tell(printable(error))
        self._written.append((time.monotonic(), size))
