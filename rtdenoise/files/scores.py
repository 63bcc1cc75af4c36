"""Scores of how close an estimate is to a reference, with one definition each.

Each score is computed per channel, with e the estimate and r the reference, and is averaged over
the channels:

* SNR     10 log10(|r|^2 / |e - r|^2), dB. A wrong gain counts as noise.
* SI-SDR  10 log10(|a r|^2 / |e - a r|^2), dB, a = <e, r> / |r|^2, both without their mean.
          A wrong gain does not count. (Le Roux et al., "SDR - half-baked or well done?", 2019)
* LSD     mean over frames of the RMS over bins of log10(|E|^2 + 1e-8) - log10(|R|^2 + 1e-8):
          2048-point periodic Hann windows every 512 samples. Decades of power, 1 = 10 dB.

Numbers of another definition (window, logarithm, floor) are not comparable: by the published
definitions, the LSD of one pair of files ranges from 0.6 to 4.6.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples
from ..errors import AudioError

FRAME, HOP, FLOOR = 2048, 512, 1e-8


class Scores:
    """The running SNR, SI-SDR and LSD of an estimate that comes in blocks.

    Only sums are kept, so that an hour needs no more memory than a second.

    Args:
        channels: Channel count of the blocks.

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
        """Take the next block (channels, n) of the estimate and of the reference.

        Raises:
            AudioError: If their shapes differ.
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
        """Add the frames of *pair*, (estimate and reference, channels, n), to the LSD."""
        frames = np.lib.stride_tricks.sliding_window_view(pair, FRAME, axis=2)[:, :, ::HOP]
        power = np.abs(np.fft.rfft(frames * self._window)) ** 2
        estimate, reference = np.log10(power + FLOOR)
        rms = np.sqrt(np.mean((estimate - reference) ** 2, axis=2))
        self._distance += rms.sum(1)
        self._frames += rms.shape[1]

    def result(self) -> dict[str, float]:
        """Return the scores so far: infinite for an exact copy, NaN for a silent reference."""
        if self._frames == 0:  # silence fills up what is shorter than a frame
            missing = FRAME - self._waiting.shape[2]
            self._compare(np.pad(self._waiting, ((0, 0), (0, 0), (0, missing))))
        e, r, ee, rr, er, error = self._sums
        n = max(1, self._n)
        ee, rr, er = ee - e * e / n, rr - r * r / n, er - e * r / n
        with np.errstate(divide="ignore", invalid="ignore"):
            target = er * er / rr
            noise = np.maximum(ee - target, 0.0)
            noise[noise < 1e-15 * ee] = 0.0  # rounding leaves as much of an exact copy
            si_sdr = 10 * np.log10(target / noise)
            snr = 10 * np.log10(self._sums[3] / error)
        return {
            "SI-SDR dB": float(si_sdr.mean()),
            "SNR dB": float(snr.mean()),
            "LSD": float((self._distance / self._frames).mean()),
        }


def score(estimate: Samples, reference: Samples) -> dict[str, float]:
    """Return the scores of two whole arrays (channels, samples) by name."""
    scores = Scores(reference.shape[0])
    scores.add(estimate, reference)
    return scores.result()
