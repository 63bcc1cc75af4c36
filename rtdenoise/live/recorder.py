"""A recording of the output: the callback writes into a ring, a thread writes it to the disk.

What was lost on the way is silence of the same length in the recording, so that it stays in line
with a video: time in which the device gave nothing, samples that the disk was too slow or too full
for.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ..core.ring import Ring
from ..errors import AudioError, printable
from ..sound.take import Take
from .lost import LostTime, clock_s

RECORD_S = 5.0  # length of the ring between the callback and the disk
TURN_S = 0.02  # time between two writes
SYNC_S = 1.0  # time between two orders to bring the file to the disk: a power cut takes no more
RETRY_S = 2.0  # time between two tries to write to a disk that was full
POLL_S = 0.0005  # time between two looks at a ring that is too full
TELL_S = 60.0  # a machine that is too slow loses sound every second: that is told as often as this
MOST_PLACES = 1000  # of so many places it is remembered where they are
ROOM_S = 600.0  # a disk with less room than this gets a warning
STOOD = "the sound device, the program or the computer stood still"
SLOW = "the disk was too slow"
FULL = "the disk was full"


@dataclass(frozen=True)
class Place:
    """A place in a recording where sound was lost, which is silence.

    Attributes:
        at: Sample of the recording at which the silence begins.
        samples: Length of the silence in samples.
        why: What happened, in words.
    """

    at: int
    samples: int
    why: str


class Recorder:
    """A recorder to a sound file, with a thread that writes.

    Args:
        take: The open recording, which the recorder closes.
        rows: Channel count of the blocks.
        rate: Sample rate of the blocks in Hz.
        most: Samples per channel to write; later ones are left out. None: all are written.
        late: Function that returns by how many samples the sound is later than *most* expects.
        overrun: Function that returns how many samples the callback could not write into the ring.
        watch: Finder of lost time. None: nothing is lost while the blocks do not come.
        clock: Function that returns the time in seconds, also while the machine sleeps.

    Attributes:
        ring: Ring into which the callback writes blocks (rows, n).
        fault: The error that lost samples. None: there was none.
        places: The first places where sound was lost, `MOST_PLACES` at most.
        notes: Sentences that the user should read at once, in order.
    """

    def __init__(
        self,
        take: Take,
        rows: int,
        rate: int,
        most: int | None = None,
        *,
        late: Callable[[], int] = int,
        overrun: Callable[[], int] = int,
        watch: LostTime | None = None,
        clock: Callable[[], float] = clock_s,
    ) -> None:
        self.ring = Ring(rows, int(RECORD_S * rate) + 65_536)
        self.take, self.rate = take, rate
        self.fault: AudioError | None = None
        self.places: list[Place] = []
        self.notes: deque[str] = deque()
        self._most, self._overrun, self._watch, self._clock = most, overrun, watch, clock
        self._late, self._kept = late, 0
        self._taken = self._overruns = self._settled = self._given = 0
        self._gaps: list[tuple[int, int, str]] = []  # (sample of the ring, samples, why)
        self._asked: deque[tuple[int, int, str]] = deque()  # those that other threads ask for
        self._owed, self._retry_s = 0, 0.0
        self._silent = self._untold = self._untold_samples = 0
        self._told_s = -math.inf
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._drain, daemon=True, name="rtdenoise-write"),
            threading.Thread(target=self._sync, daemon=True, name="rtdenoise-sync"),
        ]
        for thread in self._threads:
            thread.start()

    def gap(self, samples: int, why: str = STOOD) -> None:
        """Put *samples* of silence after what was recorded so far; not for an audio thread.

        Whoever knows how much sound was lost says it here, while no callback runs. The watch does
        not count these samples again.
        """
        self._asked.append((self.ring.written, samples, why))

    def _drain(self) -> None:
        """Empty the ring to the file again and again, in the writing thread."""
        last = False
        while not last:
            last = self._stop.is_set()  # read before the ring, so that the last turn empties it
            self._turn(last)
            self._tell_more(last)
            self.take.encode()
            while self.take.notes:
                self.notes.append(self.take.notes.pop(0))
            if not last:
                self._stop.wait(TURN_S)

    def _sync(self) -> None:
        """Bring the file to the disk again and again, which may take longer than the ring is."""
        while not self._stop.wait(SYNC_S):
            self.take.sync()

    def _turn(self, last: bool) -> None:
        """Write what is in the ring, with the silence that belongs between it."""
        came = self.ring.written
        overruns = self._overrun()  # the ring was full: they follow what is in it
        if overruns > self._overruns:
            self._gaps.append((came, overruns - self._overruns, SLOW))
            self._overruns = overruns
        while self._asked:
            gap = self._asked.popleft()
            self._given += gap[1]
            self._gaps.append(gap)
        until = self._look(came, last)
        self._gaps.sort(key=lambda gap: gap[0])
        while self._gaps and self._gaps[0][0] <= until:
            at, samples, why = self._gaps.pop(0)
            self._copy(max(0, at - self._taken))
            self._silence(samples, why)
        self._copy(until - self._taken)

    def _look(self, came: int, last: bool) -> int:
        """Return up to which sample of the ring it is known whether time was lost before it."""
        if self._watch is None:
            return came
        lost = self._watch.look(self._clock(), came + self._overruns + self._given, last)
        if lost is None:
            return self._settled
        if lost:
            self._gaps.append((self._settled, lost, STOOD))
        self._settled = came
        return came

    def _copy(self, samples: int) -> None:
        """Copy *samples* from the ring to the file, up to the most."""
        block = np.empty((self.ring.data.shape[0], samples), np.float32)
        self.ring.read(block)
        self._taken += samples
        if self._most is not None:
            block = block[:, : self._most + self._late() - self._kept]
            self._kept += block.shape[1]
        if block.size:
            self._write(block)

    def _write(self, block: np.ndarray) -> None:
        """Write *block*; what a full disk does not take is owed, and becomes silence later."""
        if self._owed and time.monotonic() < self._retry_s:
            self._owed += block.shape[1]
            return
        at = self.take.frames
        try:
            self.take.write(block, gap=self._owed)
        except AudioError as fault:  # a full disk must not end the run
            self._fail(fault, block.shape[1])
        else:
            if self._owed:
                self._tell(Place(at, self._owed, FULL))
                self._owed = 0

    def _fail(self, fault: AudioError, samples: int) -> None:
        """Remember that *samples* are owed, and tell it when it begins."""
        if not self._owed:
            where = f"{self.take.frames / self.rate:.1f} s are in {printable(self.take.path)}"
            self.notes.append(f"{fault}. The recording stands still ({where}); the sound goes on")
        self.fault = fault
        self._owed += samples
        self._retry_s = time.monotonic() + RETRY_S

    def _silence(self, samples: int, why: str) -> None:
        """Write silence in the place of what was lost."""
        if self._owed:
            self._owed += samples
            return
        place = Place(self.take.frames, samples, why)
        try:
            self.take.gap(samples)
        except AudioError as fault:
            self._fail(fault, samples)
        else:
            self._tell(place)

    def _tell(self, place: Place) -> None:
        """Remember a place, and tell it at once if nothing of the kind was told lately."""
        self._silent += place.samples
        if len(self.places) < MOST_PLACES:
            self.places.append(place)
        if self._clock() - self._told_s >= TELL_S and not self._untold:
            self.notes.append(self._text(place))
            self._told_s = self._clock()
        else:
            self._untold += 1
            self._untold_samples += place.samples

    def _tell_more(self, last: bool) -> None:
        """Tell in one sentence what was not told at once."""
        if self._untold and (last or self._clock() - self._told_s >= TELL_S):
            times = "once more" if self._untold == 1 else f"{self._untold} times more"
            long_s = self._untold_samples / self.rate
            self.notes.append(f"since then, the recording is silent {times}, for {long_s:.2f} s")
            self._untold, self._untold_samples, self._told_s = 0, 0, self._clock()

    def _text(self, place: Place) -> str:
        """Return in words what is silent in the recording."""
        at_s, long_s = place.at / self.rate, place.samples / self.rate
        return f"{place.why}: the recording is silent for {long_s:.2f} s at {at_s:.2f} s"

    def warn_of_little_room(self, wanted_s: float | None) -> None:
        """Add a note if the disk has no room for *wanted_s*, or for `ROOM_S` if that is less."""
        try:
            room_s = self.take.room_s()
        except OSError:
            return
        if room_s < min(ROOM_S, ROOM_S if wanted_s is None else wanted_s):
            self.notes.append(
                f"the disk of {printable(self.take.path)} has room for {room_s:.0f} s of sound only"
            )

    def note_where(self) -> None:
        """Add a note that says where the recording is, and how long it is."""
        long_s = self.take.frames / self.rate
        self.notes.append(
            f"the recording up to then, {long_s:.2f} s, is {printable(self.take.path)}"
        )

    def room(self, frames: int) -> None:
        """Wait until the ring has room for *frames* samples; an audio thread must not call it."""
        while self.ring.capacity - self.ring.available < frames:
            time.sleep(POLL_S)

    def summary(self) -> dict[str, Any]:
        """Return where the recording is, how long it is, and where it is silent."""
        return {
            "file": str(self.take.path),
            "seconds": round(self.take.frames / self.rate, 3),
            "missing_s": round(self._owed / self.rate, 3),
            "silent_s": round(self._silent / self.rate, 3),
            "silent": [
                {
                    "at_s": round(place.at / self.rate, 3),
                    "seconds": round(place.samples / self.rate, 3),
                    "why": place.why,
                }
                for place in self.places
            ],
        }

    def close(self) -> None:
        """Write what is left in the ring, end the threads, and finish the file.

        Raises:
            AudioError: If the disk was full, or the file cannot be finished.
        """
        self._end()
        self.take.close([(place.at, self._text(place)) for place in self.places])
        if self.fault is not None:
            raise self.fault

    def _end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._end()
        if kind is not None and self.take.frames == 0:  # the run was not opened
            self.take.discard()
        else:
            self.close()
