"""How quiet the pauses of a recording are: what a voice has of its own noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FRAME_S = 0.02  # length of a frame whose level counts


def range_db(voice: NDArray[np.floating], rate_hz: int) -> float:
    """Return how far the quiet frames of *voice* (n,) are below the loud ones, in dB.

    Quiet and loud are the 5th and the 95th percentile of the frames' levels. A sound shorter than
    a frame has a range of 0 dB.

    >>> round(range_db(np.repeat([1.0, 0.01], 48_000), 48_000))
    40
    """
    frame = round(FRAME_S * rate_hz)
    frames = voice[: len(voice) // frame * frame].reshape(-1, frame).astype(np.float64)
    if not len(frames):
        return 0.0
    levels_db = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    low, high = np.percentile(levels_db, [5, 95])
    return float(high - low)
