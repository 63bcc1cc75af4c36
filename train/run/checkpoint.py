"""Checkpoints, from which a run continues exactly; the previous one survives a full disk."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from rtdenoise.errors import RtdenoiseError, UsageError, last_line
from rtdenoise.nets import torchscript as generator
from rtdenoise.nets.box import find

from ..config import Recipe, changeable, differences, stored
from ..data.library import Library
from ..systems.base import System

CHECKPOINT = "checkpoint.pt"
CONTENT = {"recipe", "system", "step", "spent_s", "ancestors", "data"}
Writer = Callable[[dict[str, Any], Path], object]


@dataclass
class Progress:
    """How far a run is, and what it began with.

    Attributes:
        step: Number of steps made.
        spent_s: Training time of all slices.
        ancestors: Description of the runs whose weights this one began with, oldest first.
        data: What the net has heard, and the model that it began with, as rows of a card.
        caches: Digests of the caches that it has heard.
        rate_hz: Sample rate of these; 0 before the first step.
        reach_hz: Highest frequency in what it was to restore; 0 before the first step.
        changes: The settings that were changed when the run continued, each with its step.
    """

    step: int = 0
    spent_s: float = 0.0
    ancestors: list[dict[str, Any]] = field(default_factory=list)
    data: list[dict[str, Any]] = field(default_factory=list)
    caches: list[str] = field(default_factory=list)
    rate_hz: int = 0
    reach_hz: float = 0.0
    changes: list[dict[str, Any]] = field(default_factory=list)

    def hears(self, library: Library, kind: str) -> None:
        """Note that the net hears *library*, to restore sound of *kind*; say if it is another."""
        digest = library.contents.digest
        if digest not in self.caches:
            if self.caches:
                print(
                    f"from step {self.step} on: another cache than before (digest {digest}); the "
                    "card will name the data of both",
                    flush=True,
                )
            self.caches = [*self.caches, digest]
        self.data = union(self.data, library.summary())
        self.rate_hz = library.rate_hz
        self.reach_hz = max(self.reach_hz, library.reach_hz(kind))


class TrainingError(RtdenoiseError):
    """A run that cannot continue; the message says what was saved, and where."""


def save(path: Path, content: dict[str, Any], write: Writer = torch.save) -> None:
    """Write a checkpoint beside the old one, then replace the old one in a single operation.

    Args:
        path: File of the checkpoint.
        content: Everything that a run needs in order to continue exactly.
        write: Function that writes such content to a file.

    Raises:
        TrainingError: the file could not be written.
    """
    fresh = path.with_suffix(".new")
    try:
        write(content, fresh)
    except (OSError, RuntimeError) as error:
        fresh.unlink(missing_ok=True)
        raise TrainingError(f"cannot write {path} ({error}); the previous one is kept") from None
    os.replace(fresh, path)  # noqa: PTH105 - atomic on every system


def read(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; a file that would run code when it is read is refused.

    Raises:
        UsageError: the file is damaged, or holds more than tensors, numbers and texts.
    """
    try:
        with zipfile.ZipFile(path) as parts:  # torch does not compare the check sums
            if parts.testzip():
                raise ValueError("wrong check sum")
        saved: dict[str, Any] = torch.load(path, weights_only=True, map_location=device)
        missing = sorted(CONTENT - set(saved))
    except Exception as error:  # a damaged file can raise anything
        raise UsageError(
            f"{path} is damaged, or holds more than tensors, numbers and texts "
            f"({type(error).__name__}), and was not read. Take another one, or begin the run again."
        ) from None
    if missing:
        raise UsageError(f"{path} is no checkpoint of a run: it lacks {', '.join(missing)}")
    return saved


def recipe_in(path: Path, saved: dict[str, Any]) -> Recipe:
    """Return the recipe of a checkpoint.

    Raises:
        UsageError: it has none that this version knows.
    """
    try:
        return stored(saved["recipe"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(
            f"{path} holds no recipe that this version knows ({last_line(error)})"
        ) from None


def union(*tables: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join tables of data for a card; equal rows come once."""
    rows: list[dict[str, Any]] = []
    for row in (row for table in tables for row in table):
        if row not in rows:
            rows.append(row)
    return rows


def say_unknown(path: Path) -> None:
    """Say what a checkpoint of an earlier version does not."""
    print(
        f"{path} is of an earlier version and has no digest of the cache: that its net heard the "
        "data which it names, at the rate of its recipe, is not known",
        file=sys.stderr,
    )


def keep(run: Path, recipe: Recipe, system: System, state: Progress) -> None:
    """Save a run's checkpoint, from process 0: all processes hold the same weights."""
    if system.team.leads:
        content = {"recipe": recipe.as_dict(), "system": system.state(), **asdict(state)}
        save(run / CHECKPOINT, content)


def resume(run: Path, recipe: Recipe, system: System, start: str | Path | None = None) -> Progress:
    """Load the checkpoint of *run*, or else the model *start* that a new run begins with.

    Returns:
        How far the run is; a new run is at step 0.

    Raises:
        UsageError: the run was begun with another recipe, the model is of another network, or the
            checkpoint is damaged.
        TrainingError: the checkpoint holds the averaged weights alone.
    """
    path = run / CHECKPOINT
    if path.is_file():
        saved = read(path, system.device)
        changed = differences(recipe_in(path, saved), recipe)
        told = [f"{name} = {now!r}, was {was!r}" for name, (was, now) in changed.items()]
        if any(not changeable(name) for name in changed):
            raise UsageError(
                f"{run} was begun with another recipe ({'; '.join(told)}): take another folder"
            )
        try:
            system.load_state(saved["system"])
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise TrainingError(
                f"{path} does not hold all that a run continues with ({last_line(error)})"
            ) from None
        names = [f.name for f in fields(Progress) if f.name in saved]
        at = Progress(**{name: saved[name] for name in names})
        if changed:
            print(f"from step {at.step} on: {'; '.join(told)}", flush=True)
            was = {name: before for name, (before, _) in changed.items()}
            at.changes.append({"step": at.step, "was": was})
        if at.step and not at.caches:
            say_unknown(path)
        return at
    if start is None:
        return Progress()
    model = find(start)
    if not isinstance(model, generator.Generator):
        raise UsageError(f"{start} is no TorchScript model: its weights cannot be trained further")
    grown = system.start_from(model.weights())
    card = model.card
    before = {key: card.config.get(key) for key in ("steps", "training_minutes")}
    if grown:  # new weights are random: runs can be averaged only if their seeds were equal
        parts = sorted({name.partition(".")[0] for name in grown})
        before |= {"grown": ", ".join(parts), "seed": recipe.run.seed}
    older = card.config.get("ancestors", [])
    return Progress(ancestors=[*older, {"sha256": card.sha256, **before}], data=card.data)
