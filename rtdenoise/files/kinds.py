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
SHORTEST_S = 3.0  # or, at the end, on this much: of 250 voices none was taken for music by it
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
        self._stretch = _Stretch(rate)
        self._verdicts: list[bool] = []

    def before(self, block: Samples) -> None:
        """Take the next (channels, n) of the input."""
        at = 0
        while at < block.shape[1] and len(self._verdicts) < MOST:
            part = _mono(block[:, at : at + self._size - self._stretch.length])
            self._stretch.hear(part)
            at += len(part)
            if self._stretch.length == self._size:
                self._judge()

    def after(self, block: Samples) -> None:
        """Take the output, which says nothing about the input."""

    def _judge(self) -> None:
        """Judge the stretch that was heard, unless it is silent, and begin another one."""
        stretch, self._stretch = self._stretch, _Stretch(self._rate)
        if not stretch.silent:
            self._verdicts.append(stretch.music)

    @property
    def music(self) -> bool:
        """Whether two thirds of what was heard are plainly music; it ends the last stretch."""
        if self._stretch.length >= SHORTEST_S * self._rate and len(self._verdicts) < MOST:
            self._judge()
        return 3 * sum(self._verdicts) >= 2 * max(1, len(self._verdicts))


def _mono(block: Samples) -> NDArray[np.float32]:
    """Return the mean of the channels; what is no plain number is silence, as in the effect."""
    with np.errstate(all="ignore"):
        mean = block.mean(axis=0)
    return np.where(np.abs(mean) < LOUDEST, mean, np.float32(0))


def is_music(sound: NDArray[np.float32], rate: int) -> bool:
    """Return whether *sound* (n,) at *rate* Hz, of some seconds, is plainly music."""
    stretch = _Stretch(rate)
    stretch.hear(sound)
    return stretch.music


class _Stretch:
    """What was heard of a stretch, window by window, so that no call takes long.

    Args:
        rate: Sample rate in Hz.

    Attributes:
        length: Samples so far.
        silent: Whether they are digital silence.
    """

    def __init__(self, rate: int) -> None:
        self._rate, self._size = rate, max(1, round(WINDOW_S * rate / FAST)) * FAST
        self._hop, self._window = round(HOP_S * rate), np.hanning(self._size).astype(np.float32)
        self._bins = slice(
            round(LOWEST_HZ * self._size / rate), round(HIGHEST_HZ * self._size / rate)
        )
        self._rest = np.zeros(0, np.float32)
        self._powers: list[NDArray[np.float32]] = []  # (T, bins)
        self._totals: list[NDArray[np.float32]] = []  # (T,)
        self._peaks: list[NDArray[np.bool_]] = []
        self._loudest: list[NDArray[np.float32]] = []  # (T,) dB
        self.length, self.silent = 0, True

    def hear(self, sound: NDArray[np.float32]) -> None:
        """Take the next (n,)."""
        self.length += len(sound)
        self.silent = self.silent and not sound.any()
        self._rest = np.concatenate((self._rest, sound))
        if len(self._rest) < self._size:
            return
        windows = np.lib.stride_tricks.sliding_window_view(self._rest, self._size)[:: self._hop]
        self._rest = self._rest[len(windows) * self._hop :]
        spectrum = np.fft.rfft(windows * self._window, axis=1)[:, self._bins]
        power = (np.abs(spectrum) ** 2 + 1e-12).astype(np.float32)
        level = 10 * np.log10(power)
        inner = level[:, 1:-1]
        sums = np.cumsum(np.pad(level, ((0, 0), (NEAR // 2 + 1, NEAR // 2)), "reflect"), axis=1)
        near = ((sums[:, NEAR:] - sums[:, :-NEAR]) / NEAR)[:, 1:-1]
        self._peaks.append(
            (inner >= level[:, :-2]) & (inner >= level[:, 2:]) & (inner - near > PEAK_DB)
        )
        self._powers.append(power[:, 1:-1])
        self._totals.append(power.sum(axis=1))
        self._loudest.append(level.max(axis=1))

    @property
    def music(self) -> bool:
        """Whether it is plainly music."""
        if self.length < self._size + 2 * HELD * self._hop:
            return False
        power, loudest = np.concatenate(self._powers), np.concatenate(self._loudest)
        total = np.concatenate(self._totals)
        held = _held(np.concatenate(self._peaks))
        loud = loudest > loudest.max() - LOUD_DB
        share = np.median(((power * held).sum(axis=1) / total)[loud])
        ends = (held[:-1] & ~held[1:]).sum() * self._rate / self.length
        return bool(share >= SHARE and ends >= ENDS_A_SECOND and held.any(axis=0).sum() >= BINS)


def _held(peaks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which *peaks* (T, bins) are among at least `HELD` hops in a row with one."""
    whole = _sums(peaks, HELD) == HELD  # (T - HELD + 1, bins), by their first hop
    return _sums(np.pad(whole, ((HELD - 1, HELD - 1), (0, 0))), HELD) > 0


def _sums(rows: NDArray[np.bool_], count: int) -> NDArray[np.int16]:
    """Return the sums of each *count* rows that follow each other."""
    sums = np.cumsum(np.pad(rows, ((1, 0), (0, 0))), axis=0, dtype=np.int16)
    difference: NDArray[np.int16] = sums[count:] - sums[:-count]
    return difference
