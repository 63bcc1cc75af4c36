"""Kernels over blocks: what is not finite is found, and no mix can click."""

from __future__ import annotations

import numpy as np
import pytest

from rtdenoise.core.kernels import all_finite, clean, crossfade


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_bad_value_is_found(bad):
    """Anywhere in the windows; two infinities of opposite sign too."""
    windows = np.zeros((2, 3, 8), np.float32)
    assert all_finite(windows)
    windows[1, 2, 7] = bad
    assert not all_finite(windows)
    windows[0, 0, 0] = -bad
    assert not all_finite(windows)


def test_clean_counts_what_it_replaces():
    """NaN and infinity become 0; everything else is copied."""
    block = np.array([[1, np.nan, -np.inf, 0.5]], np.float32)
    out = np.empty_like(block)

    assert clean(block, out) == 2
    assert out.tolist() == [[1, 0, 0, 0.5]]


@pytest.mark.parametrize("residual", [0.0, 1.0])
def test_a_crossfade_moves_no_faster_than_its_step(residual):
    """From all wet to all dry in ten samples, in a straight line: no click."""
    dry, wet = np.ones((1, 20), np.float32), np.zeros((1, 20), np.float32)
    gains = np.array([0.0, residual], np.float32)
    crossfade(dry, wet, gains, 1.0, residual, 0.1)
    rising = np.clip(np.arange(1, 21) / 10, 0, 1)

    np.testing.assert_allclose(wet[0], 1 - rising if residual else rising, atol=1e-6)
    assert gains[0] == 1


def test_what_was_removed_fades_in_and_out():
    """The residual of a stage that halves is a half, and no step on the way is more than a step."""
    dry, wet = np.ones((1, 40), np.float32), np.full((1, 40), 0.25, np.float32)
    gains = np.zeros(2, np.float32)
    crossfade(dry, wet, gains, 0.0, 1.0, 0.1)

    assert wet[0, -1] == 0.75
    assert np.abs(np.diff(wet[0], prepend=0.25)).max() < 0.1
