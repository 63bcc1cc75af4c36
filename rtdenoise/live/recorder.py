"""A recording of the output: the callback writes into a ring, a thread writes it to the disk."""

from __future__ import annotations

import threading
import time

import numpy as np

from ..core.ring import Ring
from ..sound.writer import SoundWriter

RECORD_S = 5.0  # length of the ring between the callback and the disk
TURN_S = 0.02  # time between two writes
POLL_S = 0.0005  # time between two looks at a ring that is too full


class Recorder:
    """A recorder to a sound file, with a thread that writes.

    Args:
        writer: The open file, which may be closed only after `close`.
        rows: Channel count of the blocks.
        rate: Sample rate of the blocks in Hz.
        most: Samples per channel to write; later ones are left out. None: all are written.

    Attributes:
        ring: Ring into which the callback writes blocks (rows, n).
        fault: The error that ended the writing. None: there was none.
    """

    def __init__(self, writer: SoundWriter, rows: int, rate: int, most: int | None = None) -> None:
        self.ring = Ring(rows, int(RECORD_S * rate) + 65_536)
        self._writer, self._stop, self._most = writer, threading.Event(), most
        self.fault: Exception | None = None
        self._thread = threading.Thread(target=self._drain, daemon=True, name="rtdenoise-write")
        self._thread.start()

    def _drain(self) -> None:
        """Empty the ring to the file again and again, in the writing thread."""
        last = False
        while not last:
            last = self._stop.is_set()  # read before the ring, so that the last turn empties it
            block = np.empty((self.ring.data.shape[0], self.ring.available), np.float32)
            self.ring.read(block)
            self._write(block)
            if not last:
                self._stop.wait(TURN_S)

    def _write(self, block: np.ndarray) -> None:
        """Write the samples of *block* that are to be recorded, unless writing failed before."""
        if self._most is not None:
            block = block[:, : self._most]
            self._most -= block.shape[1]
        try:
            if block.size and self.fault is None:
                self._writer.write(block)
        except Exception as fault:  # a full disk must not end the run
            self.fault = fault

    def room(self, frames: int) -> None:
        """Wait until the ring has room for *frames* samples; an audio thread must not call it."""
        while self.ring.capacity - self.ring.available < frames:
            time.sleep(POLL_S)

    def close(self) -> None:
        """Write what is left in the ring, and end the thread.

        Raises:
            AudioError: If the disk was full.
        """
        self._stop.set()
        self._thread.join()
        if self.fault is not None:
            raise self.fault
