"""The data of the steps: rows of sound, each with the reference for its restoration."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass
class Batch:
    """A batch of rows of sound, each of which is damaged in its own way.

    Attributes:
        audio: The degraded sound so far, (rows, channels, samples) float32.
        reference: What a perfect restorer gives, of the same shape: it has every gain of `audio`,
            and none of the damage.
        rate_hz: Sample rate of both in Hz.
        rngs: Random generators of the running step, one a row.
    """

    audio: NDArray[np.float32]
    reference: NDArray[np.float32]
    rate_hz: int
    rngs: list[np.random.Generator] = field(default_factory=list)

    @property
    def samples(self) -> int:
        """The samples per channel of every row."""
        return int(self.audio.shape[2])

    def part(self, rows: list[int]) -> Batch:
        """Return a batch with copies of *rows*."""
        return Batch(
            self.audio[rows], self.reference[rows], self.rate_hz, [self.rngs[row] for row in rows]
        )


def rms(sound: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the RMS of every row of *sound* (rows, channels, samples), as (rows, 1, 1).

    All channels of a row count together.
    """
    if sound.shape[2] == 0:
        return np.zeros((len(sound), 1, 1))
    return np.asarray(np.sqrt(np.mean(sound.astype(np.float64) ** 2, axis=(1, 2), keepdims=True)))
