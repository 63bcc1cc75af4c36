"""The training loop, from top to bottom: settings, data, nets, checkpoint, steps.

A run is a folder: checkpoint.pt (from which the run continues exactly), log.csv, dev.csv,
curves.png, samples/ (sound and spectrograms of the development side), events for TensorBoard. A run
can be made in slices; the clock of its schedule is the time of all slices together, or the steps.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import torch

from rtdenoise.errors import UsageError

from ..claim import claimed
from ..config import Recipe
from ..data.leaks import check_no_leak
from ..data.library import Library
from ..systems import make
from ..systems.base import Batch, Number, System
from ..team import Team
from .checkpoint import TrainingError, keep, resume
from .journal import Journal
from .unseen import DEV_SEED, Unseen, few


def fit(
    recipe: Recipe,
    cache: Path,
    run: Path,
    minutes: float | None = None,
    steps: int | None = None,
    start: str | Path | None = None,
    stop: threading.Event | None = None,
) -> int:
    """Begin a run or continue it, until its time or that of this slice is over.

    Args:
        recipe: Settings of the run, which have to equal those of its checkpoint but for
            `config.CHANGEABLE`: a finished run can be extended.
        cache: Folder that `data.prepare` wrote.
        run: Folder of the run, which is created if necessary.
        minutes: Training time of this slice; None means until the run is over.
        steps: Step after which to stop; None means no limit. Unlike time, steps are reproducible.
        start: Model (name or file) whose weights a new run begins with; a run that continues
            ignores it.
        stop: Event that ends the slice after the current step; that of process 0 counts.

    Returns:
        Number of steps so far.

    Raises:
        UsageError: the checkpoint has another recipe, the split leaks or has an
            empty side, the cache is damaged or too narrow, or another process uses the run.
        TrainingError: the loss is not a number (the batch is saved), the disk is full, or the
            checkpoint or the records of the run are damaged.
    """
    seed = recipe.run.seed
    _set_torch(seed, recipe.run.threads)
    library, dev = _sides(cache, recipe)
    team = Team()
    with claimed(run, team.leads):
        system = make(recipe, team)
        at = resume(run, recipe, system, start)
        feed = system.feed(library, at.step, seed + 7919 * team.rank)
        unseen = few(system.feed(dev, 0, DEV_SEED, few=True).batch(0)) if team.leads else ()
        dev_losses = Unseen(system, dev, run, recipe.run.unseen_s if team.leads else 0.0)

        slice_s = saved_s = scored_s = stopped = 0.0
        with Journal(run, recipe, at.step, team.leads) as journal:
            while not stopped and (minutes is None or slice_s < 60 * minutes):
                progress = recipe.optim.progress(at.step, at.spent_s)
                if progress >= 1 or (steps is not None and at.step >= steps):
                    break
                begin = time.perf_counter()
                # Like the examples, dropout and the latent z depend on seed, step and process.
                torch.manual_seed((seed * 1_000_003 + at.step) * 64 + team.rank)
                examples = feed.batch(at.step)
                losses = _step(system, examples, at.step, progress, run)
                took_s = team.agreed(time.perf_counter() - begin)
                stopped = team.agreed(stop is not None and stop.is_set())
                if not slice_s:
                    at.hears(library, recipe.kind)
                at.step, at.spent_s, slice_s = at.step + 1, at.spent_s + took_s, slice_s + took_s
                journal.note(at.step, at.spent_s, losses)
                if slice_s - saved_s > recipe.run.checkpoint_s:
                    keep(run, recipe, system, at)
                    saved_s = slice_s
                dev_losses.note(at.step, at.spent_s)
                if slice_s - scored_s > recipe.run.dev_s and team.leads:
                    journal.evaluate(at.step, at.spent_s, *system.restore(unseen))
                    scored_s = slice_s
            keep(run, recipe, system, at)
            dev_losses.note(at.step, at.spent_s, last=True)
            if team.leads:
                journal.evaluate(at.step, at.spent_s, *system.restore(unseen))
        team.close()
    return at.step


def _sides(cache: Path, recipe: Recipe) -> tuple[Library, Library]:
    """Return the training and the development side of a cache.

    Raises:
        UsageError: a side is empty, the split leaks, or the sound of the recipe's kind would fit
            into half the rate, so that a net would not learn what to do above it.
    """
    library = Library(cache, recipe.data)
    dev = library.another("dev")
    check_no_leak(library, dev)
    reach_hz = library.reach_hz(recipe.kind)
    if 0 < reach_hz <= library.rate_hz / 4:
        raise UsageError(
            f"no {recipe.kind} of the training side of {cache} reaches above {reach_hz:.0f} Hz, so "
            f"a net at {library.rate_hz} Hz would not learn what is above: take recipe and cache "
            f"at {library.rate_hz // 2} Hz or less, or add recordings"
        )
    return library, dev


def _step(
    system: System, examples: Batch, step: int, progress: float, run: Path
) -> dict[str, Number]:
    """Make one step; a batch whose loss is not a number is saved for inspection."""
    try:
        return system.step(examples, step, progress)
    except FloatingPointError as fault:
        kept = run / f"nan_batch{system.team.rank or ''}.pt"
        torch.save(examples, kept)
        raise TrainingError(f"{fault}; the batch is in {kept}") from None


def _set_torch(seed: int, threads: int) -> None:
    """Set the process-wide state of torch, before any worker thread starts."""
    torch.manual_seed(seed)
    # Gradients that vanish through time end as denormals, which are a hundred times as slow as
    # normal numbers: after a thousand steps, a step took 1.2 instead of 0.24 s.
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads)
