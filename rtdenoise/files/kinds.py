"""Whether a recording is plainly music: its partials keep their pitch, and many begin and end.

The harmonics of a voice glide, and those of instruments stay in their bin for a quarter of a second
and more. A whine or a hum stays as well, but does not change. So three numbers decide, for 10 s
each: the share of the energy that is in held partials, how many of them end a second, and in how
many bins they are. The limits are for certainty: tools/kinds.py counts how many recordings of
speech, music and noise they take for music. Voices in choirs and drums are not found.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples

STRETCH_S = 10.0  # a verdict is on so much sound
MOST = 12  # stretches that are looked at
WINDOW_S, HOP_S = 0.0853, 0.0213
FAST = 256  # windows are multiples of this, because transforms of other lengths take twice the time
LOWEST_HZ, HIGHEST_HZ = 400.0, 5000.0  # above mains hum, where voices move by several bins
PEAK_DB, NEAR = 8.0, 25  # a peak rises so far above the mean of so many bins
HELD = 12  # hops that a partial keeps its bin: 0.26 s
LOUD_DB = 45.0  # hops that are softer than the loudest by more do not count
LOUDEST = 1e4
SHARE, ENDS_A_SECOND, BINS = 0.1, 1.0, 8  # at least


class Kind:
    """A listener that finds out whether what it hears is plainly music.

    Args:
        rate: Sample rate in Hz.
    """

    def __init__(self, rate: int) -> None:
        self._rate, self._size = rate, round(STRETCH_S * rate)
        self._parts: list[NDArray[np.float32]] = []
        self._held, self._verdicts = 0, list[bool]()

    def before(self, block: Samples) -> None:
        """Take the next (channels, n) of the input."""
        at = 0
        while at < block.shape[1] and len(self._verdicts) < MOST:
            part = _mono(block[:, at : at + self._size - self._held])
            self._parts.append(part)
            self._held, at = self._held + len(part), at + len(part)
            if self._held == self._size:
                self._judge()

    def after(self, block: Samples) -> None:
        """Take the output, which says nothing about the input."""

    def _judge(self) -> None:
        """Judge the stretch that was heard, unless it is silent, and begin another one."""
        sound = np.concatenate(self._parts)
        self._parts, self._held = [], 0
        if sound.any():
            self._verdicts.append(is_music(sound, self._rate))

    @property
    def music(self) -> bool:
        """Whether two thirds of what was heard are plainly music; it ends the last stretch."""
        if self._held > self._size / 2 and len(self._verdicts) < MOST:
            self._judge()
        return 3 * sum(self._verdicts) >= 2 * max(1, len(self._verdicts))


def _mono(block: Samples) -> NDArray[np.float32]:
    """Return the mean of the channels; what is no plain number is silence, as in the effect."""
    with np.errstate(all="ignore"):
        mean = block.mean(axis=0)
    return np.where(np.abs(mean) < LOUDEST, mean, np.float32(0))


def is_music(sound: NDArray[np.float32], rate: int) -> bool:
    """Return whether *sound* (n,) at *rate* Hz, of some seconds, is plainly music."""
    size, hop = max(1, round(WINDOW_S * rate / FAST)) * FAST, round(HOP_S * rate)
    bins = slice(round(LOWEST_HZ * size / rate), round(HIGHEST_HZ * size / rate))
    if len(sound) < size + 2 * HELD * hop:
        return False
    windows = np.lib.stride_tricks.sliding_window_view(sound, size)[::hop]
    spectrum = np.fft.rfft(windows * np.hanning(size).astype(np.float32), axis=1)[:, bins]
    power = (np.abs(spectrum) ** 2 + 1e-12).astype(np.float32)
    level = 10 * np.log10(power)
    inner = level[:, 1:-1]
    sums = np.cumsum(np.pad(level, ((0, 0), (NEAR // 2 + 1, NEAR // 2)), "reflect"), axis=1)
    near = ((sums[:, NEAR:] - sums[:, :-NEAR]) / NEAR)[:, 1:-1]
    peaks = (inner >= level[:, :-2]) & (inner >= level[:, 2:]) & (inner - near > PEAK_DB)
    held = _runs(peaks) >= HELD
    loud = level.max(axis=1) > level.max() - LOUD_DB
    share = np.median(((power[:, 1:-1] * held).sum(axis=1) / power.sum(axis=1))[loud])
    ends = (held[:-1] & ~held[1:]).sum() * rate / len(sound)
    return bool(share >= SHARE and ends >= ENDS_A_SECOND and held.any(axis=0).sum() >= BINS)


def _runs(peaks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return, for each peak (T, bins), how many hops in a row its bin has one; 0 elsewhere."""
    length = peaks.astype(np.int64)
    for t in range(1, len(peaks)):
        length[t] *= length[t - 1] + 1
    for t in range(len(peaks) - 2, -1, -1):
        length[t] = np.where(peaks[t] & peaks[t + 1], length[t + 1], length[t])
    return length
