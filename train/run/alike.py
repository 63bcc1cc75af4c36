"""What has to be the same in all processes of a run, compared before its first step.

Averages of gradients of different losses, or of nets that have drifted apart, would look like
training.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch

import rtdenoise

from ..config import Recipe, flat
from ..data.library import Library
from ..systems.base import System

# These may differ from machine to machine.
OWN = {"run.threads", "run.compile", "run.tensorboard"}
CACHE = "the digest of the cache (data.shards is not own)"


def facts(recipe: Recipe, library: Library, *slices: float | None) -> dict[str, Any]:
    """Return the facts that `Team.compare` compares: versions, code, settings, data.

    Args:
        recipe: Settings of the run.
        library: Recordings to train on.
        slices: How long this slice of the run may be.
    """
    settings = {key: v for key, v in flat(recipe.as_dict()).items() if key not in OWN}
    cache = {} if recipe.data.shards == "own" else {CACHE: library.contents.digest}
    return {
        **settings,
        **cache,
        "the version of rtdenoise": rtdenoise.__version__,
        "the version of torch": torch.__version__,
        "the digest of the code": code(),
        "the length of the slice": slices,
    }


def code() -> str:
    """Return a digest of the files of rtdenoise and of its training system."""
    told = blake2b(digest_size=8)
    for root in (Path(rtdenoise.__file__).parent, Path(__file__).parents[1]):
        for path in sorted(root.rglob("*.py")):
            told.update(f"{path.relative_to(root)} {path.stat().st_size} ".encode())
            told.update(path.read_bytes())
    return told.hexdigest()


def weights(system: System) -> str:
    """Return a digest of the weights of the net that is trained."""
    told = blake2b(digest_size=8)
    for parameter in system.net.parameters():
        told.update(parameter.detach().float().cpu().numpy().tobytes())
    return told.hexdigest()
