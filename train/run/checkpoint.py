"""Checkpoints: everything needed to go on exactly; a full disk keeps the one before."""

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
Writer = Callable[[dict[str, Any], Path], object]


@dataclass
class Progress:
    """The place a run has come to.

    Attributes:
        step: Steps done.
        spent_s: Training time of all slices.
        ancestors: The runs whose weights this one began with, oldest first.
    """

    step: int = 0
    spent_s: float = 0.0
    ancestors: list[dict[str, Any]] = field(default_factory=list)


class TrainingError(RtdenoiseError):
    """A run that cannot go on; the message says where what was saved lies."""


def save(path: Path, content: dict[str, Any], write: Writer = torch.save) -> None:
    """Write a checkpoint beside the old one, then swap.

    Args:
        path: File of the checkpoint.
        content: What a run needs to go on exactly.
        write: Writes such a content to a file.

    Raises:
        TrainingError: it could not be written.
    """
    fresh = path.with_suffix(".new")
    try:
        write(content, fresh)
    except (OSError, RuntimeError) as error:
        fresh.unlink(missing_ok=True)
        raise TrainingError(f"cannot write {path} ({error}); the one before is kept") from None
    os.replace(fresh, path)  # noqa: PTH105 - atomic on every system


def keep(run: Path, recipe: Recipe, system: System, library: Library, state: Progress) -> None:
    """Save everything of a run that process 0 knows; the others hold the same."""
    if system.team.leads:
        content = {"recipe": recipe.as_dict(), "system": system.state(), **asdict(state)}
        save(run / CHECKPOINT, content | {"data": library.summary()})


def resume(run: Path, recipe: Recipe, system: System, start: str | Path | None = None) -> Progress:
    """Load the checkpoint of *run*, or the model a new run starts from, if there is one.

    Raises:
        UsageError: the run was begun with another recipe, or the model is another network.
    """
    if (run / CHECKPOINT).is_file():
        saved = torch.load(run / CHECKPOINT, weights_only=False, map_location=system.device)
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
    if grown:  # what grew began at random: two such runs have a mean only if the seed is the same
        parts = sorted({name.partition(".")[0] for name in grown})
        before |= {"grown": ", ".join(parts), "seed": recipe.run.seed}
    older = card.config.get("ancestors", [])
    return Progress(ancestors=[*older, {"sha256": card.sha256, **before}])
