"""How close an estimate is to a reference, in three numbers with one definition each.

Per channel with e the estimate and r the reference, then averaged over the channels:

* SNR     10 log10(|r|^2 / |e - r|^2), dB. A wrong gain counts as noise.
* SI-SDR  10 log10(|a r|^2 / |e - a r|^2), dB, a = <e, r> / |r|^2, both without their mean.
          A wrong gain does not count. (Le Roux et al., "SDR - half-baked or well done?", 2019)
* LSD     mean over frames of the RMS over bins of log10(|E|^2 + 1e-8) - log10(|R|^2 + 1e-8):
          2048-point periodic Hann windows every 512 samples. Decades of power, 1 = 10 dB.

Numbers made with another definition (window, logarithm, floor) are not comparable: the LSD of the
same pair of files goes from 0.6 to 4.6 among published ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples
from ..errors import AudioError

FRAME, HOP, FLOOR = 2048, 512, 1e-8


class Scores:
    """SNR, SI-SDR and LSD of a stream that comes in blocks.

    Only sums are kept, so an hour costs no more memory than a second.

    >>> scores = Scores(1)
    >>> scores.add(np.array([[1.0, -1.1]], np.float32), np.array([[1.0, -1.0]], np.float32))
    >>> round(scores.result()["SNR dB"], 1)
    23.0
    """

    def __init__(self, channels: int) -> None:
        self._n = 0
        self._sums = np.zeros((6, channels))  # e, r, ee, rr, er, |e - r|^2
        self._waiting = np.zeros((2, channels, 0), np.float32)
        self._distance, self._frames = np.zeros(channels), 0
        self._window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)

    def add(self, estimate: Samples, reference: Samples) -> None:
        """Take the next (channels, n) of both.

        Raises:
            AudioError: their shapes differ.
        """
        if estimate.shape != reference.shape:
            raise AudioError(
                f"scores need equal shapes, got {estimate.shape} and {reference.shape}"
            )
        e, r = estimate.astype(np.float64), reference.astype(np.float64)
        self._n += e.shape[1]
        self._sums += [v.sum(1) for v in (e, r, e * e, r * r, e * r, (e - r) ** 2)]
        self._waiting = np.concatenate((self._waiting, [estimate, reference]), axis=2)
        while self._waiting.shape[2] >= FRAME:
            count = min(64, 1 + (self._waiting.shape[2] - FRAME) // HOP)
            self._compare(self._waiting[:, :, : FRAME + (count - 1) * HOP])
            self._waiting = self._waiting[:, :, count * HOP :]

    def _compare(self, pair: NDArray[np.float32]) -> None:
        frames = np.lib.stride_tricks.sliding_window_view(pair, FRAME, axis=2)[:, :, ::HOP]
        power = np.abs(np.fft.rfft(frames * self._window)) ** 2
        estimate, reference = np.log10(power + FLOOR)
        rms = np.sqrt(np.mean((estimate - reference) ** 2, axis=2))
        self._distance += rms.sum(1)
        self._frames += rms.shape[1]

    def result(self) -> dict[str, float]:
        """The scores so far, by name; infinite for an exact copy, NaN for a silent reference."""
        if self._frames == 0:  # shorter than a frame: one, filled up with silence
            missing = FRAME - self._waiting.shape[2]
            self._compare(np.pad(self._waiting, ((0, 0), (0, 0), (0, missing))))
        e, r, ee, rr, er, error = self._sums
        n = max(1, self._n)
        ee, rr, er = ee - e * e / n, rr - r * r / n, er - e * r / n
        with np.errstate(divide="ignore", invalid="ignore"):
            target = er * er / rr
            noise = np.maximum(ee - target, 0.0)
            noise[noise < 1e-15 * ee] = 0.0  # what rounding leaves of an exact copy
            si_sdr = 10 * np.log10(target / noise)
            snr = 10 * np.log10(self._sums[3] / error)
        return {
            "SI-SDR dB": float(si_sdr.mean()),
            "SNR dB": float(snr.mean()),
            "LSD": float((self._distance / self._frames).mean()),
        }


def score(estimate: Samples, reference: Samples) -> dict[str, float]:
    """`Scores` of two whole arrays (channels, samples)."""
    scores = Scores(reference.shape[0])
    scores.add(estimate, reference)
    return scores.result()
