"""The game of a generator against a discriminator, and the systems that may play it.

Before `objective.warmup_steps` nobody plays. In the `head_start_steps` after them the discriminator
learns, while the generator does not hear it: a new discriminator would only harm a good generator.
Then both play.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rtdenoise.errors import UsageError

from ..config import Recipe
from ..losses import adversaries, learned
from ..networks.protocol import Trainable
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


class Game:
    """A discriminator with its optimiser, and the losses of both sides.

    Args:
        recipe: Settings of the run.
        team: The processes that train together.

    Raises:
        UsageError: the discriminator or the rules of the game are unknown.
    """

    def __init__(self, recipe: Recipe, team: Team) -> None:
        o = self.objective = recipe.objective
        self.recipe, self.team = recipe, team
        opponent = adversaries.make(o.discriminator, o.discriminator_width)
        self.discriminator: nn.Module = opponent.to(team.device)
        self.real, self.made, self.deceive = adversaries.game(o.game)
        self.optimiser = plain_optimiser(
            list(self.discriminator.parameters()), recipe.optim, o.discriminator_lr
        )

    def play(self, rounds: Sequence[Round], shares: int, step: int, progress: float) -> None:
        """Make a step of the discriminator, then let the generator learn to deceive it.

        Args:
            rounds: Shares of this process; they get their losses and make their gradients.
            shares: Number of shares of all processes.
            step: Number of the step.
            progress: Share of the run's time that is over.

        Raises:
            FloatingPointError: a loss or gradient of the discriminator is not finite, on a CPU.
        """
        o, optim = self.objective, self.recipe.optim
        parts = [self._part(one, step) for one in rounds]
        self.optimiser.zero_grad()
        for one, part in zip(rounds, parts, strict=True):
            one.losses["d"] = self._lesson(*part)
            one.losses["d"].backward()
        self.team.average(self.discriminator.parameters(), shares)
        norm = nn.utils.clip_grad_norm_(self.discriminator.parameters(), optim.clip)
        self._check_finite([one.losses["d"].detach() for one in rounds], norm, step)
        factor = rate_factor(optim, step, progress)
        self.optimiser.param_groups[0]["lr"] = o.discriminator_lr * factor
        self.optimiser.step()
        heard = step >= o.warmup_steps + o.head_start_steps
        self.discriminator.requires_grad_(False)
        for one, part in zip(rounds, parts, strict=True):
            if heard:
                self._deceive(one, *part)
            one.total.backward()
        self.discriminator.requires_grad_(True)

    def _part(self, one: Round, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Cut what plays out of estimate, target and condition, each (rows, 1, samples).

        The place depends on seed and step alone, so that it is the same in all shares.
        """
        o, (count, whole) = self.objective, one.estimate.shape
        rows = ceil(o.play_share * count)
        samples = min(whole, round(o.play_s * self.recipe.data.rate_hz) or whole)
        rng = np.random.default_rng([self.recipe.run.seed, step, 3])
        first = int(rng.integers(whole - samples + 1))
        fake, true, condition = (
            sound[:rows, None, first : first + samples]
            for sound in (one.estimate, one.target, one.degraded)
        )
        return fake, true, condition

    def _lesson(self, fake: Tensor, true: Tensor, condition: Tensor) -> Tensor:
        """Compute the loss of the discriminator: what it takes for real, and for made."""
        real_scores, _ = self._verdict(true, condition)
        made_scores, _ = self._verdict(fake.detach(), condition)
        return adversaries.mean_of(self.real, real_scores) + adversaries.mean_of(
            self.made, made_scores
        )

    def _deceive(self, one: Round, fake: Tensor, true: Tensor, condition: Tensor) -> None:
        """Add the losses of the generator against the discriminator."""
        o = self.objective
        scores, layers = self._verdict(fake, condition)
        one.losses["g"] = adversaries.mean_of(self.deceive, scores)
        one.total = one.total + o.adversarial * one.losses["g"]
        if o.features and o.features_from == "discriminator":
            with torch.no_grad():
                _, ideal = self._verdict(true, condition)
            both = zip(layers, ideal, strict=True)
            apart = [(a.float() - b.float()).abs().mean() for a, b in both]
            one.losses["features"] = torch.stack(apart).mean()
            one.total = one.total + o.features * one.losses["features"]

    def _verdict(self, candidate: Tensor, condition: Tensor) -> adversaries.Verdict:
        with half(self.team.device):
            scores, layers = self.discriminator(candidate, condition)
        return [score.float() for score in scores], layers

    def _check_finite(self, losses: list[Tensor], norm: Tensor, step: int) -> None:
        """Refuse a loss that is not finite; on a GPU its gradient is zeroed.

        The generator's loss is then not finite either, so the generator's system counts it.
        """
        if self.team.device.type == "cpu":
            values = [float(value) for value in (*losses, norm)]
            if not np.isfinite(values).all():
                told = ", ".join(f"{value:g}" for value in values[:-1])
                raise FloatingPointError(
                    f"discriminator: loss {told}, gradient {values[-1]:g} at step {step}"
                )
            return
        for p in self.discriminator.parameters():
            if p.grad is not None:
                p.grad.nan_to_num_(0.0, 0.0, 0.0)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint stores; it calls the discriminator "judge"."""
        return {
            "judge": self.discriminator.state_dict(),
            "judge_optimiser": self.optimiser.state_dict(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
        self.discriminator.load_state_dict(state["judge"])
        self.optimiser.load_state_dict(state["judge_optimiser"])


class MetricGame(Game):
    """A game whose discriminator predicts metrics of the estimate; see losses/learned.py."""

    def __init__(self, recipe: Recipe, team: Team) -> None:
        super().__init__(recipe, team)
        self.examine = learned.Examiner(recipe.objective.examiners)

    def _part(self, one: Round, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """See `Game._part`; the condition is the target, since a metric compares with it."""
        fake, true, _ = super()._part(one, step)
        return fake, true, true

    def _lesson(self, fake: Tensor, true: Tensor, condition: Tensor) -> Tensor:
        """Compute how far the predictions are off, where the metrics have a value."""
        sides = [side.detach()[:, 0].float().cpu().numpy() for side in (fake, true)]
        known = torch.from_numpy(self.examine(*sides)).to(fake.device)
        counts = known.isfinite()
        [real], _ = self._verdict(true, condition)
        [made], _ = self._verdict(fake.detach(), condition)
        off = (real - 1).square() + (made - known.nan_to_num()).square()
        return (off * counts).sum() / counts.sum().clamp(min=1)


def begin(recipe: Recipe, team: Team) -> Game:
    """Make the game of a recipe that has a discriminator; `Game` says what it raises.

    Raises:
        UsageError: only one of discriminator and rules is `metric`, or the rate is not its rate.
    """
    o, rate_hz = recipe.objective, recipe.data.rate_hz
    if (o.discriminator == "metric") != (o.game == "metric"):
        raise UsageError(
            f"objective.discriminator = {o.discriminator!r}, game = {o.game!r}: wanted metric for "
            "both or for neither, because only that discriminator predicts a metric"
        )
    if o.game == "metric" and rate_hz != learned.RATE_HZ:
        raise UsageError(
            f"objective.game = 'metric' needs sound at {learned.RATE_HZ} Hz, not {rate_hz}"
        )
    return MetricGame(recipe, team) if o.game == "metric" else Game(recipe, team)


class PlayingSystem(System):
    """A system whose generator plays against a discriminator, if the recipe has one.

    Args:
        recipe: Settings of the run.
        team: The processes that train together.
        net: The generator.

    Raises:
        UsageError: the discriminator or the game is unknown or missing, or too little plays.
    """

    def __init__(self, recipe: Recipe, team: Team, net: Trainable) -> None:
        super().__init__(recipe, team, net)
        o = recipe.objective
        if not (0 < o.play_share <= 1 and o.play_s >= 0):
            raise UsageError(
                f"objective.play_share = {o.play_share:g}, play_s = {o.play_s:g}: wanted a share "
                "above 0 and up to 1, and seconds from 0 (whole excerpts) on"
            )
        self.game = begin(recipe, team) if o.discriminator else None
        if (o.adversarial or o.features_from == "discriminator") and self.game is None:
            raise UsageError("objective.adversarial needs objective.discriminator")

    @abstractmethod
    def round(self, batch: Batch, step: int) -> Round:
        """Compute the losses of one share that need no adversary."""

    def step(self, batches: Sequence[Batch], step: int, progress: float) -> dict[str, Number]:
        """See `System.step`; the discriminator makes its step before the generator."""
        self.net.train()
        self.net.zero_grad()
        playing = self.game is not None and step >= self.recipe.objective.warmup_steps
        rounds: list[Round] = []
        for batch in self.each(batches, step):
            rounds.append(self.round(batch, step))
            if not playing:
                rounds[-1].total.backward()
        if self.game is not None and playing:  # it needs the estimates of all shares
            self.game.play(rounds, self.shares, step, progress)
        rows = [one.seen() for one in rounds]
        factor = self.descend([row["loss"] for row in rows], step, progress)
        # Every step has the same names, because they are columns of log.csv.
        later = {name: torch.zeros((), device=self.device) for name in self._later()}
        shown = [{"loss": row["loss"], **later, **row} for row in rows]
        return numbers(shown) | {"rate": factor}

    def _later(self) -> list[str]:
        """Name the losses that are used only after `warmup_steps`."""
        names = ["features"] if self.recipe.objective.features else []
        return [*names, "g", "d"] if self.game is not None else names

    def state(self) -> dict[str, Any]:
        """See `System.state`."""
        return super().state() | (self.game.state() if self.game is not None else {})

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `System.load_state`."""
        super().load_state(state)
        if self.game is not None:
            self.game.load_state(state)
