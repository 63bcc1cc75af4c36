"""Short-time spectra of waveforms, overlap-add back to waveforms, and bands on the ERB scale.

Window length and hop are properties of the net, so every function here takes the net's `Framing`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Framing:
    """How a net cuts the sound it works on into windows.

    Attributes:
        window: Length of a window in samples.
        hop: Samples from the start of one window to the start of the next: half a window.
        rate_hz: Sample rate of the sound.

    >>> Framing(1024, 512, 48_000).bins
    513
    """

    window: int
    hop: int
    rate_hz: int

    @property
    def bins(self) -> int:
        """Number of frequency bins of a spectrum, from 0 Hz to half the sample rate."""
        return self.window // 2 + 1

    @property
    def hz(self) -> NDArray[np.float64]:
        """Centre frequency of every bin in Hz, (bins,)."""
        return np.arange(self.bins) * self.rate_hz / self.window

    @property
    def hops_a_second(self) -> float:
        """Number of windows that start in one second."""
        return self.rate_hz / self.hop


def hann(window: int, device: torch.device) -> Tensor:
    """Return the sqrt-Hann window that weights sound before the net and after it, (window,)."""
    return torch.hann_window(window, device=device).sqrt()


def spectra(audio: Tensor, framing: Framing) -> Tensor:
    """Transform waveforms (B, samples) into real and imaginary parts (B, 2, T, bins)."""
    window = hann(framing.window, audio.device)
    x = torch.stft(
        audio, framing.window, framing.hop, window=window, center=False, return_complex=True
    )
    return torch.stack([x.real, x.imag], 1).transpose(2, 3).contiguous()


def sound(x: Tensor, framing: Framing) -> Tensor:
    """Transform real and imaginary parts (B, 2, T, bins) into waveforms (B, (T - 1) hop)."""
    windows: Tensor = torch.fft.irfft(torch.complex(x[:, 0], x[:, 1]))
    windows = windows * hann(framing.window, x.device)
    first, second = windows[..., : framing.hop], windows[..., framing.hop :]
    return (second[:, :-1] + first[:, 1:]).flatten(1)


def band_bank(bands: int, framing: Framing) -> Tensor:
    """Make triangular bands of equal width on the ERB scale, none narrower than a bin.

    The scale is that of Glasberg and Moore 1990: ERB number = 21.4 log10(1 + 0.00437 f).

    Returns:
        Weights (bins, bands): each row holds one bin's shares in the bands and sums to one.
    """
    window, bins, rate_hz = framing.window, framing.bins, framing.rate_hz
    top = 21.4 * math.log10(1 + 0.00437 * rate_hz / 2)
    centres = (10 ** (np.linspace(0, top, bands) / 21.4) - 1) / 0.00437 * window / rate_hz
    for band in range(1, bands):
        centres[band] = max(centres[band], centres[band - 1] + 1)
    centres *= (bins - 1) / centres[-1]
    rows = [np.interp(np.arange(bins), centres, row) for row in np.eye(bands)]
    return torch.from_numpy(np.stack(rows, 1).astype(np.float32))


@cache
def fading_edge(bins: int, fading: int) -> Tensor:
    """Return factors (bins,): one, and over the last *fading* bins a raised cosine towards zero."""
    edge = torch.ones(bins)
    steps = (torch.arange(fading) + 1) / (fading + 1)
    edge[bins - fading :] = 0.5 + 0.5 * torch.cos(math.pi * steps)
    return edge


def running_mean_matrix(hops: int, slowest: float) -> Tensor:
    """Express a net's running mean of energies over *hops* windows, from silence, as a matrix.

    The mean m_t = m_{t-1} + r_t (e_t - m_{t-1}) with r_t = max(1 / t, slowest) is linear in the
    energies e, so m = W e; the matrix W is (hops, hops).

    >>> running_mean_matrix(2, 0.01)
    tensor([[1.0000, 0.0000],
            [0.5000, 0.5000]])
    """
    rows, row = torch.zeros(hops, hops), torch.zeros(hops)
    for t in range(hops):
        rate = max(1.0 / (t + 1), slowest)
        row = row * (1 - rate)
        row[t] = rate
        rows[t] = row
    return rows
