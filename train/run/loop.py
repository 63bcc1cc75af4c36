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
from ..systems.base import Feed, Number, System
from ..team import Team
from . import alike
from .checkpoint import Progress, TrainingError, keep, keeps, resume
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
        stop: Event that ends the slice after the current step, in all processes; it is then set in
            all of them.

    Returns:
        Number of steps so far.

    Raises:
        UsageError: the checkpoint has another recipe, the split leaks or has an
            empty side, the cache is damaged or too narrow, or another process uses the run.
        TrainingError: the loss is not a number (the batch is saved), the disk is full, or the
            checkpoint or the records of the run are damaged.
        TeamError: another process of the run is lost or could not begin, or trains something else.
    """
    _set_torch(recipe.run.seed, recipe.run.threads)
    team = Team(recipe.run.patience_s)
    with team.together():
        library, dev = _sides(cache, recipe)
    team.compare(lambda: alike.facts(recipe, library, minutes, steps))
    with claimed(run, team.leads):
        keeper = keeps(run, team)
        with team.together():
            system = make(recipe, team)
        at = resume(run, recipe, system, start, keeper)
        team.compare(lambda: {"the digest of the weights": alike.weights(system)})
        with team.together():
            feeds = system.feeds(library, at.step)
            reports = Reports(run, system, dev, at)

        slice_s = saved_s = 0.0
        stopped = False
        with reports.journal:
            while not stopped and (minutes is None or slice_s < 60 * minutes):
                progress = recipe.optim.progress(at.step, at.spent_s)
                if progress >= 1 or (steps is not None and at.step >= steps):
                    break
                took_s, losses = _step(system, feeds, at.step, progress, run)
                took_s, stopped = team.agreed(took_s, stop is not None and stop.is_set())
                if not slice_s:
                    at.hears(library, recipe.kind, team)
                at.step, at.spent_s, slice_s = at.step + 1, at.spent_s + took_s, slice_s + took_s
                if keeper and slice_s - saved_s > recipe.run.checkpoint_s:
                    keep(run, recipe, system, at)
                    saved_s = slice_s
                reports.note(at, losses)
            if keeper:
                keep(run, recipe, system, at)
            team.close()  # nobody waits for the last evaluation
            reports.end(at)
    if stop is not None and stopped:
        stop.set()
    return at.step


class Reports:
    """The journal of a run, and its losses and scores on the development side, by process 0.

    Args:
        run: Folder of the run.
        system: The system that is trained.
        dev: Recordings of the development side.
        at: How far the run is.
    """

    def __init__(self, run: Path, system: System, dev: Library, at: Progress) -> None:
        self.system, self.settings, self.leads = system, system.recipe.run, system.team.leads
        self.scored_s = at.spent_s
        self.journal = Journal(run, system.recipe, at.step, self.leads)
        self.losses = Unseen(system, dev, run, self.settings.unseen_s if self.leads else 0.0)
        feed = system.feed(dev, 0, DEV_SEED, few=True) if self.leads else None
        self.examples = few(feed.batch(0)) if feed else ()

    def note(self, at: Progress, losses: dict[str, Number]) -> None:
        """Record the losses of a step, and all else that is due."""
        self.journal.note(at.step, at.spent_s, losses)
        self.losses.note(at.step, at.spent_s)
        if at.spent_s - self.scored_s > self.settings.dev_s:
            self._score(at)

    def end(self, at: Progress) -> None:
        """Record losses and scores after the last step."""
        self.losses.note(at.step, at.spent_s, last=True)
        self._score(at)

    def _score(self, at: Progress) -> None:
        self.scored_s = at.spent_s
        if self.leads:
            self.journal.evaluate(at.step, at.spent_s, *self.system.restore(self.examples))


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
    system: System, feeds: list[Feed], step: int, progress: float, run: Path
) -> tuple[float, dict[str, Number]]:
    """Make one step; returns the seconds that it took, and its losses.

    A batch whose loss is not a number is saved for inspection.
    """
    begin = time.perf_counter()
    batches = [feed.batch(step) for feed in feeds]
    try:
        losses = system.step(batches, step, progress)
    except FloatingPointError as fault:
        kept = run / f"nan_batch{system.team.rank or ''}.pt"
        torch.save(tuple(torch.cat(parts) for parts in zip(*batches, strict=True)), kept)
        raise TrainingError(f"{fault}; the batch is in {kept}") from None
    return time.perf_counter() - begin, losses


def _set_torch(seed: int, threads: int) -> None:
    """Set the process-wide state of torch, before any worker thread starts."""
    torch.manual_seed(seed)
    # Gradients that vanish through time end as denormals, which are a hundred times as slow as
    # normal numbers: after a thousand steps, a step took 1.2 instead of 0.24 s.
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads)
