"""Training on pairs of waveforms, with any network and losses, optionally with an adversary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rtdenoise.errors import UsageError

from ..config import Recipe
from ..data.degraded import Pairs
from ..data.library import Library
from ..losses import features
from ..losses.wave import LOSSES, check, within
from ..networks.protocol import TrainableOnWaves
from ..team import Team
from .base import Batch, half
from .game import PlayingSystem, Round


class WaveSystem(PlayingSystem):
    """A system that trains a generator on waveforms, with a discriminator if the recipe has one.

    Args:
        recipe: Settings of the run.
        team: The processes that train together.
        net: The generator.

    Raises:
        UsageError: the recipe has no degradation or no weight of a loss, or a loss lacks a package,
            a file of weights or the discriminator.
    """

    net: TrainableOnWaves

    def __init__(self, recipe: Recipe, team: Team, net: TrainableOnWaves) -> None:
        super().__init__(recipe, team, net)
        if not recipe.degradation:
            raise UsageError(
                "training on waves needs a degradation: say what to undo, as in "
                'degradation = "lowpass 2500..8000"'
            )
        o = recipe.objective
        self.weights = {name: getattr(o, name) for name in LOSSES if getattr(o, name)}
        if not self.weights:
            raise UsageError(f"[objective] is empty: give a weight to one of {', '.join(LOSSES)}")
        check(self.weights)
        self.feature_loss: nn.Module | None = None
        if o.features and o.features_from != "discriminator":
            loss = features.load(o.features_from, o.features_file, o.features_warmup_steps)
            self.feature_loss = loss.to(self.device)

    def feed(
        self, library: Library, step: int, seed: int, count: int | None = None, few: bool = False
    ) -> Pairs:
        """See `System.feed`."""
        return Pairs(library, self.recipe, self.net.stride, seed, self.device, count)

    def round(self, batch: Batch, step: int) -> Round:
        """See `PlayingSystem.round`."""
        degraded, target, bandwidth_hz = batch
        o = self.recipe.objective
        with half(self.device):
            estimate = self.net.wave(degraded).float()
        rate_hz = self.recipe.data.rate_hz
        estimate, target = within(bandwidth_hz, rate_hz, estimate, target)
        losses = {name: LOSSES[name](estimate, target) for name in self.weights}
        total = torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum()
        if step >= o.warmup_steps and self.feature_loss is not None:
            with half(self.device):
                losses["features"] = self.feature_loss(estimate, target)
            total = total + o.features * losses["features"]
        return Round(degraded, estimate, target, losses, total)

    def restore(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """See `System.restore`."""
        degraded, target, _ = batch
        with self.averaged(), torch.inference_mode():
            self.net.eval()
            estimate = self.net.wave(degraded)
        return degraded, estimate, target

    def state(self) -> dict[str, Any]:
        """See `System.state`."""
        heard = self.feature_loss  # its name in checkpoints
        return super().state() | ({"heard": heard.state_dict()} if heard is not None else {})

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `System.load_state`."""
        super().load_state(state)
        if self.feature_loss is not None:
            self.feature_loss.load_state_dict(state["heard"])
