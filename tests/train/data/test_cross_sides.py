"""Four caches, whose names say which side their voices and their noises are from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.train.sets import make_cache
from train.data.cache import read
from train.data.split import side_of
from train.sections import Data

TOOL = Path(__file__).parents[3] / "tools" / "cross_sides.py"
SIDES = {"t": "train", "d": "dev"}


def test_voices_and_noises_come_from_the_sides_of_the_name(clips, tmp_path):
    """And they sound as they did; all are of the development side, where `mixes` looks."""
    cache = make_cache(clips, tmp_path, 16_000)
    before = read(cache)
    command = [sys.executable, str(TOOL), str(cache), str(tmp_path / "out")]
    subprocess.run(command, cwd=TOOL.parents[1], check=True, capture_output=True)
    sides = {(r.kind, r.source): side_of(r, Data()) for r in before.recordings}
    sounds = {r.source: before.samples_of(r) for r in before.recordings}
    for voices in "td":
        for noises in "td":
            after = read(tmp_path / "out" / (voices + noises))
            wanted = {"speech": SIDES[voices], "noise": SIDES[noises]}
            for r in after.recordings:
                assert sides[r.kind, r.source] == wanted[r.kind]
                assert side_of(r, Data()) == "dev"
                assert np.array_equal(after.samples_of(r), sounds[r.source])
            number = sum(wanted.get(kind) == side for (kind, _), side in sides.items())
            assert len(after.recordings) == number > 0
