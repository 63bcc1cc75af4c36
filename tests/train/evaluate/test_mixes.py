"""Pairs of sources that no training saw."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.errors import UsageError
from tests.train.sets import RECIPES, TINY
from train.cli import main
from train.evaluate import mixes


def test_mixes_have_the_snr_they_say(cache, tmp_path):
    """Clean and noisy differ by noise at the stated level; pairs of two makings never mingle."""
    mixes.make(cache, TINY, tmp_path, count=8, snr_db=(-5, 0, 5, 20))
    for noisy in sorted((tmp_path / "degraded").iterdir()):
        x, y = sf.read(noisy)[0], sf.read(tmp_path / "clean" / noisy.name)[0]
        assert 20 * np.log10(y.std() / (x - y).std()) == pytest.approx(
            int(noisy.name[3:6]), abs=0.1
        )
    with pytest.raises(UsageError, match="holds pairs already"):
        mixes.make(cache, TINY, tmp_path, count=4)
    assert len(list((tmp_path / "clean").iterdir())) == 8


def test_mixes_depend_on_their_seed_alone(cache, tmp_path):
    """The same pairs again, and others to see whether a score was luck."""
    command = ["mixes", str(RECIPES / "tiny.toml"), "--cache", str(cache), "--count", "5"]
    for name, seed in (("first", "7"), ("again", "7"), ("other", "8")):
        assert main([*command, "-o", str(tmp_path / name), "--seed", seed]) == 0
    first, again, other = (
        np.array([sf.read(path)[0] for path in sorted((tmp_path / name / "degraded").iterdir())])
        for name in ("first", "again", "other")
    )  # not their bytes: libsndfile notes the second in which it wrote
    assert np.array_equal(first, again)
    assert (first != other).any(1).all()
