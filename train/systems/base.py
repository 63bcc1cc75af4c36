"""The base of all training systems: optimisers, schedule, average of the weights, NaN guard.

A `System` holds the nets of a recipe and makes training steps. systems/spectral.py trains on
spectra, systems/wave.py on pairs of waveforms, optionally with feature losses and an adversary. The
loop uses this interface only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rtdenoise.errors import UsageError

from ..config import Recipe
from ..data.library import Library
from ..networks.protocol import Module, Trainable
from ..sections import Optim
from ..team import Team
from .muon import Muon

Batch = tuple[Tensor, ...]
Number = float | Tensor  # a tensor of one element stays on the GPU, because reading it would wait
MOST_SHARES = 4096
UNSOUND = 50  # successive steps without a finite loss after which a run on a GPU fails


def numbers(rows: Sequence[Mapping[str, Tensor]]) -> dict[str, Number]:
    """Return the mean of each loss over the shares; on a GPU as a tensor, to be read later."""
    names = rows[0] if rows else ()
    means = {name: torch.stack([row[name] for row in rows]).mean() for name in names}
    return {n: float(v) if v.device.type == "cpu" else v for n, v in means.items()}


class Feed(Protocol):
    """A source of batches, which depend on seed and step alone."""

    def batch(self, step: int) -> Batch:
        """Return the batch of *step*; steps have to be asked for in order."""
        ...


class System(ABC):
    """A generator in training, with its optimisers and the running average of its weights.

    Args:
        recipe: Settings of the run.
        team: The processes that train together, and the device of this one.
        net: The generator.

    Attributes:
        shares: Number of equal shares that the batch of a step is cut into, see team.py.
    """

    net: Trainable

    def __init__(self, recipe: Recipe, team: Team, net: Trainable) -> None:
        self.recipe, self.team, self.device = recipe, team, team.device
        self.shares = 1
        self.net = net.to(self.device)
        self.average = {k: v.detach().clone() for k, v in self.net.state_dict().items()}
        maps = self.net.side_by_side()
        self.folded, self.optimisers = optimisers(self.net, recipe.optim, maps)
        self.peaks = [o.param_groups[0]["lr"] for o in self.optimisers]
        self._unsound = torch.zeros((), dtype=torch.int64, device=self.device)

    @property
    def mine(self) -> range:
        """The shares that this process computes; none if there are more processes than shares."""
        return range(self.team.rank, self.shares, self.team.size)

    def feeds(self, library: Library, step: int) -> list[Feed]:
        """Make the sources of examples of the shares of this process; no two shares are alike."""
        seed, count = self.recipe.run.seed, self.recipe.optim.batch // self.shares
        return [
            self.feed(shard(library, share, self.shares), step, seed + 7919 * share, count)
            for share in self.mine
        ]

    @abstractmethod
    def feed(
        self, library: Library, step: int, seed: int, count: int | None = None, few: bool = False
    ) -> Feed:
        """Make a source of examples.

        Args:
            library: Recordings to draw from.
            step: First step that will be asked for.
            seed: Seed of the examples.
            count: Number of examples in a batch; None means the recipe's.
            few: Whether a single batch is asked for, so that no large store is worth its while.
        """

    @abstractmethod
    def step(self, batches: Sequence[Batch], step: int, progress: float) -> dict[str, Number]:
        """Make one training step.

        Args:
            batches: Examples of the step, a batch for each share of this process.
            step: Number of the step, from 0.
            progress: Share of the run's time that is over, 0..1.

        Returns:
            Losses by name, the total first: means over the shares of this process, which has none
            of them if it has no share.

        Raises:
            FloatingPointError: a loss or a gradient is not finite.
        """

    def unseen_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the losses of a batch with the averaged weights, for `run.unseen_s`.

        Raises:
            UsageError: this kind of training does not support it.
        """
        raise UsageError("run.unseen_s is for training on spectra; set it to 0")

    @abstractmethod
    def restore(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return degraded, restored and target waveforms (B, samples), by the averaged weights."""

    def each(self, batches: Sequence[Batch], step: int) -> Iterator[Batch]:
        """Return the batches of this process, each with the random numbers of its share."""
        for share, batch in zip(self.mine, batches, strict=True):
            # Like the examples, dropout and the latent z depend on seed, step and share.
            torch.manual_seed((self.recipe.run.seed * 1_000_003 + step) * MOST_SHARES + share)
            yield batch

    def learn(
        self,
        loss: Callable[[Batch], dict[str, Tensor]],
        batches: Sequence[Batch],
        step: int,
        progress: float,
    ) -> dict[str, Number]:
        """Make the step of a system whose shares need one loss each, see `System.step`."""
        self.net.zero_grad()
        rows: list[dict[str, Tensor]] = []
        for batch in self.each(batches, step):
            parts = loss(batch)
            parts["loss"].backward()
            rows.append({name: part.detach() for name, part in parts.items()})
        factor = self.descend([row["loss"] for row in rows], step, progress)
        return numbers(rows) | {"rate": factor}

    def descend(self, losses: Sequence[Tensor], step: int, progress: float) -> float:
        """Make a step of the generator's optimisers; returns the factor of the rates.

        Args:
            losses: The total of each share, whose gradient is in the parameters.
            step: Number of the step.
            progress: Share of the run's time that is over.
        """
        optim = self.recipe.optim
        factor = rate_factor(optim, step, progress)
        self.team.average(self.net.parameters(), self.shares)
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), optim.clip)
        loss = torch.stack([loss.detach() for loss in losses]).mean() if losses else norm
        self._check_finite(loss, norm, step)
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

    def _check_finite(self, loss: Tensor, norm: Tensor, step: int) -> None:
        """Refuse a loss that is not finite; a GPU zeroes its gradient and checks every 50 steps."""
        if self.device.type == "cpu":
            values = [float(loss), float(norm)]
            if not np.isfinite(values).all():
                raise FloatingPointError(
                    f"loss {values[0]:g}, gradient {values[1]:g} at step {step}"
                )
            return
        for p in self.net.parameters():
            if p.grad is not None:  # clipping by a norm that is NaN made every gradient NaN
                p.grad.nan_to_num_(0.0, 0.0, 0.0)
        sound = torch.isfinite(loss) & torch.isfinite(norm)
        self._unsound = torch.where(sound, 0, self._unsound + 1)
        if step % UNSOUND == UNSOUND - 1 and int(self._unsound) >= UNSOUND:
            raise FloatingPointError(f"no loss was finite in {UNSOUND} steps, up to step {step}")

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Give the net the averaged weights while the block runs."""
        now = {k: v.clone() for k, v in self.net.state_dict().items()}
        self.net.load_state_dict(self.average)
        try:
            yield
        finally:
            self.net.load_state_dict(now)

    def state(self) -> dict[str, Any]:
        """Return everything that a checkpoint stores of the system."""
        return {
            "net": self.net.state_dict(),
            "average": self.average,
            "optimisers": [o.state_dict() for o in self.optimisers],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
        self.net.load_state_dict(state["net"])
        for name, value in state["average"].items():
            self.average[name].copy_(value)
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)

    def start_from(self, weights: Mapping[str, NDArray[np.float32]]) -> list[str]:
        """Begin with the weights of a finished model and with new optimisers.

        Returns:
            Names of the trainable weights that the model lacks and the net `can_grow`; they change
            nothing before they are trained. Buffers that it lacks follow from the recipe.

        Raises:
            UsageError: the weights are of another network, or of other sizes.
        """
        mine = {name: tuple(value.shape) for name, value in self.net.state_dict().items()}
        theirs = {name: value.shape for name, value in weights.items()}
        lacking = mine.keys() - theirs.keys()
        grown = sorted(name for name in lacking if name.startswith(self.net.can_grow))
        names = (mine | theirs).keys() - set(grown)
        if off := sorted(name for name in names if mine.get(name) != theirs.get(name)):
            raise UsageError(
                "the model is another network than the recipe's [net]: "
                f"{off[0]} is {theirs.get(off[0])} there, {mine.get(off[0])} here"
            )
        given = {name: torch.from_numpy(value) for name, value in weights.items()}
        self.net.load_state_dict(given, strict=not grown)
        self.average = {k: v.detach().clone() for k, v in self.net.state_dict().items()}
        trained = dict(self.net.named_parameters())
        return [name for name in grown if name in trained]


def shard(library: Library, share: int, shares: int) -> Library:
    """Return the recordings of one of *shares*, as data.shards says.

    Raises:
        UsageError: the cache has fewer parts than the step has shares.
    """
    if library.data.shards != "parts":
        return library
    parts = library.index.texts["part"]
    names = sorted(parts.name(code) for code in range(len(parts)))
    if len(names) < shares:
        raise UsageError(
            f"{library.cache} has {len(names)} parts, but a step has {shares} shares: with "
            "data.shards = 'parts' each of them needs one; lower optim.shares, or take 'all'"
        )
    return Library(
        library.cache, library.data, library.side, names[share::shares], library.contents
    )


def half(device: torch.device) -> torch.autocast:
    """Return an autocast to bfloat16, enabled where the machine multiplies it faster."""
    able = torch.cpu.get_capabilities() if device.type == "cpu" else {"cuda": True}
    fast = any(able.get(name) for name in ("cuda", "avx512_bf16", "amx_bf16"))
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


def rate_factor(optim: Optim, step: int, progress: float) -> float:
    """Return the factor of the learning rates: linear warm-up, and linear fall to 1/200."""
    warm = min(1.0, (step + 1) / optim.warmup_steps)
    return warm * min(1.0, max(0.0, 1.0 - progress) / optim.decay_share + 0.005)


Folded = list[tuple[nn.Parameter, slice, nn.Parameter]]


def optimisers(
    net: Module, optim: Optim, side_by_side: Mapping[str, int] | None = None
) -> tuple[Folded, list[torch.optim.Optimizer]]:
    """Make the optimisers: Muon for matrices, AdamW or RMSprop for the rest.

    Muon (Jordan et al. 2024) reached the same loss in a third of the training time; its learning
    rate is scaled so that rates of AdamW fit (Liu et al. 2025). It treats kernels (out, in, taps)
    as matrices (out, in * taps). Each of several stacked maps is made orthogonal by itself, which
    for the filters of `spectral` takes 16 instead of 64 ms of a step.

    Args:
        net: The net to train.
        optim: Settings of the optimisers.
        side_by_side: Number of maps that a matrix consists of, by its name.

    Returns:
        Triples of a weight, some of its rows, and the matrix that represents these rows for Muon:
        it shares their memory and has to be given their gradient. Then the optimisers.
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
    muon: list[torch.optim.Optimizer] = []
    if matrices:
        muon.append(
            Muon(
                matrices,
                lr=optim.muon_lr,
                momentum=0.95,
                weight_decay=optim.muon_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    return folded, [*muon, plain_optimiser(rest, optim, optim.lr)]


def step_by(folded: Folded, both: list[torch.optim.Optimizer], rates: list[float]) -> None:
    """Make a step of the optimisers, each at its rate."""
    for weights, rows, matrix in folded:
        matrix.grad = None if weights.grad is None else weights.grad.flatten(1)[rows]
    for optimiser, rate in zip(both, rates, strict=True):
        optimiser.param_groups[0]["lr"] = rate
        optimiser.step()


def plain_optimiser(
    parameters: list[nn.Parameter], optim: Optim, lr: float
) -> torch.optim.Optimizer:
    """Make the optimiser of everything that Muon does not train, and of discriminators."""
    if optim.kind == "rmsprop":  # as in SEGAN
        return torch.optim.RMSprop(parameters, lr)
    if optim.kind == "adamw":
        return torch.optim.AdamW(parameters, lr, betas=optim.betas, weight_decay=1e-4)
    raise UsageError(f"optim.kind = {optim.kind!r}; known: adamw, rmsprop")
