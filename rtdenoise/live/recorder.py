"""What is heard, to a file: the callback writes into a ring, a thread empties it onto the disk."""

from __future__ import annotations

import threading
import time

import numpy as np

from ..core.ring import Ring
from ..files.sound import SoundWriter

RECORD_S = 5.0  # of ring between the callback and the disk
TURN_S = 0.02  # between two writes
POLL_S = 0.0005  # between two looks at a ring that is too full


class Recorder:
    """A file that is written by a thread of its own.

    Args:
        writer: The file, open. It may be closed after `close`, and not before.
        rows: Channels of the blocks.
        rate: Hz.
        most: Samples to write; the rest of the last block is left out. None: all.

    Attributes:
        ring: Where the callback puts (rows, n).
        fault: Why nothing more is written. None: all is well.
    """

    def __init__(self, writer: SoundWriter, rows: int, rate: int, most: int | None = None) -> None:
        self.ring = Ring(rows, int(RECORD_S * rate) + 65_536)
        self._writer, self._stop, self._most = writer, threading.Event(), most
        self.fault: Exception | None = None
        self._thread = threading.Thread(target=self._drain, daemon=True, name="rtdenoise-write")
        self._thread.start()

    def _drain(self) -> None:
        last = False
        while not last:
            last = self._stop.is_set()  # asked before the ring is emptied: nothing comes after
            block = np.empty((self.ring.data.shape[0], self.ring.available), np.float32)
            self.ring.read(block)
            self._write(block)
            if not last:
                self._stop.wait(TURN_S)

    def _write(self, block: np.ndarray) -> None:
        if self._most is not None:
            block = block[:, : self._most]
            self._most -= block.shape[1]
        try:
            if block.size and self.fault is None:
                self._writer.write(block)
        except Exception as fault:  # a full disk must not end the stream
            self.fault = fault

    def room(self, frames: int) -> None:
        """Wait until *frames* fit; for pumps, never in an audio thread."""
        while self.ring.capacity - self.ring.available < frames:
            time.sleep(POLL_S)

    def close(self) -> None:
        """Write the rest.

        Raises:
            AudioError: the disk was full.
        """
        self._stop.set()
        self._thread.join()
        if self.fault is not None:
            raise self.fault
