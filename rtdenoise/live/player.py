"""A file as an input: a thread reads ahead, so that no disk is met in the callback."""

from __future__ import annotations

import threading
import time

import numpy as np

from ..core.ring import Ring
from ..files.sound import SoundReader
from .session import Frames

AHEAD_S = 10.0  # what is read before it is wanted
POLL_S = 0.0005  # between two looks at a ring that is too empty
FULL_S = 0.02  # between two looks at a ring that is full


class Player:
    """A file that is read ahead.

    Args:
        reader: The file, open. It may be closed after `close`, and not before.

    Attributes:
        taken: Samples given so far.
        fault: Why reading ended too early. None: it did not.
    """

    def __init__(self, reader: SoundReader) -> None:
        self._blocks = iter(reader)
        self._channels = reader.channels
        self._ring = Ring(reader.channels, max(round(AHEAD_S * reader.rate), 4 * 65_536))
        self._ended, self._stop = threading.Event(), threading.Event()
        self.taken = 0
        self.fault: Exception | None = None
        self._thread = threading.Thread(target=self._fill, daemon=True, name="rtdenoise-read")
        self._thread.start()

    def _fill(self) -> None:
        try:
            for block in self._blocks:
                while not self._stop.is_set() and not self._ring.write(block):
                    self._stop.wait(FULL_S)
                if self._stop.is_set():
                    return
        except Exception as fault:  # what was read is still played, then the run says why it ended
            self.fault = fault
        self._ended.set()

    def read(self, frames: int, wait: bool) -> Frames:
        """The next (frames, channels); silence after the end.

        Args:
            frames: How many.
            wait: Wait for a slow disk; an audio thread must not, and gets silence.
        """
        out = np.zeros((self._channels, frames), np.float32)
        while wait and not self._ended.is_set() and self._ring.available < frames:
            time.sleep(POLL_S)
        there = min(frames, self._ring.available)
        self._ring.read(out[:, :there])
        self.taken += there
        return out.T

    @property
    def over(self) -> bool:
        """Whether all of the file was given."""
        return self._ended.is_set() and self._ring.available == 0

    def close(self) -> None:
        """End the reading thread.

        libsndfile crashes the process when one thread closes what another is reading.

        Raises:
            AudioError: the file is damaged; what was read of it was played.
        """
        self._stop.set()
        self._thread.join()
        if self.fault is not None:
            raise self.fault
