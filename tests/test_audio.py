"""The contract for arrays: layouts as pedalboard tells them, channels as people expect."""

from __future__ import annotations

import numpy as np
import pytest

from rtdenoise.audio import Layout, check_channels, check_rate, fit_channels, gain_to_db
from rtdenoise.errors import AudioError


@pytest.mark.parametrize(
    ("shape", "channels", "name"),
    [
        ((480,), None, "1"),
        ((2, 480), None, "cs"),
        ((480, 2), None, "sc"),
        ((1, 1), None, "cs"),
        ((2, 1), 2, "cs"),  # one sample of a stereo stream: the memory breaks the tie
        ((1, 2), 2, "sc"),
        ((0, 2), None, "sc"),
        ((2, 0), None, "cs"),
    ],
)
def test_the_shorter_side_is_the_channels(shape, channels, name):
    """pedalboard's rule, and the channel count of the stream where it is not enough."""
    array = np.random.default_rng(0).standard_normal(shape)
    layout = Layout.of(array, channels)

    assert layout.name == name
    assert np.allclose(layout.from_samples(layout.to_samples(array)), array)


def test_a_square_block_needs_a_history():
    """Without one it is refused; with one it is what the stream was."""
    square = np.zeros((2, 2))
    with pytest.raises(AudioError, match=r"square array \(2, 2\)"):
        Layout.of(square)
    assert Layout.of(square, 2, Layout("sc")).name == "sc"


@pytest.mark.parametrize("shape", [(), (1, 2, 3)])
def test_other_dimensions_are_refused(shape):
    """The message shows the shape that came."""
    with pytest.raises(AudioError, match="got shape"):
        Layout.of(np.zeros(shape))


def test_channels_fit_as_a_cable_would():
    """One goes to all, many to one are averaged, otherwise the first are kept."""
    stereo = np.array([[1.0], [0.0]], np.float32)

    assert fit_channels(stereo, 2) is stereo
    assert fit_channels(stereo, 1).tolist() == [[0.5]]
    assert fit_channels(stereo[:1], 3).tolist() == [[1], [1], [1]]
    assert fit_channels(stereo, 3).tolist() == [[1], [0], [0]]
    assert fit_channels(np.concatenate([stereo, stereo]), 2).tolist() == [[1], [0]]


@pytest.mark.parametrize("rate", [0, -5, 7, 1_000_000, 44_100.5, float("nan")])
def test_rates_that_cannot_be(rate):
    """7 Hz and 1 MHz are damaged headers."""
    with pytest.raises(AudioError, match="wanted a whole number"):
        check_rate(rate)


@pytest.mark.parametrize("channels", [0, -1, 65, 300])
def test_channel_counts_that_cannot_be(channels):
    """So are 0 and 300 channels."""
    with pytest.raises(AudioError, match="wanted 1 to 64"):
        check_channels(channels)


def test_levels():
    """Full scale is 0 dB; silence has a floor."""
    assert gain_to_db(1.0) == 0
    assert gain_to_db(0.0) == -120
