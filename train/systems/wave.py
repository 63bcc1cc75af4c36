"""Training on pairs of waveforms, with any network and losses, optionally with an adversary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from .base import Batch, Number, System, half, numbers, plain_optimiser, rate_factor


@dataclass
class Round:
    """What the generator made of one share of a step.

    Attributes:
        degraded: Input, (B, samples).
        estimate: Output, (B, samples).
        target: What it should be, (B, samples).
        losses: Losses by name.
        total: Their weighted sum.
    """

    degraded: Tensor
    estimate: Tensor
    target: Tensor
    losses: dict[str, Tensor]
    total: Tensor

    def seen(self) -> dict[str, Tensor]:
        """Return the losses as numbers without a graph, the total first."""
        return {name: loss.detach() for name, loss in {"loss": self.total, **self.losses}.items()}


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

    def feed(
        self, library: Library, step: int, seed: int, count: int | None = None, few: bool = False
    ) -> Pairs:
        """See `System.feed`."""
        return Pairs(library, self.recipe, self.net.stride, seed, self.device, count)

    def step(self, batches: Sequence[Batch], step: int, progress: float) -> dict[str, Number]:
        """See `System.step`; the discriminator makes its step before the generator."""
        self.net.train()
        self.net.zero_grad()
        playing = self.discriminator is not None and step >= self.recipe.objective.warmup_steps
        rounds: list[Round] = []
        for batch in self.each(batches, step):
            rounds.append(self._round(batch, step))
            if not playing:
                rounds[-1].total.backward()
        if self.discriminator is not None and playing:  # it needs the estimates of all shares
            self._play(self.discriminator, rounds, step, progress)
        rows = [one.seen() for one in rounds]
        factor = self.descend([row["loss"] for row in rows], step, progress)
        # Every step has the same names, because they are columns of log.csv.
        later = {name: torch.zeros(()) for name in self._later()}
        shown = [{"loss": row["loss"], **later, **row} for row in rows]
        return dict[str, Number]({n: float(v) for n, v in numbers(shown).items()}, rate=factor)

    def _round(self, batch: Batch, step: int) -> Round:
        """Compute the losses of one share that need no adversary."""
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

    def _later(self) -> list[str]:
        """Name the losses that are used only after `warmup_steps`."""
        o = self.recipe.objective
        names = ["features"] if o.features else []
        return [*names, "g", "d"] if self.discriminator is not None else names

    def _play(
        self, discriminator: nn.Module, rounds: list[Round], step: int, progress: float
    ) -> None:
        """Make a step of the discriminator, then let the generator learn to deceive it."""
        o = self.recipe.objective
        self.discriminator_optimiser.zero_grad()
        for one in rounds:
            one.losses["d"] = self._lesson(discriminator, one)
            one.losses["d"].backward()
        factor = rate_factor(self.recipe.optim, step, progress)
        self.discriminator_optimiser.param_groups[0]["lr"] = o.discriminator_lr * factor
        self.team.average(discriminator.parameters(), self.shares)
        nn.utils.clip_grad_norm_(discriminator.parameters(), self.recipe.optim.clip)
        self.discriminator_optimiser.step()
        discriminator.requires_grad_(False)
        for one in rounds:
            self._deceive(discriminator, one)
            one.total.backward()
        discriminator.requires_grad_(True)

    def _lesson(self, discriminator: nn.Module, one: Round) -> Tensor:
        """Compute the loss of the discriminator: what it takes for real, and for made."""
        fake, true, condition = one.estimate[:, None], one.target[:, None], one.degraded[:, None]
        real_scores, _ = self._verdict(discriminator, true, condition)
        made_scores, _ = self._verdict(discriminator, fake.detach(), condition)
        return adversaries.mean_of(self.real, real_scores) + adversaries.mean_of(
            self.made, made_scores
        )

    def _deceive(self, discriminator: nn.Module, one: Round) -> None:
        """Add the losses of the generator against the discriminator."""
        o = self.recipe.objective
        fake, true, condition = one.estimate[:, None], one.target[:, None], one.degraded[:, None]
        scores, layers = self._verdict(discriminator, fake, condition)
        one.losses["g"] = adversaries.mean_of(self.deceive, scores)
        one.total = one.total + o.adversarial * one.losses["g"]
        if o.features and o.features_from == "discriminator":
            with torch.no_grad():
                _, ideal = self._verdict(discriminator, true, condition)
            apart = [(a - b).abs().mean() for a, b in zip(layers, ideal, strict=True)]
            one.losses["features"] = torch.stack(apart).mean()
            one.total = one.total + o.features * one.losses["features"]

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
