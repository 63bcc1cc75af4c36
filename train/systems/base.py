"""What every kind of training shares: optimisers, schedule, running average, the NaN guard.

A `System` is the nets of one recipe and what one step does to them. `spectral` mixes and
learns on spectra, `wave` learns from pairs of waveforms, with adversary and features or
without. The loop knows only what stands here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rtdenoise.errors import UsageError

from ..config import Optim, Recipe
from ..data.library import Library
from ..networks.protocol import Module, Trainable
from ..team import Team

Batch = tuple[Tensor, ...]
Number = float | Tensor  # of one element, left on a GPU: to look at it would be to wait for it
UNSOUND = 50  # steps in a row that are not numbers, after which a run on a GPU gives up


def seen(value: Tensor) -> Number:
    """A number where it costs nothing; on a GPU the tensor, to be looked at later."""
    return float(value) if value.device.type == "cpu" else value


class Feed(Protocol):
    """A source of examples, which depend on seed, step and process alone."""

    def batch(self, step: int) -> Batch:
        """The examples of *step*; steps come in order."""
        ...


class System(ABC):
    """Nets, their optimisers and the running average of the generator.

    Args:
        recipe: Settings.
        team: The processes; its device is where everything lives.
    """

    net: Trainable

    def __init__(self, recipe: Recipe, team: Team, net: Trainable) -> None:
        self.recipe, self.team, self.device = recipe, team, team.device
        self.net = net.to(self.device)
        self.average = {k: v.detach().clone() for k, v in self.net.state_dict().items()}
        maps = self.net.side_by_side()
        self.folded, self.optimisers = optimisers(self.net, recipe.optim, maps)
        self.peaks = [o.param_groups[0]["lr"] for o in self.optimisers]
        self._unsound = torch.zeros((), dtype=torch.int64, device=self.device)

    @abstractmethod
    def feed(self, library: Library, step: int, seed: int, few: bool = False) -> Feed:
        """Examples from *library*, the first for *step*; *few*: for one batch, not for a run."""

    @abstractmethod
    def step(self, batch: Batch, step: int, progress: float) -> dict[str, Number]:
        """One step; *progress* 0..1 is the share of the run's time that is over.

        Returns:
            Losses by name, the total first.

        Raises:
            FloatingPointError: a loss or a gradient is not a number.
        """

    def unseen_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a batch by the averaged weights, for `run.unseen_s`.

        Raises:
            UsageError: this kind of training has no such look.
        """
        raise UsageError("run.unseen_s is for training on spectra; set it to 0")

    @abstractmethod
    def restore(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Degraded, restored and wanted waveforms (B, samples), by the averaged weights."""

    def descend(self, loss: Tensor, step: int, progress: float) -> float:
        """Gradient of *loss* and a step of the generator's optimisers; the rate's factor."""
        optim = self.recipe.optim
        factor = rate_factor(optim, step, progress)
        self.net.zero_grad()
        loss.backward()
        self.team.average(self.net.parameters())
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), optim.clip)
        self._prove(loss.detach(), norm, step)
        step_by(self.folded, self.optimisers, [factor * peak for peak in self.peaks])
        decay = min(optim.ema, step / (step + 10.0))
        with torch.no_grad():
            values = self.net.state_dict()
            real = [name for name, value in values.items() if value.is_floating_point()]
            mine, theirs = ([side[name] for name in real] for side in (self.average, values))
            torch._foreach_lerp_(mine, theirs, 1 - decay)
            for name in values.keys() - set(real):  # counters of batch norms
                self.average[name].copy_(values[name])
        return factor

    def _prove(self, loss: Tensor, norm: Tensor, step: int) -> None:
        """Refuse what is not a number; on a GPU leave such a step out, and look every 50 steps."""
        if self.device.type == "cpu":
            values = [float(loss), float(norm)]
            if not np.isfinite(values).all():
                raise FloatingPointError(
                    f"loss {values[0]:g}, gradient {values[1]:g} at step {step}"
                )
            return
        for p in self.net.parameters():
            if p.grad is not None:  # of a norm that is no number, clipping made no gradient one
                p.grad.nan_to_num_(0.0, 0.0, 0.0)
        sound = torch.isfinite(loss) & torch.isfinite(norm)
        self._unsound = torch.where(sound, 0, self._unsound + 1)
        if step % UNSOUND == UNSOUND - 1 and int(self._unsound) >= UNSOUND:
            raise FloatingPointError(f"{UNSOUND} steps without a finite loss, to step {step}")

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The net with the averaged weights, for as long as the block lasts."""
        now = {k: v.clone() for k, v in self.net.state_dict().items()}
        self.net.load_state_dict(self.average)
        try:
            yield
        finally:
            self.net.load_state_dict(now)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "net": self.net.state_dict(),
            "average": self.average,
            "optimisers": [o.state_dict() for o in self.optimisers],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """From a checkpoint."""
        self.net.load_state_dict(state["net"])
        for name, value in state["average"].items():
            self.average[name].copy_(value)
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)

    def start_from(self, weights: Mapping[str, NDArray[np.float32]]) -> list[str]:
        """Begin with the weights of a finished model, the optimisers anew.

        Returns:
            What the model lacks and the net `can_grow`: it changes nothing before it has learned.

        Raises:
            UsageError: they are those of another network, or of other sizes.
        """
        mine = {name: tuple(value.shape) for name, value in self.net.state_dict().items()}
        theirs = {name: value.shape for name, value in weights.items()}
        lacking = mine.keys() - theirs.keys()
        grown = sorted(name for name in lacking if name.startswith(self.net.can_grow))
        known = (mine | theirs).keys() - set(grown)
        if off := sorted(name for name in known if mine.get(name) != theirs.get(name)):
            raise UsageError(
                f"another network than the recipe's [net]: {off[0]} is {theirs.get(off[0])} there, "
                f"{mine.get(off[0])} here"
            )
        given = {name: torch.from_numpy(value) for name, value in weights.items()}
        self.net.load_state_dict(given, strict=not grown)
        self.average = {k: v.detach().clone() for k, v in self.net.state_dict().items()}
        return grown


