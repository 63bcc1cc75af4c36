"""Steps that change the spectrum: low-pass and high-pass filters, resampling, microphones.

All filters have zero phase: the magnitude of the classic filter is applied once, in the frequency
domain, so that nothing is delayed. A recorder that decimates with a linear-phase filter does the
same, whereas a causal Butterworth filter would change phases. The sound is padded first, so that it
does not wrap round.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
import soxr
from numpy.typing import NDArray

from .batch import Batch

PAD_S = 0.1  # length of the padding; none of these filters rings for longer
FAMILIES = ("chebyshev", "butterworth", "fir", "brick")


def spectral(batch: Batch, responses: list[NDArray[np.float32]], size: int) -> None:
    """Multiply the spectrum of every row by its response.

    Args:
        batch: The rows.
        responses: Magnitudes (size // 2 + 1,) float32, one a row.
        size: Length of the FFT in samples.
    """
    spectrum = scipy.fft.rfft(batch.audio, size, axis=2, workers=-1)
    spectrum *= np.stack(responses)[:, None]
    filtered = scipy.fft.irfft(spectrum, size, axis=2, workers=-1)
    batch.audio = filtered[:, :, : batch.samples].astype(np.float32)


def padded(batch: Batch) -> int:
    """Return the length of a fast FFT that holds the rows and the padding."""
    return int(scipy.fft.next_fast_len(batch.samples + int(PAD_S * batch.rate_hz), real=True))


def magnitude(
    family: str, hz: NDArray[Any], cutoff_hz: float, rate_hz: int, order: int, size: int
) -> NDArray[np.float32]:
    """Return the magnitude |H| of a low-pass at the frequencies *hz*, float32.

    * chebyshev: type I with 0.05 dB of ripple, as in scipy.signal.decimate and AudioUNet (2017). It
      is -0.05 dB at the cut-off; with order 8, it is 68 dB down an octave above.
    * butterworth: -3 dB at the cut-off; with order 8, it is 48 dB down an octave above.
    * fir: a sinc with a Hamming window that reaches *order* zero crossings to each side; -6 dB at
      the cut-off.
    * brick: it passes all below the cut-off and nothing above, and rings.

    Args:
        family: Kind of filter, one of `FAMILIES`.
        hz: Frequencies in Hz, those of an FFT of *size* samples where *family* is "fir".
        cutoff_hz: Cut-off frequency in Hz.
        rate_hz: Sample rate in Hz.
        order: Order of the filter.
        size: Length of the FFT in samples.
    """
    if family == "brick":
        return (hz <= cutoff_hz).astype(np.float32)
    if family == "fir":
        reach = max(1, min(size // 2 - 1, round(order * rate_hz / (2 * cutoff_hz))))
        n = np.arange(-reach, reach + 1)
        taps = np.sinc(2 * cutoff_hz / rate_hz * n) * np.hamming(2 * reach + 1)
        kernel = np.zeros(size)
        kernel[n % size] = taps / taps.sum()
        return np.asarray(scipy.fft.rfft(kernel).real, np.float32)
    # The bilinear transform warps frequencies: digital filters reach -inf dB at half the rate.
    nyquist = 0.499999 * rate_hz
    warp = np.tan(np.pi * np.minimum(hz, nyquist) / rate_hz)
    ratio = warp / np.tan(np.pi * min(cutoff_hz, nyquist) / rate_hz)
    if family == "butterworth":
        with np.errstate(over="ignore"):
            return np.asarray(1 / np.sqrt(1 + ratio ** (2 * order)), np.float32)
    ripple = 10 ** (0.05 / 10) - 1
    inside = np.cos(order * np.arccos(np.minimum(ratio, 1)))
    with np.errstate(over="ignore"):
        outside = np.cosh(np.minimum(order * np.arccosh(np.maximum(ratio, 1)), 300))
    polynomial = np.where(ratio <= 1, inside, outside)
    return np.asarray(1 / np.sqrt(1 + ripple * polynomial**2), np.float32)


def lowpass(batch: Batch, draws: list[dict[str, Any]]) -> None:
    """Remove what is above a cut-off; the reference keeps it."""
    _pass(batch, draws, below=True)


def highpass(batch: Batch, draws: list[dict[str, Any]]) -> None:
    """Remove what is below a cut-off; the reference keeps it."""
    _pass(batch, draws, below=False)


def _pass(batch: Batch, draws: list[dict[str, Any]], below: bool) -> None:
    """Filter every row, and keep what is *below* its cut-off, or what is above."""
    size = padded(batch)
    hz = np.arange(size // 2 + 1) * (batch.rate_hz / size)
    responses = []
    for d in draws:
        cutoff_hz, order = min(d["cutoff_hz"], batch.rate_hz / 2), int(d["order"])
        if below:
            response = magnitude(d["family"], hz, cutoff_hz, batch.rate_hz, order, size)
        elif d["family"] in ("brick", "fir"):
            response = 1 - magnitude(d["family"], hz, cutoff_hz, batch.rate_hz, order, size)
        else:  # the classic transform s -> 1 / s, on the warped axis
            mirror = np.pi * np.clip(hz, 1e-3, 0.499999 * batch.rate_hz) / batch.rate_hz
            edge = np.tan(np.pi * min(cutoff_hz, 0.499999 * batch.rate_hz) / batch.rate_hz)
            mirrored_hz = np.arctan(edge**2 / np.tan(mirror)) * batch.rate_hz / np.pi
            response = magnitude(d["family"], mirrored_hz, cutoff_hz, batch.rate_hz, order, size)
        responses.append(response)
    spectral(batch, responses, size)


def resample(batch: Batch, draws: list[dict[str, Any]]) -> None:
    """Resample every row to a lower rate and back with soxr, as narrow-band devices do."""
    for row, d in enumerate(draws):
        to_hz = d["rate_hz"]
        if to_hz < batch.rate_hz and batch.samples:
            down = soxr.resample(batch.audio[row].T, batch.rate_hz, to_hz, quality="HQ")
            back = soxr.resample(down, to_hz, batch.rate_hz, quality="HQ")
            kept = min(len(back), batch.samples)
            batch.audio[row] = 0
            batch.audio[row, :, :kept] = back[:kept].T


def mic(batch: Batch, draws: list[dict[str, Any]]) -> None:
    """Filter every row by a smooth random curve with a mean of 0 dB, as another microphone does."""
    size = padded(batch)
    hz = np.arange(size // 2 + 1) * (batch.rate_hz / size)
    octaves = np.log2(np.maximum(hz, 40) / 40)
    responses = []
    for d, rng in zip(draws, batch.rngs, strict=True):
        points = rng.uniform(-1, 1, 9)
        places = np.linspace(0, octaves[-1] or 1.0, 9)
        db = d["depth_db"] * (np.interp(octaves, places, points) - points.mean())
        responses.append((10 ** (db / 20)).astype(np.float32))
    spectral(batch, responses, size)
