"""Losses of waveforms (estimate, reference), both (B, n) -> scalar: least if both are equal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import torch
from torch import Tensor, nn

from ..extras import needed
from .spectral import compressed

Loss = Callable[[Tensor, Tensor], Tensor]
SILENT = 1e-8  # mean square up to which a reference is silent: -80 dBFS


def sounding(estimate: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Keep the rows whose reference is not silent, for losses relative to the reference."""
    sounds = (reference**2).mean(1) > SILENT
    return estimate[sounds], reference[sounds]


def l1(estimate: Tensor, reference: Tensor) -> Tensor:
    """Compute the mean absolute difference."""
    return (estimate - reference).abs().mean()


def l2(estimate: Tensor, reference: Tensor) -> Tensor:
    """Compute the mean squared difference."""
    return ((estimate - reference) ** 2).mean()


def snr(estimate: Tensor, reference: Tensor) -> Tensor:
    """Compute the negative SNR in dB, mean over rows: a squared error relative to the level."""
    signal, error = (reference**2).sum(1), ((estimate - reference) ** 2).sum(1)
    return -10 * torch.log10((signal + 1e-8) / (error + 1e-6 * signal + 1e-8)).mean()


def si_sdr(estimate: Tensor, reference: Tensor) -> Tensor:
    """Compute the negative SI-SDR in dB (Le Roux et al. 2019), mean over rows, limited to 60 dB."""
    e = estimate - estimate.mean(1, keepdim=True)
    r = reference - reference.mean(1, keepdim=True)
    target = (e * r).sum(1, keepdim=True) / ((r * r).sum(1, keepdim=True) + 1e-8) * r
    signal, error = (target**2).sum(1), ((e - target) ** 2).sum(1)
    return -10 * torch.log10((signal + 1e-8) / (error + 1e-6 * signal + 1e-8)).mean()


def stft(estimate: Tensor, reference: Tensor) -> Tensor:
    """Compute spectral convergence and log magnitude differences (Yamamoto et al. 2020).

    Windows have 512, 1024 and 2048 samples, as far as the excerpt is long enough. Rows whose
    reference is silent are left out, because their convergence divides by almost zero.
    """
    estimate, reference = sounding(estimate, reference)
    if not len(reference):
        return 0.0 * estimate.sum()
    loss: Tensor = _auraloss(estimate.shape[1])(estimate[:, None], reference[:, None])
    return loss


def check(names: Iterable[str]) -> None:
    """Check, before any time is spent, that the packages of the losses *names* are installed.

    Raises:
        UsageError: a package is missing; the message names it.
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
    """Compute `spectral.compressed` in sqrt-Hann windows of 512 samples with a hop of 256."""
    window = torch.hann_window(512, device=estimate.device).sqrt()
    spectra = [
        torch.stft(x, 512, 256, window=window, return_complex=True) for x in (estimate, reference)
    ]
    (e, r) = ((s.real.transpose(1, 2), s.imag.transpose(1, 2)) for s in spectra)
    return compressed(e, r, torch.ones((), device=estimate.device), under=0.0, complex_part=0.3)


def within(bandwidth_hz: Tensor, rate_hz: int, *sides: Tensor) -> list[Tensor]:
    """Low-pass each of *sides* (B, n) at its row's bandwidth (B,) in Hz.

    Above the bandwidth of its recording the reference is unknown: a telephone recording, stored at
    48 kHz, would teach that voices end at 4 kHz.
    """
    if bool((bandwidth_hz >= rate_hz / 2).all()):
        return list(sides)
    samples = sides[0].shape[1]
    hz = torch.arange(samples // 2 + 1, device=bandwidth_hz.device) * (rate_hz / samples)
    passed = hz[None] <= bandwidth_hz[:, None]
    return [torch.fft.irfft(torch.fft.rfft(side) * passed, samples) for side in sides]


LOSSES: dict[str, Loss] = {
    "l1": l1,
    "l2": l2,
    "snr": snr,
    "si_sdr": si_sdr,
    "stft": stft,
    "compressed": compressed_spectra,
}
