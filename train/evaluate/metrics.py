"""Metrics of an estimate: (estimate, reference), both (channels, samples), give a number a metric.

Each is computed per channel, then averaged. LSD has a column for each definition in use: the same
pair of files has an LSD of 0.6 or 4.6, depending on window, logarithm and order of means, so only
columns of one name can be compared. Every LSD has Hann windows and a floor of 1e-8 on the power,
about that of 16-bit quantisation noise.

A score never depends on whether a system dared to answer: an estimate that is silent, or for which
a metric has no value although an exact copy of the reference has one, gets the metric's worst
value. NaN is left for references without a value (PESQ where nobody speaks).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import csd, get_window, welch

from rtdenoise.audio import Samples
from rtdenoise.errors import UsageError
from rtdenoise.files.scores import score
from rtdenoise.proof.quality import DNSMOS, dnsmos

from ..heard import pesq, stoi, to_16k

FLOOR = 1e-8
SILENT = 2.0**-16  # largest peak of silence: a file of 16 bits would hold zeros only
RATIO_DB = (-30.0, 100.0)  # limits of SNR and SI-SDR; an exact copy would have infinity
Mono = NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A metric as a column of the tables.

    Attributes:
        label: Name in tables and on cards.
        digits: Number of decimals in tables.
        better: 1 if high values are good, -1 if low values are good.
        worst: Value of silence: the end of the scale, or 8 decades of power for an LSD.
        group: When the metric applies: always, to speech, or with a cutoff.
    """

    label: str
    digits: int
    better: int
    worst: float
    group: str = "always"


METRICS = {
    "snr": Metric("SNR dB", 2, 1, RATIO_DB[0]),
    "si_sdr": Metric("SI-SDR dB", 2, 1, RATIO_DB[0]),
    "seg_snr": Metric("segSNR dB", 2, 1, -10.0),
    "lsd": Metric("LSD", 2, -1, 8.0),
    "lsd_origin": Metric("LSD origin", 2, -1, 8.0, "cutoff"),
    "lsd_mugan": Metric("LSD MU-GAN", 2, -1, 8.0, "cutoff"),
    "lsd_kul_code": Metric("LSD Kuleshov code", 2, -1, 8 * np.log(10), "cutoff"),
    "lsd_kul_paper": Metric("LSD Kuleshov paper", 2, -1, 8 * np.log(10), "cutoff"),
    "lsd_hf": Metric("LSD-HF", 2, -1, 8.0, "cutoff"),
    "lsd_lf": Metric("LSD-LF", 2, -1, 8.0, "cutoff"),
    "coherence_hf": Metric("coherence HF", 3, 1, 0.0, "cutoff"),
    "coherence_lf": Metric("coherence LF", 3, 1, 0.0, "cutoff"),
    "pesq_wb": Metric("PESQ-WB", 2, 1, 1.0, "speech"),
    "pesq_nb": Metric("PESQ-NB", 2, 1, 1.0, "speech"),
    "stoi": Metric("STOI", 3, 1, 0.0, "speech"),
    "estoi": Metric("ESTOI", 3, 1, 0.0, "speech"),
    "sig": Metric("DNSMOS SIG", 2, 1, 1.0, "speech"),
    "bak": Metric("DNSMOS BAK", 2, 1, 1.0, "speech"),
    "ovrl": Metric("DNSMOS OVRL", 2, 1, 1.0, "speech"),
}


def names(kind: str, cutoff_hz: float | None, chosen: Sequence[str] = ()) -> list[str]:
    """Return the metrics that apply to a kind of sound, with a cut-off or without, in order.

    Args:
        kind: speech or music.
        cutoff_hz: End of the band that a low-pass kept; None means that there was none.
        chosen: Metrics to restrict the result to; empty means no restriction.

    Raises:
        UsageError: a *chosen* metric does not apply; the message lists those that do.
    """
    groups = {"always"} | ({"speech"} if kind == "speech" else set())
    groups |= {"cutoff"} if cutoff_hz is not None else set()
    known = [name for name, metric in METRICS.items() if metric.group in groups]
    if unknown := [name for name in chosen if name not in known]:
        raise UsageError(f"there is no metric {unknown[0]!r} for this; known: {', '.join(known)}")
    return [name for name in known if name in (chosen or known)]


