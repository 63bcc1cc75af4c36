"""Quality and intelligibility of a voice as metrics of its sound: PESQ, STOI and ESTOI.

They are computed by the packages pesq and pystoi (extra `eval`), at 16 kHz, and only those that are
asked for, because they take longer than all other metrics.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection

import numpy as np
import soxr
from numpy.typing import NDArray

from .extras import needed

PESQ = {"pesq_wb": (16_000, "wb"), "pesq_nb": (8000, "nb")}
STOI = {"stoi": False, "estoi": True}
Mono = NDArray[np.float64]


def to_16k(x: Mono, rate_hz: int) -> Mono:
    """Resample *x* (samples,) from *rate_hz* to the 16 kHz of the metrics."""
    y: Mono = soxr.resample(x, rate_hz, 16_000)
    return y


def pesq(e16: Mono, r16: Mono, wanted: Collection[str] = PESQ.keys()) -> dict[str, float]:
    """Compute PESQ by ITU-T P.862.2 (pesq_wb) and P.862 (pesq_nb); NaN where nobody speaks."""
    names = [name for name in PESQ if name in wanted]
    if not names:
        return {}
    module = needed("pesq")
    if not (e16.any() and r16.any()):  # pesq divides by the peak
        return dict.fromkeys(names, np.nan)
    scores = {}
    for name in names:
        rate_hz, mode = PESQ[name]
        e, r = (x if rate_hz == 16_000 else soxr.resample(x, 16_000, rate_hz) for x in (e16, r16))
        try:
            scores[name] = float(module.pesq(rate_hz, r, e, mode))
        except (module.NoUtterancesError, module.BufferTooShortError):
            scores[name] = np.nan
    return scores


def stoi(e16: Mono, r16: Mono, wanted: Collection[str] = STOI.keys()) -> dict[str, float]:
    """Compute STOI (Taal et al. 2011) and ESTOI (Jensen and Taal 2016); NaN for too few frames."""
    names = [name for name in STOI if name in wanted]
    if not names:
        return {}
    module = needed("pystoi")
    if len(r16) < 8000:  # less than 30 frames, which STOI needs; pystoi fails below one frame
        return dict.fromkeys(names, np.nan)
    with warnings.catch_warnings():
        # pystoi drops silent frames, and gives 1e-5 with this warning if less than 30 are left.
        warnings.filterwarnings("error", "Not enough STFT frames", RuntimeWarning)
        try:
            return {n: float(module.stoi(r16, e16, 16_000, extended=STOI[n])) for n in names}
        except RuntimeWarning:
            return dict.fromkeys(names, np.nan)
