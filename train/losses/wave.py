"""Losses of waveforms: (estimate, reference), both (B, n), -> scalar, least when they are equal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import torch
from torch import Tensor, nn

from ..extras import needed
from .spectral import compressed

Loss = Callable[[Tensor, Tensor], Tensor]
SILENT = 1e-8  # mean square: -80 dBFS


def sounding(estimate: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """The rows whose reference is more than silence, for losses relative to it."""
    sounds = (reference**2).mean(1) > SILENT
    return estimate[sounds], reference[sounds]


def l1(estimate: Tensor, reference: Tensor) -> Tensor:
    """Mean absolute difference."""
    return (estimate - reference).abs().mean()


def l2(estimate: Tensor, reference: Tensor) -> Tensor:
    """Mean squared difference."""
    return ((estimate - reference) ** 2).mean()


def snr(estimate: Tensor, reference: Tensor) -> Tensor:
    """Negative SNR in dB, mean over rows: the squared error, of one size at any level."""
    signal, error = (reference**2).sum(1), ((estimate - reference) ** 2).sum(1)
    return -10 * torch.log10((signal + 1e-8) / (error + 1e-6 * signal + 1e-8)).mean()


def si_sdr(estimate: Tensor, reference: Tensor) -> Tensor:
    """Negative SI-SDR in dB, mean over rows (Le Roux et al. 2019); at most 60 dB are rewarded."""
    e = estimate - estimate.mean(1, keepdim=True)
    r = reference - reference.mean(1, keepdim=True)
    target = (e * r).sum(1, keepdim=True) / ((r * r).sum(1, keepdim=True) + 1e-8) * r
    signal, error = (target**2).sum(1), ((e - target) ** 2).sum(1)
    return -10 * torch.log10((signal + 1e-8) / (error + 1e-6 * signal + 1e-8)).mean()


def stft(estimate: Tensor, reference: Tensor) -> Tensor:
    """Spectral convergence and log magnitudes at three resolutions (Yamamoto et al. 2020).

    At two, where an excerpt is too short for windows of 2048. Rows whose reference is silent do
    not count: their convergence is over nothing, one of them outweighed a thousand others.
    """
    estimate, reference = sounding(estimate, reference)
    if not len(reference):
        return 0.0 * estimate.sum()
    loss: Tensor = _auraloss(estimate.shape[1])(estimate[:, None], reference[:, None])
    return loss


def check(names: Iterable[str]) -> None:
    """Refuse losses whose package is missing, before any time is spent.

    Raises:
        UsageError: it names the package.
    """
    if "stft" in names:
        needed("auraloss", "train")


@cache
def _auraloss(samples: int) -> nn.Module:
    sizes = [n for n in (512, 1024, 2048) if n <= samples]
    made = needed("auraloss.freq", "train").MultiResolutionSTFTLoss
    loss: nn.Module = made(sizes, [n // 4 for n in sizes], sizes)
    return loss


def compressed_spectra(estimate: Tensor, reference: Tensor) -> Tensor:
    """`spectral.compressed` of 512-sample sqrt-Hann windows every 256."""
    window = torch.hann_window(512, device=estimate.device).sqrt()
    spectra = [
        torch.stft(x, 512, 256, window=window, return_complex=True) for x in (estimate, reference)
    ]
    (e, r) = ((s.real.transpose(1, 2), s.imag.transpose(1, 2)) for s in spectra)
    return compressed(e, r, torch.ones((), device=estimate.device), under=0.0, complex_part=0.3)


def within(bandwidth_hz: Tensor, rate_hz: int, *sides: Tensor) -> list[Tensor]:
    """Each (B, n) without what lies above its row's bandwidth (B,): there nobody knows the truth.

    A recording of a telephone, kept at 48 kHz, would teach that voices end at 4 kHz.
    """
    if bool((bandwidth_hz >= rate_hz / 2).all()):
        return list(sides)
    samples = sides[0].shape[1]
    hz = torch.arange(samples // 2 + 1, device=bandwidth_hz.device) * (rate_hz / samples)
    known = hz[None] <= bandwidth_hz[:, None]
    return [torch.fft.irfft(torch.fft.rfft(side) * known, samples) for side in sides]


LOSSES: dict[str, Loss] = {
    "l1": l1,
    "l2": l2,
    "snr": snr,
    "si_sdr": si_sdr,
    "stft": stft,
    "compressed": compressed_spectra,
}
