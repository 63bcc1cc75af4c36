"""Dry and wet in step, around any stage."""

from __future__ import annotations

import numpy as np
import pytest

from rtdenoise.core.blend import Blend, Strength
from rtdenoise.core.stage import Chain, process
from rtdenoise.core.stream import Stream
from rtdenoise.errors import UsageError
from tests.test_stages import Frames

STREAM = Stream(48_000, 1)
TONE = (0.5 * np.sin(2 * np.pi * 997 / 48_000 * np.arange(24_000))).astype(np.float32)[None]


@pytest.mark.parametrize(
    ("strength", "gain"),
    [
        (Strength(), 0.5),
        (Strength(mix=0), 1.0),
        (Strength(mix=50), 0.75),
        (Strength(atten_lim_db=20), 0.55),
        (Strength(residual=True), 0.5),
        (Strength(mix=50, residual=True), 0.25),
    ],
)
def test_strength_mixes_any_stage_with_its_aligned_input(strength, gain):
    """A stage that halves, 480 samples late: the gains add up only if dry and wet are in step."""
    out = process(Blend(Frames(STREAM), strength), TONE)

    np.testing.assert_allclose(out, gain * TONE, atol=1e-6)


def test_bypass_is_the_aligned_input_and_the_switch_does_not_click():
    """No sample jumps, in nor out, and between the two the input comes through as it was."""
    blend = Blend(Frames(STREAM), Strength(mix=100))
    parts = []
    for turn, block in enumerate(np.split(TONE, 24, axis=1)):
        blend.bypass = 8 <= turn < 16
        parts.append(blend.push(block))
    out = np.concatenate(parts, axis=1)[0]
    steepest = np.abs(np.diff(TONE[0])).max()

    assert np.array_equal(out[9960:15000], TONE[0, 9960 - 480 : 15000 - 480])
    np.testing.assert_allclose(out[17000:], 0.5 * TONE[0, 17000 - 480 : -480], atol=1e-6)
    assert np.abs(np.diff(out)).max() < 1.05 * steepest


def test_a_stage_that_hands_its_input_back_is_not_written_over():
    """A wire returns the block it was given; the mix must not read what it has written."""
    out = process(Blend(Chain([], STREAM), Strength(mix=50)), TONE)

    np.testing.assert_allclose(out, TONE, atol=1e-7)


def test_values_out_of_range_say_what_was_wanted():
    """Wanted, got, choices."""
    with pytest.raises(UsageError, match="mix = 101: wanted 0"):
        Strength(mix=101)
    with pytest.raises(UsageError, match="atten_lim_db = -1: wanted 0"):
        Strength(atten_lim_db=-1)
