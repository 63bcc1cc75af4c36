"""Measure how fast a GPU trains, for tools/gpu_run.py smoke.

It prints, for each run and batch size, the time of a step and of its data and the GPU memory, and
writes no files.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from train import config
from train.data.library import Library
from train.systems import make
from train.systems.base import System
from train.team import Team

STEPS = 20


def wait() -> float:
    """Wait for the GPU and return the time."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def measure(system: System, library: Library, steps: int) -> str:
    """Time steps and data of a system, and describe the result in one line."""
    feed = system.feed(library, 0, 1)
    for step in range(3):
        system.step([feed.batch(step)], step, 0.0)
    begin = wait()
    for step in range(steps):
        batch = feed.batch(step)
    data = wait()
    for step in range(steps):
        losses = system.step([batch], step, 0.0)
    end = wait()
    launched = time.perf_counter()
    for step in range(3):
        system.step([feed.batch(step)], step, 0.0)
    launched = time.perf_counter() - launched
    wait()
    data_ms, step_ms = 1e3 * (data - begin) / steps, 1e3 * (end - data) / steps
    used = torch.cuda.max_memory_reserved() / 2**30 if torch.cuda.is_available() else 0.0
    return (
        f"data {data_ms:.1f} ms, step {step_ms:.1f} ms, data's share "
        f"{100 * data_ms / (data_ms + step_ms):.0f} %, host {1e3 * launched / 3:.1f} ms, "
        f"memory {used:.1f} GiB, loss {float(losses['loss']):.3f}"
    )


def measure_all(
    cache: Path, runs: Mapping[str, tuple[str, list[str]]], batches: Sequence[int]
) -> None:
    """Measure every run with every batch size; the failure of one does not stop the others.

    Args:
        cache: Folder of the recordings.
        runs: Recipe and changed settings of each run.
        batches: Sizes of the batches; none means that of the recipe.
    """
    steps = STEPS if torch.cuda.is_available() else 2
    begun = time.perf_counter()
    for name, (recipe, changes) in runs.items():
        for more in [[f"optim.batch={batch}"] for batch in batches] or [[]]:
            try:
                changed = config.load(recipe, [*changes, *more])
                library = Library(cache, changed.data)
                line = measure(make(changed, Team()), library, steps)
                line = f"batch {changed.optim.batch}: {line}"
            except Exception as error:
                line = f"{type(error).__name__}: {str(error)[:300]}"
            seconds = time.perf_counter() - begun
            print(f"[{seconds:5.1f}] {name} {line}", flush=True)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
