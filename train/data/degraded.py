"""Pairs of waveforms: recordings that a text in the language of `rtdenoise degrade` degrades.

The batch of a step depends on seed and step alone. A thread prepares the next batch while the step
runs.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from rtdenoise.degrade import parse

from ..config import Recipe
from .library import Library

RECORDED = "recorded"  # in place of a degradation: the data set has its own degraded twins
LEVEL_DB = (-24.0, 0.0)  # range of the excerpts' peaks, so that the net works at any level


class Pairs:
    """A source of batches: degraded and target (B, samples), and each row's bandwidth in Hz (B,).

    Args:
        library: Source of the excerpts.
        recipe: Settings of the run. In its degradation `noise library` draws noise from *library*;
            it may be `recorded`, for a data set of pairs.
        stride: Samples of which the length of an excerpt is a multiple.
        seed: Seed of the excerpts and of the degradations.
        device: Device of the batches.
        count: Number of pairs in a batch; None means the recipe's.
    """

    def __init__(
        self,
        library: Library,
        recipe: Recipe,
        stride: int,
        seed: int,
        device: torch.device,
        count: int | None = None,
    ) -> None:
        kind, text, data = recipe.kind, recipe.degradation, recipe.data
        library.need(kind, *(["noise"] if "noise library" in text else []))
        self.library, self.kind, self.seed, self.device = library, kind, seed, device
        self.count, self.rate_hz = count or recipe.optim.batch, library.data.rate_hz
        self.samples = round(data.seconds * data.rate_hz / stride) * stride
        self.recorded = text.strip() == RECORDED
        self.degrade = parse("" if self.recorded else text, noises={"library": self._noise})
        self._helper = ThreadPoolExecutor(1)
        self._next: tuple[int, Future[list[Tensor]]] | None = None

    def _noise(self, samples: int, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
        noise, _ = self.library.excerpts("noise", 1, samples, rng)
        return noise

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """Return the batch of *step*."""
        waiting = self._next
        made = waiting[1].result() if waiting and waiting[0] == step else self._make(step)
        self._next = step + 1, self._helper.submit(self._make, step + 1)
        return tuple(part.to(self.device) for part in made)

    def _make(self, step: int) -> list[Tensor]:
        rng = np.random.default_rng([self.seed, step])
        if self.recorded:
            pairs = self.library.pairs(self.kind, self.count, self.samples, rng)
            return [torch.from_numpy(part) for part in pairs]
        margin = round(self.library.data.margin_s * self.rate_hz)
        whole = self.samples + 2 * margin
        audio, bandwidth_hz = self.library.excerpts(self.kind, self.count, whole, rng, active=True)
        peak = np.abs(audio).max(1, keepdims=True) + 1e-6
        audio = audio * (10 ** (rng.uniform(*LEVEL_DB, (self.count, 1)) / 20) / peak)
        degraded, target = self.degrade.batch(audio.astype(np.float32), self.rate_hz, rng)
        cut = slice(margin, margin + self.samples)
        return [torch.from_numpy(p) for p in (degraded[:, cut], target[:, cut], bandwidth_hz)]
