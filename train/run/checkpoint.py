"""Checkpoints, from which a run continues exactly; the previous one survives a full disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from rtdenoise.errors import RtdenoiseError, UsageError
from rtdenoise.nets import torchscript as generator
from rtdenoise.nets.box import find

from ..config import Recipe, stored
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
    """

    step: int = 0
    spent_s: float = 0.0
    ancestors: list[dict[str, Any]] = field(default_factory=list)


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


def keep(run: Path, recipe: Recipe, system: System, library: Library, state: Progress) -> None:
    """Save a run's checkpoint, from process 0: all processes hold the same weights."""
    if system.team.leads:
        content = {"recipe": recipe.as_dict(), "system": system.state(), **asdict(state)}
        save(run / CHECKPOINT, content | {"data": library.summary()})


def resume(run: Path, recipe: Recipe, system: System, start: str | Path | None = None) -> Progress:
    """Load the checkpoint of *run*, or else the model *start* that a new run begins with.

    Returns:
        How far the run is; a new run is at step 0.

    Raises:
        UsageError: the run was begun with another recipe, or the model is of another network.
    """
    if (run / CHECKPOINT).is_file():
        saved = read(run / CHECKPOINT, system.device)
        if stored(saved["recipe"]) != recipe:
            raise UsageError(f"{run} was begun with another recipe; take another folder")
        system.load_state(saved["system"])
        return Progress(saved["step"], saved["spent_s"], saved["ancestors"])
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
    return Progress(ancestors=[*older, {"sha256": card.sha256, **before}])
