"""A net that learns to predict PESQ and ESTOI, so that a generator can be trained to raise them.

The metrics themselves have no gradient. Fu et al. (MetricGAN, 2019, arXiv:1905.04874) train a net
beside the generator to predict the metric of what the generator makes, and the generator to raise
the prediction. Estimates change while both learn, so the predictor is never left to old ones, where
the generator would find sounds that it wrongly takes for good.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from ..heard import pesq, stoi, to_16k

RATE_HZ = 48_000
SIZE, HOP = 1536, 768  # 32 and 16 ms, as PESQ has them
BINS = 256  # up to 8 kHz, where the metrics end
FAINT = 1e-7  # power below which a compressed spectrum is flat: 66 dB below a sound of RMS 1
LEAST, SPAN = 1.0, 3.64  # a wideband PESQ of 1 is a grade of 0, that of a copy, 4.64, is 1


class Grader(nn.Module):
    """Predicts the grades of a candidate from its compressed spectrum beside the reference's.

    Spectral norms keep the slope of the prediction bounded (Fu et al. 2019), because the generator
    follows it.

    Args:
        width: Number of channels of the first of four convolutions; the last has four times it.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        sizes = [2, width, 2 * width, 3 * width, 4 * width]
        self.convs = nn.ModuleList(
            spectral_norm(nn.Conv2d(i, o, 5, 2, 2)) for i, o in pairwise(sizes)
        )
        self.hidden = spectral_norm(nn.Linear(sizes[-1], sizes[-1]))
        self.last = nn.Linear(sizes[-1], 2)

    def forward(self, candidate: Tensor, reference: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the grades [(B, 2)] of *candidate* (B, 1, n), and the activations."""
        window = torch.hann_window(SIZE, device=candidate.device)
        sides = torch.cat([candidate, reference], 1).flatten(0, 1)
        spectrum = torch.stft(sides, SIZE, HOP, window=window, normalized=True, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        y = (power[:, :BINS] + FAINT).pow(0.15).unflatten(0, (-1, 2))
        features = []
        for conv in self.convs:
            y = functional.leaky_relu(conv(y), 0.3)
            features.append(y)
        y = functional.leaky_relu(self.hidden(y.mean((2, 3))), 0.3)
        return [self.last(y)], features


class Examiner:
    """Computes what a `Grader` should predict.

    Args:
        processes: How many of them compute: a pair of 2 s takes a core about 50 ms. 0 means this
            one.
    """

    def __init__(self, processes: int = 0) -> None:
        spawn = multiprocessing.get_context("spawn")  # a forked child of torch may hang
        self._pool = ProcessPoolExecutor(processes, spawn) if processes else None

    def __call__(
        self, estimate: NDArray[np.float32], reference: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Compute the grades of *estimate* (B, n) at 48 kHz.

        Returns:
            Wideband PESQ brought to 0..1, and ESTOI, (B, 2); NaN for both where one has no value.
        """
        rows = (self._pool.map if self._pool else map)(_graded, estimate, reference)
        return np.array(list(rows), np.float32).reshape(-1, 2)


def _graded(estimate: NDArray[np.float32], reference: NDArray[np.float32]) -> tuple[float, float]:
    """Grade one pair (n,)."""
    e, r = (to_16k(x.astype(np.float64), RATE_HZ) for x in (estimate, reference))
    scores = pesq(e, r, ["pesq_wb"]) | stoi(e, r, ["estoi"])
    if np.isnan(list(scores.values())).any():
        return np.nan, np.nan
    return (scores["pesq_wb"] - LEAST) / SPAN, max(scores["estoi"], 0.0)
