"""Measure LSD and SNR of the noise-fill baseline over its level, on the training side.

    python tools/fill_sweep.py CACHE10

The level in train/evaluate/baselines.py comes from this table. It is chosen on the training side,
because a baseline that is tuned on the files it is scored on would be unfairly good.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from rtdenoise.degrade import parse
from train import config
from train.data.library import Library
from train.evaluate import baselines
from train.evaluate.metrics import measure

recipe = config.load(Path(__file__).parents[1] / "train/recipes/seed-superres.toml")
library, rng = Library(Path(sys.argv[1]), recipe.data), np.random.default_rng(0)
chain, rate_hz = parse(recipe.degradation), recipe.data.rate_hz
clean, _ = library.excerpts("music", 24, 6 * rate_hz, rng, active=True)
pairs = [chain(row[None], rate_hz, rng) for row in clean]
print("| fill dB | LSD | SNR - input's dB |\n|---|---|---|")
for fill_db in (-42.0, -38.0, -34.0, -30.0, -26.0, -22.0, -18.0, -12.0):
    baselines.FILL_DB = fill_db
    rows = [
        (measure(baselines.noise_fill(p.audio, rate_hz, 2500.0), p.reference, rate_hz, "music"),
         measure(p.audio, p.reference, rate_hz, "music"))
        for p in pairs
    ]  # fmt: skip
    lsd = np.mean([filled["lsd"] for filled, _ in rows])
    snr_db = np.mean([filled["snr"] - before["snr"] for filled, before in rows])
    print(f"| {fill_db:g} | {lsd:.3f} | {snr_db:+.2f} |")
