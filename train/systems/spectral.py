"""Training on spectra that are mixed anew every step (see data/mixing.py).

150 times real time on two cores: no sound is ever synthesised, and the recurrent net runs whole
excerpts at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..config import Recipe
from ..data.library import Library
from ..data.mixing import Pool, band_mask
from ..data.scenes import Scenes
from ..losses.spectral import Restoration
from ..networks.protocol import TrainableOnSpectra
from ..spectra import Framing, running_mean_matrix, sound
from ..team import Team
from .base import Batch, Feed, Number, System, seen


class SpectralSystem(System):
    """A net that hears spectra, and the losses on spectra that it learns from."""

    net: TrainableOnSpectra

    def __init__(self, recipe: Recipe, team: Team, net: TrainableOnSpectra) -> None:
        super().__init__(recipe, team, net)
        self.framing = Framing(net.window, net.hop, net.rate_hz)
        self.restoration = Restoration(recipe.loss, self.framing).to(self.device)
        quick: Callable[[Any], Any] = torch.compile if recipe.run.compile else lambda f: f
        self._means: Tensor | None = None
        self._features, self._outcome = quick(net.see), quick(self._score)

    def feed(self, library: Library, step: int, seed: int, few: bool = False) -> Feed:
        """See `System.feed`."""
        batch = self.recipe.optim.batch
        if self.recipe.scenes.on:
            return Scenes(library, self.recipe, self.framing, batch, seed, self.device)
        slots = batch if few else self.recipe.run.pool
        settings = self.recipe.degrade
        return Pool(library, settings, self.framing, slots, batch, seed, step, self.device)

    def _score(
        self, x: Tensor, y: Tensor, known: Tensor, gains: Tensor, filters: Tensor
    ) -> dict[str, Tensor]:
        estimate = self.net.restore(x[:, 0], x[:, 1], gains, filters)
        parts: dict[str, Tensor] = self.restoration(estimate, (y[:, 0], y[:, 1]), known)
        return parts

    def _decide(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self._means is None or len(self._means) != x.shape[2]:
            self._means = running_mean_matrix(x.shape[2], self.net.slowest).to(self.device)
        means = self._means
        with torch.no_grad():
            features = self._features(x[:, 0].contiguous(), x[:, 1].contiguous(), means)
        # bfloat16 for the matrix products alone: spectra need the range and the digits.
        with torch.autocast(self.device.type, torch.bfloat16):
            return self.net.decide_all(features)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Total ("loss") of a batch, and its parts."""
        x, y, bandwidth_hz = (part.to(self.device) for part in batch)
        gains, filters = self._decide(x)
        parts: dict[str, Tensor] = self._outcome(
            x, y, band_mask(bandwidth_hz, self.framing), gains, filters
        )
        return parts

    def step(self, batch: Batch, step: int, progress: float) -> dict[str, Number]:
        """See `System.step`."""
        parts = self.loss(batch)
        factor = self.descend(parts["loss"], step, progress)
        found = {name: seen(part.detach()) for name, part in parts.items()}
        return found | {"rate": factor}

    def unseen_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of a batch by the averaged weights, nothing compiled."""
        x, y, bandwidth_hz = (part.to(self.device) for part in batch)
        with torch.no_grad(), self.averaged():
            gains, filters = self._decide(x)
            return self._score(x, y, band_mask(bandwidth_hz, self.framing), gains, filters)

    def restore(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """See `System.restore`."""
        x, y, _ = (part.to(self.device) for part in batch)
        with torch.no_grad(), self.averaged():
            re, im = self.net.restore(x[:, 0], x[:, 1], *self._decide(x))
        sides = (x, torch.stack([re, im], 1), y)
        degraded, restored, wanted = (sound(side, self.framing) for side in sides)
        return degraded, restored, wanted
