"""Losses: (estimate, reference) -> scalar, zero when they are equal and otherwise positive."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import Loss
from ..spectra import Framing, sound
from .perceptual import Estoi, Pmsqe

Spectra = tuple[Tensor, Tensor]  # real and imaginary part, each (B, T, bins)


def compressed(
    estimate: Spectra, reference: Spectra, known: Tensor, under: float, complex_part: float
) -> Tensor:
    """Squared difference of spectra compressed by |X|^0.3, magnitudes and complex values.

    Braun and Tashev 2021 (arXiv:2009.12286), with *under*: what is missing of the voice costs
    1 + under times what is left of the noise, because gaps are heard as damage.

    Args:
        estimate: The net's.
        reference: What it should be.
        known: Mask (B, 1, bins) of the bins the reference knows.
        under: Extra cost of magnitudes that are too small.
        complex_part: Weight of the complex difference.
    """
    (a, b), (c, d) = estimate, reference
    log_e, log_r = torch.log(a * a + b * b + 1e-10), torch.log(c * c + d * d + 1e-10)
    magnitude = torch.exp(0.15 * log_e) - torch.exp(0.15 * log_r)
    shrink_e, shrink_r = torch.exp(-0.35 * log_e), torch.exp(-0.35 * log_r)
    re, im = a * shrink_e - c * shrink_r, b * shrink_e - d * shrink_r
    missing = torch.relu(-magnitude)
    cost = magnitude**2 + under * missing**2 + complex_part * (re * re + im * im)
    return (cost * known).mean()


def log_snr(estimate: Spectra, reference: Spectra, known: Tensor) -> Tensor:
    """ln(error energy / reference energy + 1e-3) + ln(1000), mean over rows that hold anything.

    The windows are a tight frame, so this is the SNR of the sound without going back to it. It
    makes the last dB of a nearly clean input count as much as the first of a noisy one: without
    it a sketch of this net lost 2 dB at 20 dB input. Flat beyond 30 dB.
    """
    (a, b), (c, d) = estimate, reference
    error = (((a - c) ** 2 + (b - d) ** 2) * known).sum((1, 2))
    energy = ((c * c + d * d) * known).sum((1, 2))
    sounding = (energy > 1e-4).to(energy.dtype)  # silence has no SNR
    rows = sounding * torch.log(1e3 * error / (energy + 1e-6) + 1.0)
    return rows.sum() / sounding.sum().clamp(min=1.0)


def resolutions(
    estimate: Spectra,
    reference: Spectra,
    known: Tensor,
    under: float,
    complex_part: float,
    framing: Framing,
) -> Tensor:
    """`compressed` of the overlap-added sound, in windows of half and of twice the size.

    Short ones see where a click or a consonant is, long ones what lies between harmonics.
    """
    waves = [sound(torch.stack(side, 1), framing) for side in (estimate, reference)]
    total = torch.zeros((), device=known.device)
    for size in (framing.window // 2, framing.window * 2):
        window = torch.hann_window(size, device=known.device).sqrt()
        x, y = (
            torch.stft(
                wave, size, size // 2, window=window, center=False, return_complex=True
            ).transpose(1, 2)
            for wave in waves
        )
        place = torch.arange(size // 2 + 1, device=known.device) * framing.window // size
        total = total + compressed(
            (x.real, x.imag), (y.real, y.imag), known[:, :, place], under, complex_part
        )
    return total / 2


class Restoration(nn.Module):
    """The recipe's sum of losses on spectra; what has no weight is not computed."""

    def __init__(self, weights: Loss, framing: Framing) -> None:
        super().__init__()
        self.weights, self.framing = weights, framing
        heard: dict[str, nn.Module] = {}
        if weights.estoi:
            heard["estoi"] = Estoi(framing)
        if weights.pmsqe:
            heard["pmsqe"] = Pmsqe(framing)
        self.heard = nn.ModuleDict(heard)

    def forward(self, estimate: Spectra, reference: Spectra, known: Tensor) -> dict[str, Tensor]:
        """The total ("loss") and its parts before their weights."""
        weights = self.weights
        spectral = compressed(estimate, reference, known, weights.under, weights.complex_part)
        parts = {"compressed": spectral, "log_snr": log_snr(estimate, reference, known)}
        energies = [(re * re + im * im) * known for re, im in (estimate, reference)]
        parts |= {name: loss(*energies) for name, loss in self.heard.items()}
        total = spectral
        if weights.resolutions:
            costs = weights.under, weights.complex_part
            parts["resolutions"] = resolutions(estimate, reference, known, *costs, self.framing)
            total = total + weights.resolutions * parts["resolutions"]
        for name in ("log_snr", *self.heard):
            total = total + getattr(weights, name) * parts[name]
        return {"loss": total} | parts
