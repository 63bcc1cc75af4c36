"""The running mean over a second to which the features of the nets on spectra are relative.

TorchScript reads the annotations, so this file has no `annotations` from __future__.
"""

import torch
from torch import Tensor


def running_means(
    energy: Tensor, counts: Tensor, hops: Tensor, mean: Tensor, slowest: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Update the running mean of energies, or of powers beside them, hop by hop.

    Silence (a muted microphone, zeros before a recording) does not count: it would pull the mean to
    the floor, and in the seconds afterwards half of the noise remained.

    Args:
        energy: Log energies of the bands, and what else is averaged, (C, T, bands).
        counts: 1 for each window that counts, 0 for a silent one, (C, T, 1).
        hops: Number of windows that counted so far, (C, 1); the count stops at a million, before
            float32 could not add one to it.
        mean: Mean so far, (C, bands).
        slowest: Least update rate, which the mean reaches after 1 / slowest windows.

    Returns:
        The mean at each window (C, T, bands), which is the energy itself before any sound; the
        number of windows; the mean after the last one.
    """
    if torch.jit.is_scripting():  # type: ignore[attr-defined]
        means = torch.empty_like(energy)
        for t in range(energy.shape[1]):
            hops = (hops + counts[:, t]).clamp(max=1e6)
            rate = counts[:, t] * torch.clamp(1.0 / hops.clamp(min=1.0), min=slowest)
            mean = mean + (energy[:, t] - mean) * rate
            means[:, t] = torch.where(hops > 0.0, mean, energy[:, t])
        return means, hops, mean
    else:  # TorchScript compiles neither a branch like this one, nor what it calls
        return _at_once(energy, counts, hops, mean, slowest)


def _at_once(
    energy: Tensor, counts: Tensor, hops: Tensor, mean: Tensor, slowest: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Do what `running_means` does without a loop, which an export to ONNX could not follow.

    With m_t = k_t m_{t-1} + r_t e_t and k_t = 1 - r_t, and K_t the product of k_1 .. k_t, the mean
    is m_t = K_t m_0 + sum over s <= t of K_t / K_s r_s e_s. The products are sums of logarithms, in
    float64 because k_t is zero at the first window.
    """
    seen = (hops[:, None] + counts.cumsum(1)).clamp(max=1e6)
    rate = (counts * torch.clamp(1.0 / seen.clamp(min=1.0), min=slowest)).double()
    kept = (1.0 - rate).clamp(min=1e-30).log().cumsum(1)
    weights = (kept - kept.transpose(1, 2)).exp().tril() * rate.transpose(1, 2)
    whole = torch.matmul(weights, energy.double()) + kept.exp() * mean[:, None].double()
    means = whole.to(energy.dtype)
    return torch.where(seen > 0.0, means, energy), seen[:, -1], means[:, -1]
