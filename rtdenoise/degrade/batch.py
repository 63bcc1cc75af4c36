"""What goes through the steps: rows of sound, and what a perfect restorer should make of each."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass
class Batch:
    """Rows that are damaged each in its own way.

    Attributes:
        audio: Degraded so far (rows, channels, samples) float32.
        reference: The wanted sound, same shape: every gain of `audio`, none of the damage.
        rate_hz: Of both.
        rngs: One for each row, of the step that runs.
    """

    audio: NDArray[np.float32]
    reference: NDArray[np.float32]
    rate_hz: int
    rngs: list[np.random.Generator] = field(default_factory=list)

    @property
    def samples(self) -> int:
        """Columns."""
        return int(self.audio.shape[2])

    def part(self, rows: list[int]) -> Batch:
        """Copies of some rows."""
        return Batch(
            self.audio[rows], self.reference[rows], self.rate_hz, [self.rngs[row] for row in rows]
        )


def rms(sound: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of every row (rows, channels, samples) -> (rows, 1, 1), over its channels together."""
    if sound.shape[2] == 0:
        return np.zeros((len(sound), 1, 1))
    return np.asarray(np.sqrt(np.mean(sound.astype(np.float64) ** 2, axis=(1, 2), keepdims=True)))
