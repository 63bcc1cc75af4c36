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
from ..losses import adversaries, features
from ..losses.wave import LOSSES, check, within
from ..networks.protocol import TrainableOnWaves
from ..team import Team
from .base import Batch, Number, System, half, plain_optimiser, rate_factor


class WaveSystem(System):
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
        self.discriminator: nn.Module | None = None
        if o.discriminator:
            opponent = adversaries.make(o.discriminator, o.discriminator_width)
            self.discriminator = opponent.to(self.device)
            self.real, self.made, self.deceive = adversaries.game(o.game)
            self.discriminator_optimiser = plain_optimiser(
                list(self.discriminator.parameters()), recipe.optim, o.discriminator_lr
            )
        self.feature_loss: nn.Module | None = None
        if o.features and o.features_from != "discriminator":
            loss = features.load(o.features_from, o.features_file, o.features_warmup_steps)
            self.feature_loss = loss.to(self.device)
        if (o.adversarial or o.features_from == "discriminator") and self.discriminator is None:
            raise UsageError("objective.adversarial needs objective.discriminator")

    def feed(self, library: Library, step: int, seed: int, few: bool = False) -> Pairs:
        """See `System.feed`."""
        return Pairs(library, self.recipe, self.net.stride, seed, self.device)

    def step(self, batch: Batch, step: int, progress: float) -> dict[str, Number]:
        """See `System.step`; the discriminator makes its step before the generator."""
        degraded, target, bandwidth_hz = batch
        o = self.recipe.objective
        self.net.train()
        with half(self.device):
            estimate = self.net.wave(degraded).float()
        rate_hz = self.recipe.data.rate_hz
        estimate, target = within(bandwidth_hz, rate_hz, estimate, target)
        losses = {name: LOSSES[name](estimate, target) for name in self.weights}
        total = torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum()
        if step >= o.warmup_steps:
            if self.feature_loss is not None:
                with half(self.device):
                    losses["features"] = self.feature_loss(estimate, target)
                total = total + o.features * losses["features"]
            if self.discriminator is not None:
                played = self._play(self.discriminator, estimate, target, degraded, step, progress)
                total = total + played.pop("total")
                losses |= played
        factor = self.descend(total, step, progress)
        # Every step has the same names, because they are columns of log.csv.
        columns = {"loss": total, **{name: torch.zeros(()) for name in self._later()}, **losses}
        shown: dict[str, Number] = {name: float(part.detach()) for name, part in columns.items()}
        return shown | {"rate": factor}

    def _later(self) -> list[str]:
        """Name the losses that are used only after `warmup_steps`."""
        o = self.recipe.objective
        names = ["features"] if o.features else []
        return [*names, "g", "d"] if self.discriminator is not None else names

    def _play(
        self,
        discriminator: nn.Module,
        estimate: Tensor,
        target: Tensor,
        degraded: Tensor,
        step: int,
        progress: float,
    ) -> dict[str, Tensor]:
        """Make a step of the discriminator, then compute the generator's losses against it.

        Returns:
            Losses by name; `total` is the weighted sum of the generator's.
        """
        o = self.recipe.objective
        fake, true, condition = estimate[:, None], target[:, None], degraded[:, None]
        real_scores, _ = self._verdict(discriminator, true, condition)
        made_scores, _ = self._verdict(discriminator, fake.detach(), condition)
        lesson = adversaries.mean_of(self.real, real_scores) + adversaries.mean_of(
            self.made, made_scores
        )
        factor = rate_factor(self.recipe.optim, step, progress)
        self.discriminator_optimiser.param_groups[0]["lr"] = o.discriminator_lr * factor
        self.discriminator_optimiser.zero_grad()
        lesson.backward()
        self.team.average(discriminator.parameters())
        nn.utils.clip_grad_norm_(discriminator.parameters(), self.recipe.optim.clip)
        self.discriminator_optimiser.step()
        discriminator.requires_grad_(False)
        scores, layers = self._verdict(discriminator, fake, condition)
        deceived = adversaries.mean_of(self.deceive, scores)
        parts = {"total": o.adversarial * deceived, "g": deceived, "d": lesson}
        if o.features and o.features_from == "discriminator":
            with torch.no_grad():
                _, ideal = self._verdict(discriminator, true, condition)
            apart = [(a - b).abs().mean() for a, b in zip(layers, ideal, strict=True)]
            parts["features"] = torch.stack(apart).mean()
            parts["total"] = parts["total"] + o.features * parts["features"]
        discriminator.requires_grad_(True)
        return parts

    def _verdict(
        self, discriminator: nn.Module, candidate: Tensor, condition: Tensor
    ) -> adversaries.Verdict:
        with half(self.device):
            scores, layers = discriminator(candidate, condition)
        return [score.float() for score in scores], [layer.float() for layer in layers]

    def restore(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """See `System.restore`."""
        degraded, target, _ = batch
        with self.averaged(), torch.inference_mode():
            self.net.eval()
            estimate = self.net.wave(degraded)
        return degraded, estimate, target

    def state(self) -> dict[str, Any]:
        """See `System.state`."""
        more: dict[str, Any] = {}  # checkpoints call the discriminator "judge", features "heard"
        if self.discriminator is not None:
            more |= {"judge": self.discriminator.state_dict()}
            more |= {"judge_optimiser": self.discriminator_optimiser.state_dict()}
        if self.feature_loss is not None:
            more |= {"heard": self.feature_loss.state_dict()}
        return super().state() | more

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `System.load_state`."""
        super().load_state(state)
        if self.discriminator is not None:
            self.discriminator.load_state_dict(state["judge"])
            self.discriminator_optimiser.load_state_dict(state["judge_optimiser"])
        if self.feature_loss is not None:
            self.feature_loss.load_state_dict(state["heard"])
