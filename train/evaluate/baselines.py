"""Baselines without a learned net, which every table shows beside the nets.

Each maps (degraded (channels, samples), rate_hz, cutoff_hz) to an estimate of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.signal import istft, stft

from rtdenoise.audio import Samples
from rtdenoise.errors import UsageError

from ..errors import ArgumentError
from ..extras import needed
from .pairs import shifted

Baseline = Callable[[Samples, int, float], Samples]
FILL_DB = -30.0  # gives the least LSD on training recordings: tools/fill_sweep.py


def sinc(audio: Samples, rate_hz: int, cutoff_hz: float) -> Samples:
    """Decimate to twice the cut-off, interpolate by band-limited sinc (soxr): no high band."""
    few = _decimated(audio, rate_hz, cutoff_hz)
    back = soxr.resample(few.T, 2 * cutoff_hz, rate_hz, "VHQ").T
    return shifted(back, 0, audio.shape[1])


def spline(audio: Samples, rate_hz: int, cutoff_hz: float) -> Samples:
    """Decimate to twice the cut-off, interpolate by a cubic spline (Kuleshov et al. 2017)."""
    few = _decimated(audio, rate_hz, cutoff_hz)
    at = np.arange(few.shape[1]) * (rate_hz / (2 * cutoff_hz))
    return shifted(CubicSpline(at, few, axis=1)(np.arange(audio.shape[1])), 0, audio.shape[1])


def noise_fill(audio: Samples, rate_hz: int, cutoff_hz: float) -> Samples:
    """Add white noise above the cut-off, 30 dB below the octave under it.

    The level follows that octave from frame to frame. The seed is fixed, so scores repeat.
    """
    size = 1024
    hz, _, spectrum = stft(audio, rate_hz, nperseg=size)
    _, _, noise = stft(np.random.default_rng(0).standard_normal(audio.shape), rate_hz, nperseg=size)
    octave = (hz >= cutoff_hz / 2) & (hz < 0.9 * cutoff_hz)
    noise *= (hz >= cutoff_hz)[:, None]
    level = np.sqrt((np.abs(spectrum[:, octave]) ** 2).mean(1, keepdims=True))
    unit = np.sqrt((np.abs(noise[:, hz >= cutoff_hz]) ** 2).mean())
    _, fill = istft(noise * level * 10 ** (FILL_DB / 20) / max(unit, 1e-12), rate_hz, nperseg=size)
    return np.asarray(audio + shifted(fill, 0, audio.shape[1]), np.float32)


def gate(audio: Samples, rate_hz: int, cutoff_hz: float) -> Samples:
    """Apply the spectral gate of the package noisereduce (Sainburg 2020) with its defaults."""
    reduced = needed("noisereduce").reduce_noise(y=audio, sr=rate_hz)
    return shifted(np.atleast_2d(reduced), 0, audio.shape[1])


def wpe(audio: Samples, rate_hz: int, cutoff_hz: float) -> Samples:
    """Apply weighted prediction error, package nara_wpe (Drude et al. 2018): 512, hop 128."""
    stfts, wpes = needed("nara_wpe.utils"), needed("nara_wpe.wpe")
    rows = []
    for row in audio.astype(np.float64):
        spectrum = stfts.stft(row[None], size=512, shift=128).transpose(2, 0, 1)
        dry = wpes.wpe_v8(spectrum, taps=10, delay=3, iterations=3)
        rows.append(stfts.istft(dry.transpose(1, 2, 0), size=512, shift=128)[0, : audio.shape[1]])
    return shifted(np.array(rows), 0, audio.shape[1])


def _decimated(audio: Samples, rate_hz: int, cutoff_hz: float) -> NDArray[np.float64]:
    return np.asarray(soxr.resample(audio.T.astype(np.float64), rate_hz, 2 * cutoff_hz, "VHQ").T)


BASELINES: dict[str, Baseline] = {
    "sinc": sinc,
    "spline": spline,
    "noise-fill": noise_fill,
    "gate": gate,
    "wpe": wpe,
}
OF_TASK = {  # the baselines that apply to each task
    "superres": ("sinc", "spline", "noise-fill"),
    "denoise": ("gate",),
    "dereverb": ("wpe",),
}


def choose(names: Sequence[str] | None, task: str, cutoff_hz: float | None) -> list[str]:
    """Return the baselines *names*, or those that apply to the task if it is None.

    Raises:
        UsageError: a name is unknown, or a baseline needs a cut-off.
    """
    chosen = list(OF_TASK.get(task, ()) if names is None else names)
    for name in chosen:
        if name not in BASELINES:
            raise UsageError(
                f"there is no baseline {name!r}; known: {', '.join(BASELINES)}, and all models"
            )
        if name in OF_TASK["superres"] and cutoff_hz is None:
            raise ArgumentError(f"the baseline {name} needs a cut-off", "cutoff_hz")
    return chosen
