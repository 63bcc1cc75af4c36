"""Losses of spectra (estimate, reference) -> scalar: zero if both are equal, otherwise positive."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..sections import Loss
from ..spectra import Framing, sound
from .perceptual import Estoi, Pmsqe

Spectra = tuple[Tensor, Tensor]  # real and imaginary part, each (B, T, bins)


def compressed(
    estimate: Spectra, reference: Spectra, mask: Tensor, under: float, complex_part: float
) -> Tensor:
    """Compute the squared difference of spectra compressed by |X|^0.3, magnitude and complex.

    The loss is that of Braun and Tashev 2021 (arXiv:2009.12286), with a factor for magnitudes that
    are too small, because gaps in a voice are more annoying than residual noise.

    Args:
        estimate: Spectra that the net gives.
        reference: Spectra that it should give.
        mask: 1 for bins within the bandwidth of the reference's recording, else 0, (B, 1, bins).
        under: Extra cost of a magnitude that is too small; one that is too large costs 1.
        complex_part: Weight of the complex difference; that of magnitudes weighs 1.
    """
    (a, b), (c, d) = estimate, reference
    log_e, log_r = torch.log(a * a + b * b + 1e-10), torch.log(c * c + d * d + 1e-10)
    magnitude = torch.exp(0.15 * log_e) - torch.exp(0.15 * log_r)
    shrink_e, shrink_r = torch.exp(-0.35 * log_e), torch.exp(-0.35 * log_r)
    re, im = a * shrink_e - c * shrink_r, b * shrink_e - d * shrink_r
    missing = torch.relu(-magnitude)
    cost = magnitude**2 + under * missing**2 + complex_part * (re * re + im * im)
    return (cost * mask).mean()


def log_snr(estimate: Spectra, reference: Spectra, mask: Tensor) -> Tensor:
    """Compute ln(error energy / reference energy + 1e-3) + ln(1000), the mean over rows with sound.

    The windows form a tight frame, so this is the SNR of the waveform, computed on spectra. It
    makes a dB of a nearly clean input count as much as one of a noisy input; without it, a small
    version of `spectral` lost 2 dB at an input SNR of 20 dB. Beyond 30 dB it is flat.
    """
    (a, b), (c, d) = estimate, reference
    error = (((a - c) ** 2 + (b - d) ** 2) * mask).sum((1, 2))
    energy = ((c * c + d * d) * mask).sum((1, 2))
    sounding = (energy > 1e-4).to(energy.dtype)  # silence has no SNR
    rows = sounding * torch.log(1e3 * error / (energy + 1e-6) + 1.0)
    return rows.sum() / sounding.sum().clamp(min=1.0)


def resolutions(
    estimate: Spectra,
    reference: Spectra,
    mask: Tensor,
    under: float,
    complex_part: float,
    framing: Framing,
) -> Tensor:
    """Compute `compressed` of the waveforms, in windows of half and of twice the net's length.

    Short windows resolve clicks and consonants in time, long ones resolve harmonics in frequency.
    """
    waves = [sound(torch.stack(side, 1), framing) for side in (estimate, reference)]
    total = torch.zeros((), device=mask.device)
    for size in (framing.window // 2, framing.window * 2):
        window = torch.hann_window(size, device=mask.device).sqrt()
        x, y = (
            torch.stft(
                wave, size, size // 2, window=window, center=False, return_complex=True
            ).transpose(1, 2)
            for wave in waves
        )
        place = torch.arange(size // 2 + 1, device=mask.device) * framing.window // size
        total = total + compressed(
            (x.real, x.imag), (y.real, y.imag), mask[:, :, place], under, complex_part
        )
    return total / 2


class Restoration(nn.Module):
    """The weighted sum of losses on spectra; losses without a weight are not computed.

    Args:
        weights: The recipe's [loss].
        framing: Windows of the spectra.
    """

    def __init__(self, weights: Loss, framing: Framing) -> None:
        super().__init__()
        self.weights, self.framing = weights, framing
        perceptual: dict[str, nn.Module] = {}
        if weights.estoi:
            perceptual["estoi"] = Estoi(framing)
        if weights.pmsqe:
            perceptual["pmsqe"] = Pmsqe(framing)
        self.perceptual = nn.ModuleDict(perceptual)

    def forward(self, estimate: Spectra, reference: Spectra, mask: Tensor) -> dict[str, Tensor]:
        """Compute the total, named "loss", and each part before its weight; *mask* (B, 1, bins)."""
        weights = self.weights
        spectral = compressed(estimate, reference, mask, weights.under, weights.complex_part)
        parts = {"compressed": spectral, "log_snr": log_snr(estimate, reference, mask)}
        energies = [(re * re + im * im) * mask for re, im in (estimate, reference)]
        parts |= {name: loss(*energies) for name, loss in self.perceptual.items()}
        total = spectral
        if weights.resolutions:
            costs = weights.under, weights.complex_part
            parts["resolutions"] = resolutions(estimate, reference, mask, *costs, self.framing)
            total = total + weights.resolutions * parts["resolutions"]
        for name in ("log_snr", *self.perceptual):
            total = total + getattr(weights, name) * parts[name]
        return {"loss": total} | parts
