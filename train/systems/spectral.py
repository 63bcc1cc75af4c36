"""Training on spectra that are mixed anew in every step, see data/mixing.py and data/scenes.py.

It trains on 150 s of sound a second on two cores, because no waveform is synthesised and the
recurrent net processes whole excerpts at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from .base import Batch, Feed, Number, System


class SpectralSystem(System):
    """A system that trains a net on spectra.

    Args:
        recipe: Settings of the run.
        team: The processes that train together.
        net: The generator.
    """

    net: TrainableOnSpectra

    def __init__(self, recipe: Recipe, team: Team, net: TrainableOnSpectra) -> None:
        super().__init__(recipe, team, net)
        self.framing = Framing(net.window, net.hop, net.rate_hz)
        self.restoration = Restoration(recipe.loss, self.framing).to(self.device)
        quick: Callable[[Any], Any] = torch.compile if recipe.run.compile else lambda f: f
        self._means: Tensor | None = None
        self._features, self._outcome = quick(net.see), quick(self._score)

    def feed(
        self, library: Library, step: int, seed: int, count: int | None = None, few: bool = False
    ) -> Feed:
        """Make a source of examples, see `System.feed`; *few* keeps the pool small."""
        batch = count or self.recipe.optim.batch
        if self.recipe.scenes.on:
            return Scenes(library, self.recipe, self.framing, batch, seed, self.device)
        # The pool is cut like the batch, so that all shares together take the same memory.
        slots = batch if few else max(batch, self.recipe.run.pool // self.shares)
        what = self.recipe.degrade, self.framing, slots, batch, seed, step, self.device
        return Pool(library, *what, self.recipe.kind)

    def _score(
        self, x: Tensor, y: Tensor, mask: Tensor, gains: Tensor, filters: Tensor
    ) -> dict[str, Tensor]:
        estimate = self.net.restore(x[:, 0], x[:, 1], gains, filters)
        parts: dict[str, Tensor] = self.restoration(estimate, (y[:, 0], y[:, 1]), mask)
        return parts

    def _decide(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self._means is None or len(self._means) != x.shape[2]:
            self._means = running_mean_matrix(x.shape[2], self.net.slowest).to(self.device)
        means = self._means
        with torch.no_grad():
            features = self._features(x[:, 0].contiguous(), x[:, 1].contiguous(), means)
        # Only the matrix products run in bfloat16: spectra need float32's range and digits.
        with torch.autocast(self.device.type, torch.bfloat16):
            return self.net.decide_all(features)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the total, named "loss", and the parts of the loss of a batch."""
        x, y, bandwidth_hz = (part.to(self.device) for part in batch)
        gains, filters = self._decide(x)
        parts: dict[str, Tensor] = self._outcome(
            x, y, band_mask(bandwidth_hz, self.framing), gains, filters
        )
        return parts

    def step(self, batches: Sequence[Batch], step: int, progress: float) -> dict[str, Number]:
        """See `System.step`."""
        return self.learn(self.loss, batches, step, progress)

    def unseen_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the losses of a batch with the averaged weights, without compiled functions."""
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
        degraded, restored, target = (sound(side, self.framing) for side in sides)
        return degraded, restored, target
