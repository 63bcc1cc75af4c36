"""What a page draws of a tap: spectra before and after, levels, and how long the calls took."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples
from ..files.picture import hz_to_mel, mel_to_hz
from ..live.tap import TapReader

COLUMNS_PER_S = 40
BANDS = 96
WINDOW_S = 0.04
FLOOR_DB, TOP_DB = -110.0, -10.0  # these levels are the bytes 0 and 255
BEHIND_S = 0.5  # a page that is further behind skips what it has missed
LEVEL_S, REDUCTION_S = 0.1, 0.4
SILENCE_DB = -60.0  # below this level of the input, a reduction says nothing
BINS, WIDEST = 30, 1.5  # of the histogram of call times; the last bin ends at 1.5 deadlines
CALLS = 3000  # calls in the histogram


@lru_cache(8)
def window(rate: int) -> NDArray[np.float64]:
    """Return the window of a column at *rate* Hz, in which a full-scale sine has 0 dB."""
    size = 1 << max(6, round(np.log2(WINDOW_S * rate)))
    hann = np.hanning(size + 1)[:-1]
    scaled: NDArray[np.float64] = hann * 2 / hann.sum()
    return scaled


@lru_cache(8)
def edges(rate: int) -> NDArray[np.int64]:
    """Return the first bins (BANDS + 1) of bands of equal width in mel, each of a bin at least."""
    size = len(window(rate))
    hz = mel_to_hz(np.linspace(0, hz_to_mel(rate / 2), BANDS + 1))
    bins = np.round(hz * size / rate).astype(np.int64)
    for at in range(BANDS):
        bins[at + 1] = max(bins[at + 1], bins[at] + 1)
    return np.minimum(bins, size // 2)


def top_hz(at: int, rate: int) -> float:
    """Return the frequency at which band number *at* begins."""
    return float(edges(rate)[at]) * rate / len(window(rate))


def columns(sound: Samples, count: int, hop: int, rate: int) -> NDArray[np.uint8]:
    """Return the last *count* columns (count, BANDS) of *sound* as bytes of level.

    Args:
        sound: The sound (rows, samples); its mean over the rows is shown.
        count: Number of columns. The last one ends with the sound.
        hop: Samples between two columns.
        rate: Sample rate in Hz.
    """
    shape = window(rate)
    mono = np.nan_to_num(sound.mean(axis=0), nan=0.0, posinf=0.0, neginf=0.0)
    need = len(shape) + (count - 1) * hop
    mono = np.concatenate((np.zeros(max(0, need - mono.size)), mono))[-need:]
    frames = np.lib.stride_tricks.sliding_window_view(mono, len(shape))[::hop]
    power = np.abs(np.fft.rfft(frames * shape)[:, :-1]) ** 2
    first = np.minimum(edges(rate)[:-1], power.shape[1] - 1)
    level_db = 10 * np.log10(np.maximum.reduceat(power, first, axis=1) + 1e-12)
    scaled = 255 * (level_db - FLOOR_DB) / (TOP_DB - FLOOR_DB)
    return np.clip(np.round(scaled), 0, 255).astype(np.uint8)


class Picture:
    """What one page has been sent of a tap, and what is new.

    Args:
        reader: The reader of the tap.
    """

    def __init__(self, reader: TapReader) -> None:
        self.reader, self._hop = reader, max(1, reader.rate // COLUMNS_PER_S)
        self._done = reader.position  # the end of the last column

    def form(self) -> dict[str, Any]:
        """Return what the axes of the picture are."""
        rate = self.reader.rate
        starts = [round(top_hz(at, rate)) for at in range(BANDS)]
        return {
            "columns_per_s": rate / self._hop,
            "bands_hz": starts,
            "floor_db": FLOOR_DB,
            "top_db": TOP_DB,
        }

    def new(self) -> dict[str, Any] | None:
        """Return the columns that are new, and the levels of now. None: no sound has come.

        The input is as late as the output, so that both columns show the same.
        """
        reader, hop = self.reader, self._hop
        position = reader.position
        if position - self._done > BEHIND_S * reader.rate:
            self._done = position - hop
        count = (position - self._done) // hop
        if count < 1:
            return None
        self._done += count * hop
        size, late = len(window(reader.rate)) + count * hop, reader.latency
        _, _, wet = reader.tape.between(self._done - size, self._done)
        _, dry, _ = reader.tape.between(self._done - late - size, self._done - late)
        packed = [columns(sound, count, hop, reader.rate).tobytes() for sound in (dry, wet)]
        before, after = (base64.b64encode(each).decode() for each in packed)
        levels = {name: round(db, 1) for name, db in reader.levels(LEVEL_S).items()}
        return {"before": before, "after": after, "levels": levels | {"reduction": self._less()}}

    def _less(self) -> float | None:
        """Return by how many dB the output is quieter than the input. None: the input is silent."""
        rms = []
        for sound in self.reader.last(REDUCTION_S, aligned=True):
            finite = np.nan_to_num(sound, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float64)
            rms.append(10 * np.log10(float((finite**2).mean()) + 1e-12) if finite.size else -120.0)
        return round(rms[0] - rms[1], 1) if rms[0] > SILENCE_DB else None


def call_times(reader: TapReader) -> dict[str, Any] | None:
    """Return a histogram of what the last calls took, in shares of their deadlines.

    None: there was no call, or calls have no deadline.
    """
    last = reader.calls()[-CALLS:]
    last = last[np.isfinite(last["deadline_s"]) & (last["deadline_s"] > 0)]
    if not len(last):
        return None
    share = last["seconds"] / last["deadline_s"]
    counts, _ = np.histogram(np.minimum(share, WIDEST - 1e-9), BINS, (0, WIDEST))
    return {
        "counts": counts.tolist(),
        "widest": WIDEST,
        "deadline_ms": round(1e3 * float(last["deadline_s"][-1]), 3),
        "median_ms": round(1e3 * float(np.median(last["seconds"])), 3),
        "longest_ms": round(1e3 * float(last["seconds"].max()), 3),
        "over": int((share > 1).sum()),
        "calls": len(last),
    }