def measure(
    estimate: Samples,
    reference: Samples,
    rate_hz: int,
    kind: str = "speech",
    cutoff_hz: float | None = None,
    chosen: Sequence[str] = (),
    quality: Callable[[Mono], dict[str, float]] | None = None,
) -> dict[str, float]:
    """Compute the metrics of an estimate; NaN where the reference has no value of one.

    Args:
        estimate: Output of a system, (channels, samples).
        reference: The clean sound, of the same shape.
        rate_hz: Sample rate of both.
        kind: speech or music.
        cutoff_hz: End of the band that a low-pass kept; None means that there was none.
        chosen: Names of metrics; empty means all that apply.
        quality: Computes the DNSMOS columns of a voice at 16 kHz; None means `dnsmos`.

    >>> r = np.sin(np.arange(16000, dtype=np.float32))[None]
    >>> round(measure(0.9 * r, r, 16000, kind="music")["snr"])
    20
    """
    columns = names(kind, cutoff_hz, chosen)
    rows = [
        _channel(e, r, rate_hz, cutoff_hz or 0.0, set(columns), quality or dnsmos)
        for e, r in zip(estimate, reference, strict=True)
    ]
    return {name: float(np.mean([row[name] for row in rows])) for name in columns}


def silent(x: NDArray[np.floating]) -> bool:
    """Say whether nothing in *x* would be left in a file of 16 bits."""
    return float(np.abs(x).max(initial=0.0)) < SILENT


def _channel(
    e: NDArray[np.floating],
    r: NDArray[np.floating],
    rate_hz: int,
    cutoff_hz: float,
    columns: set[str],
    quality: Callable[[Mono], dict[str, float]],
) -> dict[str, float]:
    """Compute the metrics of a channel; the worst of those that only a copy of *r* would have."""
    scores = {} if silent(e) else _computed(e, r, rate_hz, cutoff_hz, columns, quality)
    missing = {name for name in columns if not np.isfinite(scores.get(name, np.nan))}
    if missing:
        copy = _computed(r, r, rate_hz, cutoff_hz, missing - DNSMOS.keys(), quality)
        for name in missing:
            has = bool(len(r)) if name in DNSMOS else np.isfinite(copy[name])
            scores[name] = METRICS[name].worst if has else np.nan
    return scores


def _computed(
    estimate: NDArray[np.floating],
    reference: NDArray[np.floating],
    rate_hz: int,
    cutoff_hz: float,
    columns: set[str],
    quality: Callable[[Mono], dict[str, float]],
) -> dict[str, float]:
    """Compute the metrics of a channel (samples,), the slow ones only if in *columns*."""
    ratios = score(estimate[None], reference[None])
    scores = {
        "snr": float(np.clip(ratios["SNR dB"], *RATIO_DB)),
        "si_sdr": float(np.clip(ratios["SI-SDR dB"], *RATIO_DB)),
        "lsd": ratios["LSD"],
    }
    e, r = estimate.astype(np.float64), reference.astype(np.float64)
    scores["seg_snr"] = segmental_snr(e, r, rate_hz)
    if any(METRICS[name].group == "cutoff" for name in columns):
        scores |= lsd_variants(e, r) | lsd_bands(e, r, rate_hz, cutoff_hz)
        scores |= coherence(e, r, rate_hz, cutoff_hz)
    if not any(METRICS[name].group == "speech" for name in columns):
        return scores
    e16, r16 = to_16k(e, rate_hz), to_16k(r, rate_hz)
    scores |= pesq(e16, r16, columns) | stoi(e16, r16, columns)
    if columns & DNSMOS.keys():
        scores |= quality(e16)
    return scores


