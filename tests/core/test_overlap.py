"""Windows add up to one, and cutting then adding up is the identity."""

from __future__ import annotations

import numpy as np
import pytest

from rtdenoise.core.overlap import cut, overlap_add, ripple, window
from rtdenoise.errors import ModelError


@pytest.mark.parametrize(
    ("before", "after", "hop"),
    [("sqrt_hann", "sqrt_hann", 512), ("rect", "hann", 512), ("hann", "rect", 512)],
)
def test_products_that_add_up_to_one(before, after, hop):
    """sin^2 + cos^2 = 1, up to float32."""
    assert ripple(window(before, 1024), window(after, 1024), hop) < 1e-6


def test_products_that_do_not():
    """Hann twice is cos^4: it ripples by a half; a rectangle alone doubles everything."""
    assert ripple(window("hann", 1024), window("hann", 1024), 512) == pytest.approx(0.5, abs=1e-6)
    assert ripple(window("rect", 1024), window("rect", 1024), 512) == pytest.approx(1.0)


def test_an_unknown_window_is_named():
    """The message lists the known ones."""
    with pytest.raises(ModelError, match=r"'kaiser'.*sqrt_hann, hann, rect"):
        window("kaiser", 8)


def test_windows_hold_the_samples_they_should(rng):
    """Window t covers the N samples that end with hop t."""
    audio = rng.standard_normal((2, 5 * 4)).astype(np.float32)
    history, windows = np.zeros((2, 6), np.float32), np.empty((2, 5, 10), np.float32)
    cut(history, audio, np.ones(10, np.float32), windows)
    padded = np.pad(audio, ((0, 0), (6, 0)))

    for t in range(5):
        assert np.array_equal(windows[:, t], padded[:, 4 * t : 4 * t + 10])
    assert np.array_equal(history, audio[:, -6:])


def test_overlap_add_is_the_sum_of_shifted_windows(rng):
    """Against the definition, written with slices."""
    windows = rng.standard_normal((2, 7, 10)).astype(np.float32)
    shape = rng.standard_normal(10).astype(np.float32)
    tail, out = np.zeros((2, 6), np.float32), np.empty((2, 7 * 4), np.float32)
    overlap_add(windows, shape, tail, out)
    expected = np.zeros((2, 7 * 4 + 6))
    for t in range(7):
        expected[:, 4 * t : 4 * t + 10] += windows[:, t] * shape

    np.testing.assert_allclose(out, expected[:, :28], atol=1e-5)
    np.testing.assert_allclose(tail, expected[:, 28:], atol=1e-5)
