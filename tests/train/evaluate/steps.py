"""A user's own step of damage, for the tests of mixes."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d


def agc(audio, rate_hz, rng):
    """Automatic gain: the level of 200 ms is brought to -20 dB, by 20 dB at most."""
    level = np.sqrt(np.maximum(uniform_filter1d((audio**2).mean(0), round(0.2 * rate_hz)), 0))
    return audio * np.minimum(10.0, 0.1 / (level + 1e-6))
