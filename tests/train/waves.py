"""Recipes of the box that train on waveforms, narrowed until they train in seconds."""

from __future__ import annotations

from tests.train.sets import RECIPES
from train import config

NARROW = {
    "audiounet": ["net.width=0.05", "net.window=512", "net.depth=4"],
    "mugan": ["net.width=0.1", "net.window=512", "objective.discriminator_width=0.1"],
    "germain": ["net.width=6", "net.dilations=6", "net.window=1024"],
    "segan": ["net.width=0.12", "net.levels=6", "net.window=2048",
              "objective.discriminator_width=0.06"],
    "spectral": ["net.hidden=24", "net.bands=16", "net.low_bins=16", "net.taps=2"],
}  # fmt: skip


ALL = ["seed-superres", "seed-mugan", "seed-denoise", "seed-dereverb", "seed-germain", "seed-segan"]


def recipe_of(name, feature_files, *more):
    """A recipe of the box, narrowed until it trains in seconds."""
    first = config.load(RECIPES / f"{name}.toml")
    sets = [*NARROW[first.net["network"]], "optim.batch=4", "data.seconds=0.2", "optim.lr=2e-3"]
    sets += ["data.dev_share=0.3", "objective.warmup_steps=3", "run.log_steps=1"]
    if kind := first.objective.features_from:
        sets += [f"objective.features_file={feature_files / kind}.pt"]
    return config.load(RECIPES / f"{name}.toml", [*sets, "run.tensorboard=false", *more])
