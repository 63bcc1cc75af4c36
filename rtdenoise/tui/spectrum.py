"""A spectrogram that grows in time: levels in dB over log frequency, as pixels and as colours."""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples

COLUMN_S, PARTS = 0.2, 2  # time of a column, and its windows, of which the louder one counts
LEAST_HZ = 60.0
FLOOR_DB, TOP_DB = -100.0, -20.0  # of a bin; a sine of full scale has 0 dB
SHADES = 20  # colours of the scale; each more is a change more for the terminal
# The scale from the floor to the top, as (red, green, blue): black, violet, red, yellow, white.
ANCHORS = (
    (0, 0, 8),
    (48, 18, 100),
    (140, 41, 129),
    (222, 73, 104),
    (254, 159, 109),
    (252, 253, 191),
)
Spectra = NDArray[np.float32]


class Spectrogram:
    """The spectra of the dry and of the wet sound, a column for each `COLUMN_S`.

    Args:
        rate: Sample rate in Hz.
        columns: Columns that are kept.

    Attributes:
        rate: Sample rate in Hz.
        position: Samples up to which there are columns.
    """

    def __init__(self, rate: int, columns: int = 100) -> None:
        self.rate, self.position = rate, 0
        part = round(COLUMN_S / PARTS * rate)
        self.step = PARTS * part
        self.size: int = 1 << (part.bit_length() - 1)
        hann = np.hanning(self.size).astype(np.float32)
        self._window = hann * (2 / hann.sum())
        self._levels = np.full((2, columns, self.size // 2 + 1), FLOOR_DB, np.float32)

    def wants(self, position: int) -> float:
        """Return the seconds of sound up to *position* that are not in it yet."""
        missing = min(position - self.position, self._levels.shape[1] * self.step)
        return float(missing // self.step * self.step / self.rate)

    def add(self, dry: Samples, wet: Samples, position: int) -> None:
        """Add what `wants` asked for: two sounds, each (rows, n), that end at *position*."""
        n = min(dry.shape[1], wet.shape[1]) // self.step
        if n == 0:
            return
        self.position = position
        most = self._levels.shape[1]
        self._levels = np.roll(self._levels, -n, axis=1)
        for levels, sound in zip(self._levels, (dry, wet), strict=True):
            mono = np.nan_to_num(sound[:, sound.shape[1] - n * self.step :].mean(axis=0))
            parts = mono.reshape(n, PARTS, -1)[-most:, :, -self.size :] * self._window
            power = (np.abs(np.fft.rfft(parts)) ** 2).max(axis=1)
            levels[-len(power) :] = 10 * np.log10(np.maximum(power, 1e-12))

    def pixels(self, columns: int, rows: int) -> tuple[Spectra, Spectra]:
        """Return the last columns of both as levels in dB, each (rows, columns), treble first."""
        edges = self.edges_hz(rows) * self.size / self.rate
        last = self.size // 2
        low = np.minimum(np.round(edges[:-1]).astype(int), last)
        high = np.minimum(np.maximum(np.round(edges[1:]).astype(int), low + 1), last + 1)
        kept = self._levels[:, max(0, self._levels.shape[1] - columns) :]
        banded = np.stack(
            [kept[:, :, a:b].max(axis=2) for a, b in zip(low, high, strict=True)][::-1], axis=1
        )
        missing = columns - banded.shape[2]
        if missing > 0:
            banded = np.pad(banded, ((0, 0), (0, 0), (missing, 0)), constant_values=FLOOR_DB)
        return banded[0], banded[1]

    def edges_hz(self, rows: int) -> NDArray[np.float64]:
        """Return the limits of the rows in Hz, bass first: (rows + 1,), up to half the rate."""
        return _edges_hz(self.rate, rows)


@lru_cache(maxsize=8)
def _edges_hz(rate: int, rows: int) -> NDArray[np.float64]:
    return np.geomspace(LEAST_HZ, rate / 2, rows + 1)


def shades(levels_db: Spectra) -> NDArray[np.intp]:
    """Return the number of the colour of each level: 0 at the floor, SHADES - 1 at the top.

    >>> shades(np.array([-200, FLOOR_DB, TOP_DB, 0], np.float32)).tolist()
    [0, 0, 19, 19]
    """
    share = (levels_db - FLOOR_DB) / (TOP_DB - FLOOR_DB)
    found: NDArray[np.intp] = np.clip(np.rint(share * (SHADES - 1)), 0, SHADES - 1).astype(np.intp)
    return found


@cache
def colour(shade: int) -> tuple[int, int, int]:
    """Return a colour of the scale as (red, green, blue).

    >>> colour(0), colour(SHADES - 1)
    ((0, 0, 8), (252, 253, 191))
    """
    at = np.linspace(0, SHADES - 1, len(ANCHORS))
    red, green, blue = (
        round(float(np.interp(shade, at, [anchor[i] for anchor in ANCHORS]))) for i in range(3)
    )
    return red, green, blue
