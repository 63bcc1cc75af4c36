"""Boards of random effects with random parameters, and damaged board files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.chain.boardfile import open_board
from rtdenoise.chain.registry import kinds

from . import mutate


def toml(value: object) -> str:
    """Return a value as TOML."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value) if not isinstance(value, bool) else str(value).lower()


def effect(rng: np.random.Generator, depth: int, path: str) -> list[str]:
    """Draw a table [[effect]], with effects within it."""
    named = kinds()
    names = [n for n in named if n not in ("VST3", "AudioUnit")]
    name = names[int(rng.integers(len(names)))]
    lines = [f"[[{path}]]", f'type = "{name}"']
    for parameter in named[name].parameters:
        draw = rng.random()
        if draw < 0.4:
            continue
        low = parameter.low if parameter.low is not None else -100.0
        high = parameter.high if parameter.high is not None else 30_000.0
        value: Any = float(rng.uniform(low, high))
        if draw > 0.9:
            value = mutate.value(rng)
        if value is not None and "model" not in parameter.name:
            lines.append(f"{parameter.name} = {toml(value)}")
    if named[name].holds != "none" and depth < 2:
        for _ in range(int(rng.integers(0, 3)) if named[name].holds == "many" else 1):
            lines += effect(rng, depth + 1, f"{path}.effect")
    return lines


def case(rng: np.random.Generator, folder: Path) -> str:
    """Open a board and process an array: the same shape comes out, and it is finite."""
    text = "\n".join(line for _ in range(rng.integers(0, 4)) for line in effect(rng, 0, "effect"))
    if rng.random() < 0.3:
        text = mutate.text(text, rng)
    path = folder / "board.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    board = open_board(path)
    rate = float(rng.choice([8000, 16_000, 44_100, 48_000, 96_000]))
    channels, samples = int(rng.choice([1, 2, 2, 6])), int(rng.choice([0, 1, 500, 10_000]))
    sound = (0.1 * rng.standard_normal((channels, samples))).astype(np.float32)
    if rng.random() < 0.2 and samples:
        sound[:, rng.integers(samples)] = rng.choice([np.nan, np.inf, -np.inf, 1e30])
    out = board(sound, rate)
    assert out.shape == sound.shape, (out.shape, sound.shape)
    assert np.isfinite(out).all(), "NaN or infinity came out"
    return "processed"