def half(device: torch.device) -> torch.autocast:
    """bfloat16 for the large products, where the machine multiplies it faster."""
    able = torch.cpu.get_capabilities() if device.type == "cpu" else {"cuda": True}
    fast = any(able.get(name) for name in ("cuda", "avx512_bf16", "amx_bf16"))
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


def rate_factor(optim: Optim, step: int, progress: float) -> float:
    """Linear warm-up by steps, linear fall to a two-hundredth over the last share of the time."""
    warm = min(1.0, (step + 1) / optim.warmup_steps)
    return warm * min(1.0, max(0.0, 1.0 - progress) / optim.decay_share + 0.005)


Folded = list[tuple[nn.Parameter, slice, nn.Parameter]]


def optimisers(
    net: Module, optim: Optim, side_by_side: Mapping[str, int] | None = None
) -> tuple[Folded, list[torch.optim.Optimizer]]:
    """Muon for matrices (worth three times the training time here), AdamW or RMSprop for the rest.

    Muon: Jordan et al. 2024; the learning rate is scaled so that AdamW's fit (Liu et al. 2025).
    Kernels (out, in, taps) are matrices (out, in * taps) to it. *side_by_side* tells
    how many maps a matrix is, one below the other: each is made orthogonal for itself, which
    for the filters of `spectral` takes a quarter of the time, 16 in place of 64 ms of a step.

    Returns:
        Weights, rows of them and the matrices that stand for those, which share their memory and
        need their gradient; the optimisers.
    """
    shapes = (2, 3) if optim.muon_lr > 0 else ()
    maps = side_by_side or {}
    folded: Folded = []
    matrices, rest = [], []
    for name, p in net.named_parameters():
        count = maps.get(name, 1)
        if p.ndim not in shapes:
            rest.append(p)
        elif p.ndim == 2 and count == 1:
            matrices.append(p)
        else:
            size = p.shape[0] // count
            for rows in (slice(first, first + size) for first in range(0, p.shape[0], size)):
                folded.append((p, rows, nn.Parameter(p.data.flatten(1)[rows])))
    matrices += [matrix for _, _, matrix in folded]
    found: list[torch.optim.Optimizer] = []
    if matrices:
        found.append(
            torch.optim.Muon(
                matrices,
                lr=optim.muon_lr,
                momentum=0.95,
                weight_decay=optim.muon_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    return folded, [*found, plain_optimiser(rest, optim, optim.lr)]


def step_by(folded: Folded, both: list[torch.optim.Optimizer], rates: list[float]) -> None:
    """One step of the optimisers, each at its rate."""
    for weights, rows, matrix in folded:
        matrix.grad = None if weights.grad is None else weights.grad.flatten(1)[rows]
    for optimiser, rate in zip(both, rates, strict=True):
        optimiser.param_groups[0]["lr"] = rate
        optimiser.step()


def plain_optimiser(
    parameters: list[nn.Parameter], optim: Optim, lr: float
) -> torch.optim.Optimizer:
    """The recipe's choice for everything that is no matrix, and for adversaries."""
    if optim.kind == "rmsprop":  # SEGAN's
        return torch.optim.RMSprop(parameters, lr)
    if optim.kind == "adamw":
        return torch.optim.AdamW(parameters, lr, betas=optim.betas, weight_decay=1e-4)
    raise UsageError(f"optim.kind = {optim.kind!r}; known: adamw, rmsprop")
