"""Data sets for tests, made of the real clips in the repository."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from train import config
from train.data.cache import read
from train.data.index import INDEX
from train.data.prepare import prepare

RECIPES = Path(__file__).parents[2] / "train" / "recipes"
TINY = config.load(RECIPES / "tiny.toml")
KINDS = {"voice": "speech", "noise": "noise", "piano": "music-piano"}


def make_set(clips: Path, folder: Path, parts: int = 6) -> Path:
    """A folder with a manifest.csv: every clip cut into *parts*, each a source of its own."""
    folder.mkdir(parents=True)
    rows = []
    names = ("voice_sentence", "voice_words", "noise_rain", "noise_ship", "noise_mill", "piano")
    for name in names:
        audio, rate = sf.read(clips / f"{name}.flac", dtype="float32")
        for part, piece in enumerate(np.array_split(audio, parts)):
            path = f"{name}_{part}.wav"
            sf.write(folder / path, piece, rate)
            rows.append([path, KINDS[name.split("_")[0]], 20_000, f"{name}{part}", "here", "CC"])
    with (folder / "manifest.csv").open("w", newline="") as out:
        csv.writer(out).writerows(
            [["path", "kind", "bandwidth_hz", "source_id", "origin", "licence"], *rows]
        )
    return folder


def make_cache(clips: Path, folder: Path, rate_hz: int) -> Path:
    """The same, decoded at *rate_hz*."""
    prepare(make_set(clips, folder / "set"), folder / "cache", rate_hz)
    return folder / "cache"


def rows_of(cache: Path) -> dict[str, Any]:
    """The index of a cache as it was before November 2026, when it was a list in index.json."""
    contents = read(cache)
    sides = {"recordings": contents.recordings, "rooms": contents.rooms}
    rows = {
        name: [{k: v for k, v in vars(r).items() if v or k != "part"} for r in side]
        for name, side in sides.items()
    }
    return {"rate_hz": contents.rate_hz} | rows


def make_older(cache: Path, index: Any) -> Path:
    """Give a cache such an index."""
    (cache / INDEX).write_text(json.dumps(index))
    return cache


def make_sound(path: Path, seconds=1.0, seed=0, rate=16_000, gain=0.1) -> None:
    """Write noise; layouts do not care what a file sounds like."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = gain * np.random.default_rng(seed).standard_normal(int(seconds * rate))
    sf.write(path, samples.clip(-1, 1), rate)
