"""The grades that a metric game predicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from train.losses.learned import Examiner, Grader

CLIPS = Path(__file__).parents[3] / "examples/audio"


def test_grades_rank_a_copy_a_little_noise_and_much():
    """A copy has a grade of 1 in both; noise lowers both, and silence has none."""
    clean = sf.read(CLIPS / "clean.flac", dtype="float32", always_2d=True)[0].T[0, :96_000]
    noise = np.random.default_rng(1).normal(0, clean.std(), clean.shape).astype(np.float32)
    made = np.stack([clean, clean + 0.03 * noise, clean + noise])
    found = Examiner()(made, np.stack([clean] * 3))
    assert found.shape == (3, 2)
    assert found[0] == pytest.approx([1.0, 1.0], abs=0.01)
    assert (np.diff(found, axis=0) < 0).all()
    assert np.array_equal(Examiner(1)(made[:2], made[:2]), [found[0]] * 2)
    silence = np.zeros((1, 48_000), np.float32)
    assert np.isnan(Examiner()(silence, silence)).all()


def test_a_grader_compares_with_the_reference_and_does_not_care_for_rows_beside():
    """The same candidate has another grade beside another reference; rows are independent."""
    torch.manual_seed(0)
    grader = Grader(4).eval()
    a, b = torch.randn(2, 3, 1, 24_000)
    [both], _ = grader(a, b)
    [alone], _ = grader(a[1:2], b[1:2])
    [other], _ = grader(a, b.roll(1, 0))
    assert both.shape == (3, 2)
    torch.testing.assert_close(both[1:2], alone)
    assert (both - other).abs().max() > 1e-6
