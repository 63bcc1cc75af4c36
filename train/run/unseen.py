"""A quick look at the development side: losses alone, of the same few batches every time.

Scores, sound and pictures (journal.py) take seconds of a CPU; this takes part of one on the GPU.
"""

from __future__ import annotations

from pathlib import Path

import torch

from ..data.library import Library
from ..systems.base import Batch, System
from .journal import add_row, forget_after

DEV_SEED = 1_000_003  # of the examples all runs are compared on
BATCHES = 3
FEW = 32  # examples that are heard and scored
FILE = "unseen.csv"


def few(batch: Batch) -> Batch:
    """The first examples of a batch."""
    return tuple(part[:FEW].clone() for part in batch)


class Unseen:
    """Losses of voices and noises no step has seen, by the averaged weights.

    Args:
        system: What learns.
        dev: The side that does not.
        run: The folder with the file of all looks.
        every_s: Seconds between two; 0: none.
    """

    def __init__(self, system: System, dev: Library, run: Path, every_s: float) -> None:
        self.system, self.file, self.every_s, self.next_s = system, run / FILE, every_s, 0.0
        feed = system.feed(dev, 0, DEV_SEED) if every_s else None
        self.batches = [feed.batch(number) for number in range(BATCHES)] if feed else []

    def note(self, step: int, spent_s: float, last: bool = False) -> None:
        """Look, if it is time."""
        if self.every_s and (last or spent_s >= self.next_s):
            self.next_s = spent_s + self.every_s
            self.look(step, spent_s)

    def look(self, step: int, spent_s: float) -> dict[str, float]:
        """Compute, print, and add a row to unseen.csv."""
        forget_after(self.file, step - 1)
        rows = [self.system.unseen_loss(batch) for batch in self.batches]
        means = {
            name: round(float(torch.stack([row[name] for row in rows]).mean()), 5)
            for name in rows[0]
        }
        add_row(self.file, {"step": step, "seconds": round(spent_s, 1)} | means)
        text = " ".join(f"{name} {value:.4g}" for name, value in means.items())
        print("unseen", step, f"{spent_s:.0f} s", text, flush=True)
        return means
