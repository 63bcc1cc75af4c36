"""The run, from top to bottom: settings, data, net, resume, loop.

A run is a folder: recipe.json, checkpoint.pt (everything needed to go on exactly), log.csv. It may
be made in slices (`--minutes`); the schedule's clock is the training time of all slices together.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rtdenoise import generator
from rtdenoise.errors import RtdenoiseError, UsageError

from .config import Recipe
from .data import Library, check_no_leak
from .degrade import Pool, known_bins
from .losses import restoration
from .spectral import HOP, RATE_HZ, Spectral, running_mean_matrix

CHECKPOINT = "checkpoint.pt"


class TrainingError(RtdenoiseError):
    """The run cannot go on; the message says where what was saved lies."""


def network(recipe: Recipe) -> Spectral:
    """The recipe's net, with new weights."""
    net = recipe.net
    if net.network != "spectral":
        raise UsageError(f"net.network = {net.network!r}; known: spectral")
    return Spectral(net.hidden, net.layers, net.bands, net.low_bins, net.taps)


class Trainer:
    """A net, its optimisers and its running average; `step` is one step."""

    def __init__(self, recipe: Recipe, device: str) -> None:
        self.recipe, self.device = recipe, torch.device(device)
        self.net = network(recipe).to(self.device)
        self.average = {k: v.detach().clone() for k, v in self.net.state_dict().items()}
        hops = int(recipe.data.seconds * RATE_HZ) // HOP
        self.means = running_mean_matrix(hops).to(self.device)
        self.optimisers = self._optimisers()
        self.peaks = [o.param_groups[0]["lr"] for o in self.optimisers]
        quick: Callable[[Any], Any] = torch.compile if recipe.run.compile else lambda f: f
        self._features, self._outcome = quick(self._see), quick(self._judge)

    def _optimisers(self) -> list[torch.optim.Optimizer]:
        """Muon for matrices (worth three times the training time here), AdamW for the rest."""
        optim = self.recipe.optim
        matrices = [p for p in self.net.parameters() if p.ndim == 2 and optim.muon_lr > 0]
        taken = {id(p) for p in matrices}
        rest = [p for p in self.net.parameters() if id(p) not in taken]
        adam = torch.optim.AdamW(rest, optim.lr, betas=(0.9, 0.98), weight_decay=1e-4)
        if not matrices:
            return [adam]
        muon = torch.optim.Muon(
            matrices,
            lr=optim.muon_lr,
            momentum=0.95,
            weight_decay=optim.muon_decay,
            adjust_lr_fn="match_rms_adamw",
        )
        return [muon, adam]

    def _see(self, re: Tensor, im: Tensor) -> Tensor:
        energy = self.net.energies(re, im)
        return self.net.features(re, im, energy, torch.matmul(self.means, energy))

    def _judge(
        self, x: Tensor, y: Tensor, known: Tensor, gains: Tensor, filters: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        re, im = x[:, 0], x[:, 1]
        past = (0, 0, self.net.taps - 1, 0)
        low = self.net.low
        past_re = nn.functional.pad(re[:, :, :low], past)
        past_im = nn.functional.pad(im[:, :, :low], past)
        estimate = self.net.shape(re, im, past_re, past_im, gains.float(), filters.float())
        return restoration(estimate, (y[:, 0], y[:, 1]), known, self.recipe.loss)

    def loss(self, batch: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Total loss of a batch, and its parts."""
        x, y, bandwidth_hz = (part.to(self.device) for part in batch)
        with torch.no_grad():
            features = self._features(x[:, 0].contiguous(), x[:, 1].contiguous())
        net = self.net
        # bfloat16 for the matrix products alone: spectra need the range and the digits.
        with torch.autocast(self.device.type, torch.bfloat16):
            memory = torch.zeros(net.layers, len(x), net.hidden, device=self.device)
            gains, filters, _ = net.decide(features, memory.bfloat16())
        total, spectral, snr = self._outcome(x, y, known_bins(bandwidth_hz), gains, filters)
        return total, spectral, snr

    def step(self, batch: tuple[Tensor, Tensor, Tensor], step: int, progress: float) -> list[float]:
        """One step; *progress* 0..1 is the share of the run's time that is over."""
        optim = self.recipe.optim
        factor = min(1.0, (step + 1) / optim.warmup_steps)
        factor *= min(1.0, max(0.0, 1.0 - progress) / optim.decay_share + 0.005)
        for optimiser, peak in zip(self.optimisers, self.peaks, strict=True):
            optimiser.param_groups[0]["lr"] = peak * factor
            optimiser.zero_grad()
        parts = self.loss(batch)
        parts[0].backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), optim.clip)
        values = [float(part.detach()) for part in parts]
        if not np.isfinite(values).all():
            raise FloatingPointError(f"loss {values} at step {step}")
        for optimiser in self.optimisers:
            optimiser.step()
        decay = min(optim.ema, step / (step + 10.0))
        with torch.no_grad():
            for name, value in self.net.state_dict().items():
                self.average[name].lerp_(value, 1 - decay)
        return [*values, factor]

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "net": self.net.state_dict(),
            "average": self.average,
            "optimisers": [o.state_dict() for o in self.optimisers],
        }

    def start_from(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Begin with the weights of a finished model, the optimisers anew.

        Raises:
            UsageError: they are those of another network, or of other sizes.
        """
        mine = {name: tuple(value.shape) for name, value in self.net.state_dict().items()}
        theirs = {name: value.shape for name, value in weights.items()}
        if off := sorted(name for name in mine | theirs if mine.get(name) != theirs.get(name)):
            raise UsageError(
                f"another network than the recipe's [net]: {off[0]} is {theirs.get(off[0])} there, "
                f"{mine.get(off[0])} here"
            )
        self.net.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
        self.average = {k: v.detach().clone() for k, v in self.net.state_dict().items()}

    def load_state(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.net.load_state_dict(state["net"])
        for name, value in state["average"].items():
            self.average[name].copy_(value)
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint beside the old one, then swap: a full disk keeps the old one."""
    fresh = path.with_suffix(".new")
    try:
        torch.save(content, fresh)
    except (OSError, RuntimeError) as error:
        fresh.unlink(missing_ok=True)
        raise TrainingError(f"cannot write {path} ({error}); the one before is kept") from None
    os.replace(fresh, path)  # noqa: PTH105 - atomic on every system


def fit(
    recipe: Recipe,
    cache: Path,
    run: Path,
    minutes: float | None = None,
    steps: int | None = None,
    start: str | Path | None = None,
) -> int:
    """Train, or go on training, until the recipe's time is over, or the slice's.

    Args:
        recipe: Settings; those of the checkpoint must agree with them.
        cache: What `data.prepare` made.
        run: The run's folder; made if it is not there.
        minutes: Stop after this much time of this slice. None: when the run is over.
        steps: Stop after this step. None: by time alone. For tests: time does not repeat.
        start: A model (name or file) whose weights a new run begins with; ignored by a run that
            goes on.

    Returns:
        Steps so far.

    Raises:
        UsageError: another recipe than the checkpoint's, an empty or leaking split.
        TrainingError: the loss is NaN (the batch is saved), or the disk is full.
    """
    torch.manual_seed(recipe.run.seed)
    # Gradients that vanish through time end as denormals, which cost a hundred times a normal
    # number: steps went from 0.24 to 1.2 s after a thousand. Before any worker thread starts.
    torch.set_flush_denormal(True)
    torch.set_num_threads(recipe.run.threads)
    library = Library(cache, recipe.data)
    check_no_leak(library, Library(cache, recipe.data, dev=True))
    run.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(recipe, "cuda" if torch.cuda.is_available() else "cpu")
    step, spent_s, ancestors = resume(run, recipe, trainer, start)
    batch, seed = recipe.optim.batch, recipe.run.seed
    pool = Pool(library, recipe.degrade, recipe.run.pool, batch, seed, step)
    log = Log(run / "log.csv", recipe)

    def checkpoint() -> None:
        content = {"recipe": recipe.as_dict(), "trainer": trainer.state(), "step": step}
        content |= {"spent_s": spent_s, "data": library.summary(), "ancestors": ancestors}
        save(run / CHECKPOINT, content)

    total_s, slice_s, saved_s = 60 * recipe.optim.minutes, 0.0, 0.0
    while spent_s < total_s and (minutes is None or slice_s < 60 * minutes):
        if steps is not None and step >= steps:
            break
        begin = time.perf_counter()
        examples = pool.batch(step)
        try:
            values = trainer.step(examples, step, spent_s / total_s)
        except FloatingPointError as fault:
            torch.save(examples, run / "nan_batch.pt")
            raise TrainingError(f"{fault}; the batch is in {run / 'nan_batch.pt'}") from None
        step += 1
        log.write(step, spent_s, values)
        spent = time.perf_counter() - begin
        spent_s, slice_s = spent_s + spent, slice_s + spent
        if slice_s - saved_s > recipe.run.checkpoint_s:
            checkpoint()
            saved_s = slice_s
    checkpoint()
    return step


def resume(
    run: Path, recipe: Recipe, trainer: Trainer, start: str | Path | None = None
) -> tuple[int, float, list[dict[str, Any]]]:
    """Load the checkpoint of *run*, or the model a new run starts from, if there is one.

    Returns:
        Steps and seconds so far, and the runs before this one, oldest first.
    """
    if (run / CHECKPOINT).is_file():
        saved = torch.load(run / CHECKPOINT, weights_only=False)
        if saved["recipe"] != recipe.as_dict():
            raise UsageError(f"{run} was begun with another recipe; take another folder")
        trainer.load_state(saved["trainer"])
        return saved["step"], saved["spent_s"], saved.get("ancestors", [])
    if start is None:
        return 0, 0.0, []
    model = generator.find(start)
    trainer.start_from(model.weights())
    card = model.card
    before = {key: card.config.get(key) for key in ("steps", "training_minutes")}
    return 0, 0.0, [*card.config.get("ancestors", []), {"sha256": card.sha256, **before}]


class Log:
    """log.csv and the terminal: a mean of every `log_steps` steps."""

    def __init__(self, path: Path, recipe: Recipe) -> None:
        self.path, self.recipe, self.recent = path, recipe, list[list[float]]()
        if not path.is_file():
            path.write_text("step,seconds,loss,compressed,log_snr,lr_factor\n")

    def write(self, step: int, spent_s: float, values: list[float]) -> None:
        """Note one step."""
        self.recent.append(values)
        if step % self.recipe.run.log_steps:
            return
        row = [step, round(spent_s), *np.mean(self.recent, axis=0).round(5).tolist()]
        self.recent.clear()
        with self.path.open("a", newline="") as out:
            csv.writer(out).writerow(row)
        heard_s = step * self.recipe.optim.batch * self.recipe.data.seconds
        print(*row, f"{heard_s / max(spent_s, 1e-9):.0f}x", flush=True)
