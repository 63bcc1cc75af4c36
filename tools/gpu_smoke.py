"""Measure how fast a GPU trains.

    python3 tools/gpu_smoke.py CACHE RECIPE [BATCH ...]

It prints, for each net and batch size, the time of a step and of its data and the GPU memory, and
writes no files.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from train import config
from train.data.library import Library
from train.systems import make
from train.systems.base import System
from train.team import Team

STEPS = 20
NETS = {"spectral": ["net.deeper=1"], "banded": ["net.network=banded"]}


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


def main(words: list[str]) -> None:
    """Measure every net with every batch size; the failure of one does not stop the others."""
    cache, recipe, batches = Path(words[0]), words[1], [int(w) for w in words[2:]] or [128, 64, 256]
    steps = STEPS if torch.cuda.is_available() else 2
    begun = time.perf_counter()
    loaded = config.load(recipe)
    library = Library(cache, loaded.data)
    print("hours:", {kind: round(library.hours(kind), 2) for kind in library.recordings})
    for batch in batches:
        for name, changes in NETS.items():
            changed = config.load(recipe, changes)
            changed = replace(changed, optim=replace(changed.optim, batch=batch))
            try:
                line = measure(make(changed, Team()), library, steps)
            except Exception as error:
                line = f"{type(error).__name__}: {str(error)[:300]}"
            seconds = time.perf_counter() - begun
            print(f"[{seconds:5.1f}] {name} batch {batch}: {line}", flush=True)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()


if __name__ == "__main__":
    main(sys.argv[1:])
