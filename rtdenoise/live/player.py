"""A file as an input: a thread reads ahead, so that the callback never waits for the disk."""

from __future__ import annotations

import threading
import time

import numpy as np

from ..core.ring import Ring
from ..files.ends import Input
from .session import Frames

AHEAD_S = 10.0  # length of sound that is read ahead
POLL_S = 0.0005  # time between two looks at a ring that holds too little
FULL_S = 0.02  # time between two looks at a ring that is full


class Player:
    """A player of a sound file, with a thread that reads ahead.

    Args:
        reader: The open file, which may be closed only after `close`.

    Attributes:
        taken: Samples per channel that were given so far.
        fault: The error that ended the reading too early. None: there was none.
    """

    def __init__(self, reader: Input) -> None:
        self._blocks = iter(reader)
        self._channels = reader.channels
        self._ring = Ring(reader.channels, max(round(AHEAD_S * reader.rate), 4 * 65_536))
        self._ended, self._stop = threading.Event(), threading.Event()
        self.taken = 0
        self.fault: Exception | None = None
        self._thread = threading.Thread(target=self._fill, daemon=True, name="rtdenoise-read")
        self._thread.start()

    def _fill(self) -> None:
        """Fill the ring, in the reading thread."""
        try:
            for block in self._blocks:
                while not self._stop.is_set() and not self._ring.write(block):
                    self._stop.wait(FULL_S)
                if self._stop.is_set():
                    return
        except Exception as fault:  # what was read is played first, and `close` raises then
            self.fault = fault
        self._ended.set()

    def read(self, frames: int, wait: bool) -> Frames:
        """Return the next samples (frames, channels) float32, and silence after the end.

        Args:
            frames: Number of samples per channel.
            wait: Whether to wait for a slow disk. An audio thread must not wait; it gets silence.
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
        """Whether every sample of the file was given."""
        return self._ended.is_set() and self._ring.available == 0

    def close(self) -> None:
        """End the reading thread.

        It must end before the file is closed: libsndfile crashes the process when one thread closes
        a file that another reads.

        Raises:
            AudioError: If the file is damaged; what was read of it was played.
        """
        self._stop.set()
        self._thread.join()
        if self.fault is not None:
            raise self.fault
