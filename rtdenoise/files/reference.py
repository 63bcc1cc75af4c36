"""Scores of a file before and after processing, against a clean recording of the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..audio import Samples
from ..errors import AudioError
from .ends import Input, open_input
from .scores import Scores


class Against:
    """A listener that scores input and output against a clean recording.

    Args:
        reference: Name of the clean file.
        reader: The open file that is to be processed.

    Raises:
        AudioError: If the two files differ in rate, channels or length; nothing is resampled.
    """

    def __init__(self, reference: str | Path, reader: Input) -> None:
        self._clean = [open_input(reference), open_input(reference)]
        clean = self._clean[0]
        for what, needed, got in (
            ("Hz", reader.rate, clean.rate),
            ("channels", reader.channels, clean.channels),
            ("samples", reader.frames, clean.frames),
        ):
            if needed != got:
                self.close()
                raise AudioError(
                    f"the reference {reference} has {got} {what}, {reader.name} has {needed}: "
                    "scores need the same recording, clean, sample for sample"
                )
        self._takes = [_Take(reader) for reader in self._clean]
        self._scores = [Scores(clean.channels), Scores(clean.channels)]

    def before(self, block: Samples) -> None:
        """See `Listener.before`."""
        self._scores[0].add(block, self._takes[0](block.shape[1]))

    def after(self, block: Samples) -> None:
        """See `Listener.after`."""
        self._scores[1].add(block, self._takes[1](block.shape[1]))

    def result(self) -> dict[str, dict[str, float]]:
        """Return the scores so far, as {"before": {"SI-SDR dB": ...}, "after": ...}."""
        return {
            "before": self._scores[0].result(),
            "after": self._scores[1].result(),
        }

    def close(self) -> None:
        """Close the clean file."""
        for reader in self._clean:
            reader.close()


class _Take:
    """A reader that gives as many samples as each call asks for."""

    def __init__(self, reader: Input) -> None:
        self._blocks, self._rest = iter(reader), np.zeros((reader.channels, 0), np.float32)
        self._left = reader.frames

    def __call__(self, count: int) -> Samples:
        while self._rest.shape[1] < count:
            block = next(self._blocks, None)
            if block is None:
                raise AudioError("the reference ends before the recording does")
            self._rest = np.concatenate((self._rest, block), axis=1)
        taken, self._rest = self._rest[:, :count], self._rest[:, count:]
        self._left -= count
        if self._left == 0:
            next(self._blocks, None)  # this is where a damaged file says so
        return taken
