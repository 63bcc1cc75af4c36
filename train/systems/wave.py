"""Training on waveforms: any network, any losses, with an adversary or without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rtdenoise.errors import UsageError

from ..config import Recipe
from ..data.degraded import Pairs
from ..data.library import Library
from ..extras import needed
from ..losses import adversaries, features
from ..losses.wave import LOSSES, within
from ..team import Team
from .base import Batch, Number, System, half, plain_optimiser, rate_factor


class WaveSystem(System):
    """A generator, what it is scored by, and the discriminator it plays against, if any.

    Raises:
        UsageError: no loss has a weight, or a loss lacks what it needs.
    """

    def __init__(self, recipe: Recipe, team: Team, net: nn.Module) -> None:
        super().__init__(recipe, team, net)
        o = recipe.objective
        self.weights = {name: getattr(o, name) for name in LOSSES if getattr(o, name)}
        if not self.weights:
            raise UsageError(f"[objective] is empty: give a weight to one of {', '.join(LOSSES)}")
        if "stft" in self.weights:
            needed("auraloss", "train")
        self.judge: nn.Module | None = None
        if o.discriminator:
            self.judge = adversaries.make(o.discriminator, o.discriminator_width).to(self.device)
            self.real, self.made, self.deceive = adversaries.game(o.game)
            self.judge_optimiser = plain_optimiser(
                list(self.judge.parameters()), recipe.optim, o.discriminator_lr
            )
        self.heard: nn.Module | None = None
        if o.features and o.features_from != "discriminator":
            found = features.load(o.features_from, o.features_file, o.features_warmup_steps)
            self.heard = found.to(self.device)
        if (o.adversarial or o.features_from == "discriminator") and self.judge is None:
            raise UsageError("objective.adversarial needs objective.discriminator")

    def feed(self, library: Library, step: int, seed: int, few: bool = False) -> Pairs:
        """See `System.feed`."""
        r, stride = self.recipe, self.stride
        samples = round(r.data.seconds * r.data.rate_hz / stride) * stride
        kind = "music" if r.kind == "music" else "speech"
        batch = r.optim.batch
        return Pairs(library, kind, r.degradation, batch, samples, seed, self.device)

    @property
    def stride(self) -> int:
        """Excerpts are a multiple of it long."""
        return int(self.net.stride)  # type: ignore[arg-type]

    def step(self, batch: Batch, step: int, progress: float) -> dict[str, Number]:
        """See `System.step`: the discriminator's step, then the generator's."""
        degraded, wanted, bandwidth_hz = batch
        o = self.recipe.objective
        self.net.train()
        with half(self.device):
            estimate = self.net.wave(degraded).float()  # type: ignore[operator]
        rate_hz = self.recipe.data.rate_hz
        estimate, wanted = within(bandwidth_hz, rate_hz, estimate, wanted)
        losses = {name: LOSSES[name](estimate, wanted) for name in self.weights}
        total = torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum()
        if step >= o.warmup_steps:
            if self.heard is not None:
                with half(self.device):
                    losses["features"] = self.heard(estimate, wanted)
                total = total + o.features * losses["features"]
            if self.judge is not None:
                played = self._play(self.judge, estimate, wanted, degraded, step, progress)
                total = total + played.pop("total")
                losses |= played
        factor = self.descend(total, step, progress)
        # The same names in every step, whatever counts already: they are columns of log.csv.
        found = {"loss": total, **{name: torch.zeros(()) for name in self._later()}, **losses}
        shown: dict[str, Number] = {name: float(part.detach()) for name, part in found.items()}
        return shown | {"rate": factor}

    def _later(self) -> list[str]:
        """Losses that begin to count after `warmup_steps`."""
        o = self.recipe.objective
        names = ["features"] if o.features else []
        return [*names, "g", "d"] if self.judge is not None else names

    def _play(
        self,
        judge: nn.Module,
        estimate: Tensor,
        wanted: Tensor,
        degraded: Tensor,
        step: int,
        progress: float,
    ) -> dict[str, Tensor]:
        """Teach the discriminator, then ask it; `total` is the generator's weighted part."""
        o = self.recipe.objective
        fake, true, seen = estimate[:, None], wanted[:, None], degraded[:, None]
        real_scores, _ = self._verdict(judge, true, seen)
        made_scores, _ = self._verdict(judge, fake.detach(), seen)
        lesson = adversaries.mean_of(self.real, real_scores) + adversaries.mean_of(
            self.made, made_scores
        )
        factor = rate_factor(self.recipe.optim, step, progress)
        self.judge_optimiser.param_groups[0]["lr"] = o.discriminator_lr * factor
        self.judge_optimiser.zero_grad()
        lesson.backward()
        self.team.average(judge.parameters())
        nn.utils.clip_grad_norm_(judge.parameters(), self.recipe.optim.clip)
        self.judge_optimiser.step()
        judge.requires_grad_(False)
        scores, found = self._verdict(judge, fake, seen)
        deceived = adversaries.mean_of(self.deceive, scores)
        parts = {"total": o.adversarial * deceived, "g": deceived, "d": lesson}
        if o.features and o.features_from == "discriminator":
            with torch.no_grad():
                _, ideal = self._verdict(judge, true, seen)
            apart = [(a - b).abs().mean() for a, b in zip(found, ideal, strict=True)]
            parts["features"] = torch.stack(apart).mean()
            parts["total"] = parts["total"] + o.features * parts["features"]
        judge.requires_grad_(True)
        return parts

    def _verdict(self, judge: nn.Module, candidate: Tensor, seen: Tensor) -> adversaries.Verdict:
        with half(self.device):
            scores, found = judge(candidate, seen)
        return [score.float() for score in scores], [layer.float() for layer in found]

    def restore(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """See `System.restore`."""
        degraded, wanted, _ = batch
        now = {k: v.clone() for k, v in self.net.state_dict().items()}
        self.net.load_state_dict(self.average)
        self.net.eval()
        with torch.inference_mode():
            estimate = self.net.wave(degraded)  # type: ignore[operator]
        self.net.load_state_dict(now)
        return degraded, estimate, wanted

    def state(self) -> dict[str, Any]:
        """See `System.state`."""
        more: dict[str, Any] = {}
        if self.judge is not None:
            more |= {"judge": self.judge.state_dict()}
            more |= {"judge_optimiser": self.judge_optimiser.state_dict()}
        if self.heard is not None:
            more |= {"heard": self.heard.state_dict()}
        return super().state() | more

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `System.load_state`."""
        super().load_state(state)
        if self.judge is not None:
            self.judge.load_state_dict(state["judge"])
            self.judge_optimiser.load_state_dict(state["judge_optimiser"])
        if self.heard is not None:
            self.heard.load_state_dict(state["heard"])
