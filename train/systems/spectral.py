"""Training on spectra that are mixed anew in every step, see data/mixing.py and data/scenes.py.

It trains on 150 s of sound a second on two cores, because no waveform is synthesised and the
recurrent net processes whole excerpts at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rtdenoise.errors import UsageError

from ..config import Recipe
from ..data.library import Library
from ..data.mixing import Pool, band_mask
from ..data.scenes import Scenes
from ..losses.spectral import Restoration
from ..losses.wave import SILENT
from ..networks.protocol import TrainableOnSpectra
from ..spectra import Framing, running_mean_matrix, sound
from ..team import Team
from .base import Batch, Feed
from .game import PlayingSystem, Round

FLOOR = 1e-3  # RMS below which a target is not amplified further: -60 dBFS


class SpectralSystem(PlayingSystem):
    """A system that trains a net on spectra, with a discriminator if the recipe has one.

    Args:
        recipe: Settings of the run.
        team: The processes that train together.
        net: The generator.

    Raises:
        UsageError: the features to compare are not the discriminator's, or see `PlayingSystem`.
    """

    net: TrainableOnSpectra

    def __init__(self, recipe: Recipe, team: Team, net: TrainableOnSpectra) -> None:
        super().__init__(recipe, team, net)
        o = recipe.objective
        if (o.features or o.features_from) and o.features_from != "discriminator":
            raise UsageError(
                f"objective.features_from = {o.features_from!r}: training on spectra compares the "
                "features of the discriminator only; known: discriminator"
            )
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
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Compute the losses, and the spectra (B, 2, T, bins) to play with if there is a game."""
        estimate = self.net.restore(x[:, 0], x[:, 1], gains, filters)
        parts: dict[str, Tensor] = self.restoration(estimate, (y[:, 0], y[:, 1]), mask)
        return parts, torch.stack(estimate, 1) if self.game is not None else None

    def _decide(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self._means is None or len(self._means) != x.shape[2]:
            self._means = running_mean_matrix(x.shape[2], self.net.slowest).to(self.device)
        means = self._means
        with torch.no_grad():
            features = self._features(x[:, 0].contiguous(), x[:, 1].contiguous(), means)
        # Only the matrix products run in bfloat16: spectra need float32's range and digits.
        with torch.autocast(self.device.type, torch.bfloat16):
            return self.net.decide_all(features)

    def round(self, batch: Batch, step: int) -> Round:
        """See `PlayingSystem.round`."""
        x, y, bandwidth_hz = (part.to(self.device) for part in batch)
        mask = band_mask(bandwidth_hz, self.framing)
        parts, estimate = self._outcome(x, y, mask, *self._decide(x))
        total = parts.pop("loss")
        if estimate is None:  # nobody plays
            return Round(x, x, y, parts, total)
        degraded, estimate, target = self._candidates(x, estimate, y, mask)
        return Round(degraded, estimate, target, parts, total)

    def _candidates(
        self, degraded: Tensor, estimate: Tensor, target: Tensor, mask: Tensor
    ) -> list[Tensor]:
        """Return the waveforms of the masked spectra at the level of the target, (B, samples).

        The level is that of the whole excerpt, so that noise in a pause is judged relative to the
        voice. Excerpts without a voice are silenced in all three: nothing is learnt from them.
        """
        sounds = [
            sound(side * mask[:, None], self.framing) for side in (degraded, estimate, target)
        ]
        power = sounds[2].square().mean(1, keepdim=True)
        gain = (power > SILENT) / power.sqrt().clamp(min=FLOOR)
        return [side * gain for side in sounds]

    def unseen_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the losses of a batch with the averaged weights, without compiled functions."""
        x, y, bandwidth_hz = (part.to(self.device) for part in batch)
        with torch.no_grad(), self.averaged():
            gains, filters = self._decide(x)
            return self._score(x, y, band_mask(bandwidth_hz, self.framing), gains, filters)[0]

    def restore(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """See `System.restore`."""
        x, y, _ = (part.to(self.device) for part in batch)
        with torch.no_grad(), self.averaged():
            re, im = self.net.restore(x[:, 0], x[:, 1], *self._decide(x))
        sides = (x, torch.stack([re, im], 1), y)
        degraded, restored, target = (sound(side, self.framing) for side in sides)
        return degraded, restored, target
