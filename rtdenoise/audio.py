"""The contract for samples: (channels, samples), float32, full scale 1.0, C-contiguous.

* `check_rate` and `check_channels` refuse numbers that no recording can have.
* `Layout` turns a user's array of any of pedalboard's shapes into samples, and back.
* `db_to_gain` and `gain_to_db` convert levels, and `levels_db` measures them.
* `fit_channels` gives a block as many channels as its sink has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import AudioError

Samples = NDArray[np.float32]

MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 768_000
MAX_CHANNELS = 64


def check_rate(rate: float) -> int:
    """Return *rate* as an int.

    Args:
        rate: Sample rate in Hz.

    Raises:
        AudioError: If *rate* is not a whole number, or outside 1000 to 768000 Hz.

    >>> check_rate(44100.0)
    44100
    """
    if not (MIN_RATE_HZ <= rate <= MAX_RATE_HZ) or rate != int(rate):
        raise AudioError(
            f"sample rate {rate:g} Hz: wanted a whole number from {MIN_RATE_HZ} to {MAX_RATE_HZ} "
            "Hz (8000, 16000, 44100 and 48000 are usual). Is the file's header damaged?"
        )
    return int(rate)


def check_channels(channels: int) -> int:
    """Return *channels*, a channel count.

    Raises:
        AudioError: If *channels* is not from 1 to 64.
    """
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(
            f"{channels} channels: wanted 1 to {MAX_CHANNELS}. Split the recording into groups."
        )
    return channels


def db_to_gain(level_db: float) -> float:
    """Return the factor that changes a level by *level_db*: 20 dB is a factor of ten.

    >>> db_to_gain(-20.0)
    0.1
    """
    return float(10.0 ** (level_db / 20.0))


def gain_to_db(gain: float, floor_db: float = -120.0) -> float:
    """Return the level of *gain* in dB, never below *floor_db*.

    >>> gain_to_db(0.0)
    -120.0
    """
    return max(floor_db, 20.0 * float(np.log10(gain))) if gain > 0 else floor_db


def levels_db(sound: Samples) -> tuple[float, float]:
    """Return the peak and the RMS of *sound* (rows, n) in dB; NaN and infinity count as silence.

    >>> levels_db(np.array([[1.0, -1.0]], np.float32))
    (0.0, 0.0)
    """
    finite = np.nan_to_num(sound, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float64)
    mean = float((finite**2).mean()) if finite.size else 0.0
    return gain_to_db(float(np.abs(finite).max(initial=0.0))), gain_to_db(mean**0.5)


def fit_channels(block: Samples, channels: int) -> Samples:
    """Return *block* (channels, samples) with another channel count, as an adapter cable would.

    One channel is copied to all. Several channels become one by their mean, because their sum
    could clip. Otherwise the first channels are kept, and those that are missing are silent.

    >>> fit_channels(np.array([[1.0], [0.0]], np.float32), 1)
    array([[0.5]], dtype=float32)
    """
    have = block.shape[0]
    if have == channels:
        return block
    if have == 1:
        return np.repeat(block, channels, axis=0)
    if channels == 1:
        mean: Samples = block.mean(axis=0, keepdims=True, dtype=np.float32)
        return mean
    out = np.zeros((channels, block.shape[1]), np.float32)
    out[: min(have, channels)] = block[:channels]
    return out


@dataclass(frozen=True)
class Layout:
    """The order of the dimensions in a user's array of audio.

    Attributes:
        name: "1" for (samples,), "cs" for (channels, samples), "sc" for (samples, channels).
    """

    name: str

    @classmethod
    def of(
        cls, array: NDArray[Any], channels: int | None = None, last: Layout | None = None
    ) -> Layout:
        """Return the layout of *array* by pedalboard's rule: the shorter side is the channels.

        Args:
            array: The user's audio, 1-D or 2-D.
            channels: Channel count of the stream so far, which decides between two sides that
                could both be the channels. None: the stream begins with *array*.
            last: Layout of the stream so far, which decides for square blocks. None: the stream
                begins with *array*.

        Raises:
            AudioError: If *array* is neither 1-D nor 2-D, or is square and *last* does not decide.

        >>> Layout.of(np.zeros((480, 2))).name
        'sc'
        """
        if array.ndim == 1:
            return cls("1")
        if array.ndim != 2:
            raise AudioError(f"wanted audio of 1 or 2 dimensions, got shape {array.shape}")
        rows, columns = array.shape
        if rows == columns and rows > 1:
            if last is None or last.name == "1":
                raise AudioError(
                    f"cannot tell channels from samples in a square array {array.shape}: "
                    "give (channels, samples) with more samples than channels first"
                )
            return last
        if channels is not None and (rows == channels) != (columns == channels):
            return cls("cs" if rows == channels else "sc")
        return cls("sc" if 0 < columns < rows or (rows == 0 and columns > 0) else "cs")

    def to_samples(self, array: NDArray[Any]) -> Samples:
        """Return the user's *array* as (channels, samples) float32, C-contiguous."""
        planar = array[None] if self.name == "1" else array.T if self.name == "sc" else array
        return np.ascontiguousarray(planar, np.float32)

    def from_samples(self, block: Samples) -> Samples:
        """Return *block* (channels, samples) in the user's layout."""
        if self.name == "1":
            first: Samples = block[0]
            return first
        return np.ascontiguousarray(block.T) if self.name == "sc" else block
