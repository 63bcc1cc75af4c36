"""Checkpoints, from which a run continues exactly; a kill or a full disk leaves the one before.

With several processes, process 0 writes the checkpoint, and so does one process of every machine
that has another disk. A run continues from the newest of them, whoever has it: it is sent to all.
So no machine is needed for the run to go on, and one that joins needs no file.
"""

from __future__ import annotations

import io
import os
import sys
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from rtdenoise.errors import RtdenoiseError, UsageError, last_line
from rtdenoise.nets import torchscript as generator
from rtdenoise.nets.box import find, original

from ..config import Recipe, changeable, differences, stored
from ..data.library import Library
from ..systems.base import MOST_SHARES, System
from ..team import Team

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
        shares: Number of shares that the batch of a step is cut into; 0 before the first step.
    """

    step: int = 0
    spent_s: float = 0.0
    ancestors: list[dict[str, Any]] = field(default_factory=list)
    data: list[dict[str, Any]] = field(default_factory=list)
    caches: list[str] = field(default_factory=list)
    rate_hz: int = 0
    reach_hz: float = 0.0
    changes: list[dict[str, Any]] = field(default_factory=list)
    shares: int = 0

    def hears(self, library: Library, kind: str, team: Team) -> None:
        """Note that the net hears *library*, and those of the other processes; say if one is new.

        Args:
            library: Recordings that this process trains on.
            kind: Kind of sound that is restored.
            team: The processes that train together.
        """
        heard = library.contents.digest, library.summary(), library.reach_hz(kind)
        digests, tables, reaches_hz = zip(*team.gather(heard), strict=True)
        new = sorted(set(digests) - set(self.caches))
        if self.caches and new and team.leads:
            print(
                f"from step {self.step} on: another cache than before (digest {', '.join(new)}); "
                "the card will name the data of both",
                flush=True,
            )
        self.caches = [*self.caches, *new]
        self.data = union(self.data, *tables)
        self.rate_hz = library.rate_hz
        self.reach_hz = max(self.reach_hz, *reaches_hz)


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
        with fresh.open("rb+") as file:  # a machine that loses power keeps names before contents
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:
        fresh.unlink(missing_ok=True)
        raise TrainingError(f"cannot write {path} ({error}); the previous one is kept") from None
    os.replace(fresh, path)  # noqa: PTH105 - atomic on every system


def read(
    path: Path, device: torch.device | str = "cpu", content: bytes | None = None
) -> dict[str, Any]:
    """Read a checkpoint; a file that would run code when it is read is refused.

    Args:
        path: File of the checkpoint.
        device: Device of its tensors.
        content: What the file contains, if another machine has it.

    Raises:
        UsageError: the file is damaged, or holds more than tensors, numbers and texts.
    """
    try:
        with zipfile.ZipFile(
            path if content is None else io.BytesIO(content)
        ) as parts:  # torch does not compare the check sums
            if parts.testzip():
                raise ValueError("wrong check sum")
        file = path if content is None else io.BytesIO(content)
        saved: dict[str, Any] = torch.load(file, weights_only=True, map_location=device)
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


def keeps(run: Path, team: Team) -> bool:
    """Whether this process writes the checkpoint: process 0, and one of each machine's own disk."""
    if team.size == 1:
        return True
    mark = run / f".team-{team.given(uuid.uuid4().hex, 0)}"  # of a name that no disk has cached
    if team.leads:
        mark.touch()
    team.gather(None)
    own = team.place == 0 and not mark.exists()
    team.gather(None)
    mark.unlink(missing_ok=True)
    return team.leads or own


def keep(run: Path, recipe: Recipe, system: System, state: Progress) -> None:
    """Save a run's checkpoint; all processes hold the same weights."""
    save(run / CHECKPOINT, {"recipe": recipe.as_dict(), "system": system.state(), **asdict(state)})


def newest(run: Path, system: System, keeper: bool) -> dict[str, Any] | None:
    """Read the newest checkpoint of *run* on any machine; None if there is none.

    Args:
        run: Folder of the run.
        system: The system to train.
        keeper: Whether this process looks on its disk, see `keeps`.

    Raises:
        UsageError: the checkpoint of this machine is damaged.
    """
    path, team = run / CHECKPOINT, system.team
    with team.together():
        mine = read(path, system.device) if keeper and path.is_file() else None
    steps = team.gather(-1 if mine is None else int(mine["step"]))
    source = steps.index(max(steps))
    if team.size == 1 or max(steps) < 0:
        return mine
    if team.rank == source and source:
        print(f"{team.name} has the newest checkpoint, of step {steps[source]}", flush=True)
    content = team.given(path.read_bytes() if team.rank == source else None, source)
    return mine if team.rank == source else read(path, system.device, content)


def resume(
    run: Path,
    recipe: Recipe,
    system: System,
    start: str | Path | None = None,
    keeper: bool = True,
) -> Progress:
    """Load the checkpoint of *run*, or else the model *start* that a new run begins with.

    Args:
        run: Folder of the run.
        recipe: Settings of the run.
        system: The system to train; it gets the weights, and is told how a step is shared out.
        start: Model (name or file) that a new run begins with.
        keeper: Whether this process looks on its disk, see `keeps`.

    Returns:
        How far the run is; a new run is at step 0.

    Raises:
        UsageError: the run was begun with another recipe, the model is of another network, the
            checkpoint is damaged, or the batch cannot be cut into equal shares.
        TrainingError: the checkpoint holds the averaged weights alone.
    """
    saved = newest(run, system, keeper)
    with system.team.together():
        if saved is None:
            at = _begun(recipe, system, start)
        else:
            at = _continued(run, recipe, system, saved)
        share_out(recipe, system, at)
    return at


def share_out(recipe: Recipe, system: System, at: Progress) -> None:
    """Cut the batch into as many shares as before, or as the recipe says.

    Raises:
        UsageError: the shares would not be equal.
    """
    batch, size, leads = recipe.optim.batch, system.team.size, system.team.leads
    shares = recipe.optim.shares or at.shares or size
    if not 0 < shares <= min(batch, MOST_SHARES) or batch % shares:
        raise UsageError(
            f"optim.batch = {batch} cannot be cut into {shares} equal shares, one for each process "
            "that the run begins with, or as many as optim.shares says: change one of these"
        )
    if at.shares and shares != at.shares:
        if leads:
            print(f"from step {at.step} on: {shares} shares, was {at.shares}", flush=True)
        at.changes.append({"step": at.step, "was": {"optim.shares": at.shares}})
    if leads and shares % size:
        print(
            f"shares of a step: {shares}, {batch // shares} excerpts each, for {size} processes: "
            f"some compute {-(-shares // size)}, the others {shares // size}, and wait",
            flush=True,
        )
    system.shares = at.shares = shares


def _continued(run: Path, recipe: Recipe, system: System, saved: dict[str, Any]) -> Progress:
    path = run / CHECKPOINT
    changed = differences(recipe_in(path, saved), recipe)
    changed.pop("optim.shares", None)  # see `share_out`
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
        if system.team.leads:
            print(f"from step {at.step} on: {'; '.join(told)}", flush=True)
        was = {name: before for name, (before, _) in changed.items()}
        at.changes.append({"step": at.step, "was": was})
    if at.step and not at.caches:
        say_unknown(path)
    return at


def _begun(recipe: Recipe, system: System, start: str | Path | None) -> Progress:
    if start is None:
        return Progress()
    model = find(original(start))
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
