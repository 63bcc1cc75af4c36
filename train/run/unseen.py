"""Losses on the development side, of the same few batches every time.

Scores, sound and pictures (journal.py) take seconds on a CPU; these losses take a fraction of a
second on a GPU.
"""

from __future__ import annotations

from pathlib import Path

import torch

from ..data.library import Library
from ..systems.base import Batch, System
from .journal import add_row, forget_after, read_rows

DEV_SEED = 1_000_003  # seed of the examples on which all runs are compared
BATCHES = 3  # batches whose losses are averaged
FEW = 32  # examples that the journal scores
FILE = "unseen.csv"


def few(batch: Batch) -> Batch:
    """Return the first examples of a batch."""
    return tuple(part[:FEW].clone() for part in batch)


class Unseen:
    """Losses of the averaged weights on voices and noises outside the training side.

    Args:
        system: The net that is trained, and its losses.
        dev: Recordings of the development side.
        run: Folder of the run, which gets unseen.csv.
        every_s: Seconds of training between two computations; 0 means none.
    """

    def __init__(self, system: System, dev: Library, run: Path, every_s: float) -> None:
        self.system, self.file, self.every_s, self.next_s = system, run / FILE, every_s, 0.0
        if every_s:
            read_rows(self.file)  # a damaged file is found before any time is spent
        feed = system.feed(dev, 0, DEV_SEED) if every_s else None
        self.batches = [feed.batch(number) for number in range(BATCHES)] if feed else []

    def note(self, step: int, spent_s: float, last: bool = False) -> None:
        """Compute the losses if they are due, or if this is the *last* step."""
        if self.every_s and (last or spent_s >= self.next_s):
            self.next_s = spent_s + self.every_s
            self.compute(step, spent_s)

    def compute(self, step: int, spent_s: float) -> dict[str, float]:
        """Compute and print the losses, and append them to unseen.csv."""
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