def segmental_snr(e: Mono, r: Mono, rate_hz: int) -> float:
    """Compute the mean over frames of the SNR of each, limited to -10..35 dB (Loizou 2007).

    Frames are Hann windows of 30 ms that overlap by three quarters.
    """
    size = round(0.03 * rate_hz)
    window = get_window("hann", size)
    if len(r) < size:
        e, r = (np.pad(x, (0, size - len(x))) for x in (e, r))
    view = np.lib.stride_tricks.sliding_window_view
    reference, error = (view(x, size)[:: size // 4] * window for x in (r, e - r))
    signal, noise = (reference**2).sum(1), (error**2).sum(1)
    ratio = 10 * np.log10(signal / (noise + 1e-12) + 1e-12)
    return float(np.clip(ratio, -10, 35).mean())


def power(x: Mono, size: int, hop: int) -> NDArray[np.float64]:
    """Compute |STFT|^2 (frames, bins) in windows centred on multiples of *hop*, as librosa does."""
    x = np.pad(x, size // 2, mode="reflect" if len(x) > size // 2 else "constant")
    frames = np.lib.stride_tricks.sliding_window_view(x, size)[::hop]
    square: NDArray[np.float64] = np.abs(np.fft.rfft(frames * get_window("hann", size))) ** 2
    return square


def lsd_variants(e: Mono, r: Mono) -> dict[str, float]:
    """Compute the LSD by the definitions of four publications.

    * origin (the project that this one redoes): windows of 1024, hop 512, log10; root of the mean
      over bins, then mean over frames.
    * mugan (Kim and Sathe 2019): windows of 2048 without overlap, log10.
    * kul_code (the code of Kuleshov et al. 2017): windows of 2048, hop 512, natural logarithm; root
      of the mean over *frames*, then mean over bins.
    * kul_paper (their paper): the same with the root of the mean over bins.
    """

    def apart(size: int, hop: int) -> NDArray[np.float64]:
        a, b = (np.log10(power(x, size, hop) + FLOOR) for x in (e, r))
        return np.asarray((a - b) ** 2)

    natural = apart(2048, 512) * np.log(10) ** 2
    return {
        "lsd_origin": float(np.sqrt(apart(1024, 512).mean(1)).mean()),
        "lsd_mugan": float(np.sqrt(apart(2048, 2048).mean(1)).mean()),
        "lsd_kul_code": float(np.sqrt(natural.mean(0)).mean()),
        "lsd_kul_paper": float(np.sqrt(natural.mean(1)).mean()),
    }


def lsd_bands(e: Mono, r: Mono, rate_hz: int, cutoff_hz: float) -> dict[str, float]:
    """Compute the LSD (2048, hop 512, log10) of the bins above the cut-off and of those below."""
    a, b = (np.log10(power(x, 2048, 512) + FLOOR) for x in (e, r))
    high = np.arange(1025) * rate_hz / 2048 >= cutoff_hz
    return {
        name: float(np.sqrt(((a - b)[:, bins] ** 2).mean(1)).mean()) if bins.any() else np.nan
        for name, bins in (("lsd_hf", high), ("lsd_lf", ~high))
    }


def coherence(e: Mono, r: Mono, rate_hz: int, cutoff_hz: float) -> dict[str, float]:
    """Compute the magnitude-squared coherence above and below the cut-off.

    Bins are weighted by the reference's power. The coherence is the share of the estimate that is
    a filtered reference; independent noise of K frames has 1 / K.
    """
    size = min(1024, len(r))
    hz, cross = csd(e, r, rate_hz, nperseg=size)
    _, ee = welch(e, rate_hz, nperseg=size)
    _, rr = welch(r, rate_hz, nperseg=size)
    share = np.abs(cross) ** 2 / np.maximum(ee * rr, 1e-300)
    scores = {}
    for name, bins in (("coherence_hf", hz >= cutoff_hz), ("coherence_lf", hz < cutoff_hz)):
        weight = rr[bins].sum()
        scores[name] = float((share[bins] * rr[bins]).sum() / weight) if weight > 0 else np.nan
    return scores
