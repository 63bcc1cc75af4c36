"""Training of `extension`: where the band ends, and the energies above it.

Both are regressions on the spectra of a pair of waveforms, which `degradation` or [narrow] makes,
so no sound has to be made: a step costs a fifth of one on waves. An adversary can then refine the
model, by training on waves.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..config import Recipe
from ..data.degraded import Pairs
from ..data.library import Library
from ..data.mixing import band_mask
from ..data.narrow import Narrowed
from ..networks.extension import Extension
from ..networks.spectral import FRAMING
from ..spectra import spectra
from ..team import Team
from .base import Batch, Feed, Number, System

APART = 8  # windows between two in which the end of the band is learnt: it moves slowly
FAINT = 1e-7  # power of the target, about -100 dBFS, below which nothing is missing
EDGE_WEIGHT = 10.0
FULL_HZ = 19_000  # a recording whose band reaches this teaches the energies of all bands
HALF = 0.5  # share of a bin's amplitude from which it counts as missing


class ExtensionSystem(System):
    """A system that trains `extension` to find the end of the band and the energies above it.

    Args:
        recipe: Settings of the run, with a degradation that limits the band.
        team: The processes that train together.
        net: The generator.
    """

    net: Extension

    def __init__(self, recipe: Recipe, team: Team, net: Extension) -> None:
        super().__init__(recipe, team, net)

    def feed(
        self, library: Library, step: int, seed: int, count: int | None = None, few: bool = False
    ) -> Feed:
        """See `System.feed`."""
        if self.recipe.narrow.on:
            batch = count or self.recipe.optim.batch
            return Narrowed(library, self.recipe, FRAMING, batch, seed, self.device)
        return Pairs(library, self.recipe, self.net.stride, seed, self.device, count)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the total, named "loss", and the parts of the loss of a batch.

        `edge` is the squared difference of `missing` from 1 - |H|, where |H| is what is left of
        the target in each bin; `energy` is the absolute difference of log10 energies, in the bands
        that the target has and the input has not.
        """
        x, y, bandwidth_hz = (part.to(self.device) for part in batch)
        net = self.net
        both = spectra(torch.cat([x, y]), FRAMING)
        power = both.square().sum(1)
        px, py = power[: len(x)], power[len(x) :]
        # Little is above the band of a full one, and that is to be learnt as well.
        whole_hz = torch.where(bandwidth_hz < FULL_HZ, bandwidth_hz, FRAMING.rate_hz / 2)
        keep = band_mask(whole_hz, FRAMING)
        energy, means, powers = net.see(both[: len(x), 0], both[: len(x), 1])
        level = net.level(means)
        apart = slice(APART - 1, None, APART)
        few = net.missing(powers[:, apart], level[:, apart])
        left = px.mean(1, keepdim=True) / (py.mean(1, keepdim=True) + 1e-9)
        gone = (1 - left.clamp(0.0, 1.0).sqrt()) * (py.mean(1, keepdim=True) > FAINT)
        edge = ((few - gone).square() * keep).mean()
        last = (torch.arange(1, px.shape[1] + 1, device=px.device) // APART - 1).clamp(min=0)
        missing = few.detach()[:, last.clamp(max=few.shape[1] - 1)]
        raw = net.decide_all(net.features(energy, means, missing)).float()
        wanted = net.energies(py)
        weight = ((gone > HALF) * keep) @ net.to_bands
        off = (raw + level - wanted).abs() * weight
        energies = off.sum() / (weight.sum() * px.shape[1] + 1e-6)
        return {"loss": energies + EDGE_WEIGHT * edge, "energy": energies, "edge": edge}

    def step(self, batches: Sequence[Batch], step: int, progress: float) -> dict[str, Number]:
        """See `System.step`."""
        return self.learn(self.loss, batches, step, progress)

    def restore(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """See `System.restore`."""
        degraded, target, _ = batch
        with self.averaged(), torch.inference_mode():
            return degraded, self.net.wave(degraded), target
