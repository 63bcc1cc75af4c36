"""The bandwidth of a recording: the frequency above which nothing but coding noise lies.

What a file or its manifest states is often wrong: 16 kHz speech is sold as 48 kHz, and MP3 ends at
16 kHz whatever its rate. A net that is trained on such recordings would learn that speech has no
high frequencies. So it is measured, in bands of about 400 Hz, from the loud frames of a recording:

1. The top band with sound in it is above the noise of int16 samples.
2. A codec, or the filter before one, leaves an edge: the level falls by `EDGE_DB` within two bands,
   is high in the three bands below, and nowhere above them does it come near again. What is above
   an edge counts as coding noise if it is close to that of int16 samples, or far below the voice.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FRAMES = 600  # frames looked at, spread over the recording
BAND = 16  # bins of a band
ACTIVE_DB = 45.0  # frames within this of the loudest count
OFTEN = 95  # percentile over the frames: louder ones may be clicks
FLOOR_DB = 9.0  # what lies this little above the noise of int16 samples counts as noise
EDGE_DB = 15.0  # fall of the level at an edge
NEAR_DB = 20.0  # largest level of coding noise above the noise of int16 samples,
FAR_DB = 60.0  # or below the loudest band


def measure(samples: NDArray[np.int16], rate_hz: int) -> float:
    """Measure the bandwidth of a recording, at most half its rate.

    Args:
        samples: Samples (samples,) as the cache holds them.
        rate_hz: Their sample rate.

    Returns:
        The upper end in Hz of the highest band that holds more than coding noise; half the rate for
        a recording that is too short to tell.
    """
    size = 2 ** round(math.log2(rate_hz / 24))
    if len(samples) < 4 * size:
        return rate_hz / 2
    starts = np.unique(np.linspace(0, len(samples) - size, FRAMES).astype(int) // (size // 4))
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[starts * (size // 4)]
    window = np.hanning(size).astype(np.float32)
    power = np.abs(np.fft.rfft(frames * (window / 32768))) ** 2
    bands = power[:, 1 : size // 2 + 1].reshape(len(frames), -1, BAND).sum(2)
    total = bands.sum(1)
    loud = bands[total >= total.max() * 10 ** (-ACTIVE_DB / 10)]
    noise = BAND * np.square(window).sum() / 12 / 32768**2
    level_db = 10 * np.log10(np.percentile(loud, OFTEN, 0) / noise + 1e-9)
    return _top(level_db) * BAND * float(rate_hz) / int(size)


def _top(level_db: NDArray[np.float64]) -> int:
    """Return the number of bands up to the last with sound; levels are above int16's noise."""
    sound = np.flatnonzero(level_db > FLOOR_DB)
    top = int(sound[-1]) + 1 if len(sound) else len(level_db)
    quiet_db = max(NEAR_DB, level_db.max() - FAR_DB)
    for edge in range(3, top - 1):
        above_db = level_db[edge + 1 :].max()
        if above_db < min(quiet_db, level_db[edge - 3 : edge].min() - EDGE_DB):
            return edge + 1 if level_db[edge] > above_db + EDGE_DB else edge
    return top
