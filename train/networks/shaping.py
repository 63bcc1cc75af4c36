"""What a net on spectra does to a spectrum: gains of all bins, and taps over time of the low ones.

Gains of bands come from Valin 2018 (RNNoise, arXiv:1709.08243), complex taps over past windows from
Schroeter et al. 2022 (DeepFilterNet, arXiv:2110.05588).
"""

import torch
from torch import Tensor
from torch.nn import functional


def shaped(
    re: Tensor,
    im: Tensor,
    past_re: Tensor,
    past_im: Tensor,
    gains: Tensor,
    raw: Tensor,
    to_bins: Tensor,
    edge: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return gains times the spectrum, plus taps times the low bins of this and past windows.

    Args:
        re: Real part, (C, T, bins).
        im: Imaginary part, (C, T, bins).
        past_re: Real part of the low bins, (C, taps - 1 + T, low): the windows before them, too.
        past_im: Imaginary part of them.
        gains: Raw gains, (C, T, bands).
        raw: Raw taps, (C, T, 2 taps low).
        to_bins: Gains of bands to gains of bins, (bands, bins).
        edge: Factors of the taps, (low,).
    """
    channels, count, low = re.shape[0], re.shape[1], past_re.shape[2]
    # A sigmoid never reaches one, but clean speech has to pass unchanged: hence 1.05.
    gain = (1.05 * torch.sigmoid(gains)).clamp(max=1.0) @ to_bins
    taps = torch.tanh(raw).reshape(channels, count, 2, -1, low) * edge
    old_re = past_re.unfold(1, count, 1).permute(0, 3, 1, 2)  # (C, T, taps, low)
    old_im = past_im.unfold(1, count, 1).permute(0, 3, 1, 2)
    a, b = taps[:, :, 0], taps[:, :, 1]
    sum_re = (a * old_re - b * old_im).sum(2)
    sum_im = (a * old_im + b * old_re).sum(2)
    rest = re.shape[2] - low
    return (
        gain * re + functional.pad(sum_re, (0, rest)),
        gain * im + functional.pad(sum_im, (0, rest)),
    )
