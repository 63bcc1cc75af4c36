"""What anybody could do without a net."""

from __future__ import annotations

import numpy as np
import pytest

from tests.train.evaluate.sounds import RATE, low, voice
from train.evaluate import checks
from train.evaluate.baselines import BASELINES


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_keep_shape_and_the_band_that_was_there(name):
    """None may move, cut or turn the sound below the cut-off, or be random."""
    x = low(np.stack([voice(seed=s) for s in (1, 2)])).astype(np.float32)
    y = BASELINES[name](x, RATE, 2500.0)
    assert y.shape == x.shape
    assert y.dtype == np.float32
    assert np.array_equal(y, BASELINES[name](x, RATE, 2500.0))
    for row in range(2):
        found = checks.link(y[row], x[row], RATE)
        assert (found.lag, found.polarity) == (0, 1)
        assert found.correlation > 0.8


def test_super_resolution_baselines_do_what_they_are_called():
    """sinc leaves nothing above, spline images, noise fill follows the level below."""
    x = low(voice()[None]).astype(np.float32)
    high = {name: x - low(x) for name, x in ((n, BASELINES[n](x, RATE, 2500.0)) for n in BASELINES)}
    assert np.abs(high["sinc"]).std() < 0.02 * x.std()
    assert high["noise-fill"].std() > 2 * np.abs(high["sinc"]).std()
    louder = BASELINES["noise-fill"](4 * x, RATE, 2500.0)
    np.testing.assert_allclose(louder, 4 * BASELINES["noise-fill"](x, RATE, 2500.0), atol=1e-4)
