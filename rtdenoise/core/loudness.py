"""Loudness by ITU-R BS.1770-5: the K weighting, at any rate, and the gated loudness of a recording.

Two filters weigh the sound as ears do: a shelf that raises what the head raises, and a high-pass.
The power of what they give, added up over the channels, is averaged over blocks of 400 ms, of which
one begins every 100 ms (a hop here). What is softer than -70 LUFS, and what is 10 LU softer than
the mean of the rest, does not count: pauses are not part of how loud somebody speaks.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types
from numpy.typing import NDArray

from ..audio import Samples
from .jit import DOUBLES, REALS, SAMPLES_IN, kernel

HOP_S, HOPS = 0.1, 4  # a block is four hops
SILENT_LUFS, PAUSE_LU = -70.0, -10.0


@kernel(types.void(SAMPLES_IN, DOUBLES, REALS, DOUBLES, types.int64, types.int64))
def weigh(block, k, z, sums, at, hop):  # type: ignore[no-untyped-def]
    """Add the weighted energy of *block* (channels, n) to the hops in *sums*.

    *k* holds the coefficients of both filters (see `weights`), *z* (channels, 4) their state, and
    *at* is the place of the first sample, counted from the beginning of ``sums[0]``.
    """
    for i in range(block.shape[1]):
        power = 0.0
        for c in range(block.shape[0]):
            x = float(block[c, i])
            y = k[0] * x + z[c, 0]
            z[c, 0] = k[1] * x - k[3] * y + z[c, 1]
            z[c, 1] = k[2] * x - k[4] * y
            w = k[5] * y + z[c, 2]
            z[c, 2] = k[6] * y - k[8] * w + z[c, 3]
            z[c, 3] = k[7] * y - k[9] * w
            power += w * w
        sums[(at + i) // hop] += power


def weights(rate: int) -> NDArray[np.float64]:
    """Return the coefficients (b0, b1, b2, a1, a2) of the shelf and then of the high-pass.

    The standard gives them at 48 kHz. These are the analogue filters behind them (De Man,
    "Evaluation of Implementations of the EBU R128 Loudness Measurement", 2018) at *rate* Hz.
    """
    q, gain = 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    t = math.tan(math.pi * min(1681.974450955533 / rate, 0.45))
    middle, a0 = gain**0.4996667741545416, 1 + t / q + t * t
    shelf = (
        (gain + middle * t / q + t * t) / a0,
        2 * (t * t - gain) / a0,
        (gain - middle * t / q + t * t) / a0,
        2 * (t * t - 1) / a0,
        (1 - t / q + t * t) / a0,
    )
    q, t = 0.5003270373238773, math.tan(math.pi * 38.13547087602444 / rate)
    a0 = 1 + t / q + t * t
    return np.array([*shelf, 1.0, -2.0, 1.0, 2 * (t * t - 1) / a0, (1 - t / q + t * t) / a0])


def lufs(power: float) -> float:
    """Return the loudness in LUFS of a mean weighted power; -inf for none."""
    return -0.691 + 10 * math.log10(power) if power > 0 else -math.inf


def blocks(audio: Samples, rate: int) -> NDArray[np.float64]:
    """Return the mean weighted power of each block of *audio* (channels, samples).

    What is shorter than a block counts as one.
    """
    hop = round(HOP_S * rate)
    sums = np.zeros(audio.shape[1] // hop + 1)
    weigh(audio, weights(rate), np.zeros((audio.shape[0], 4)), sums, 0, hop)
    if len(sums) <= HOPS:
        return np.array([sums.sum() / max(1, audio.shape[1])])
    whole = np.concatenate(([0.0], np.cumsum(sums[:-1])))
    power: NDArray[np.float64] = (whole[HOPS:] - whole[:-HOPS]) / (HOPS * hop)
    return power


def integrated(audio: Samples, rate: int) -> float:
    """Return the loudness of *audio* (channels, samples) in LUFS; -inf for silence.

    >>> tone = np.sin(np.arange(48_000, dtype=np.float32) * 2 * np.pi * 997 / 48_000)
    >>> round(integrated(tone[None], 48_000), 1)
    -3.0
    """
    power = blocks(audio, rate)
    loud = power[power >= 10 ** ((SILENT_LUFS + 0.691) / 10)]
    if not len(loud):
        return -math.inf
    return lufs(float(loud[loud >= loud.mean() * 10 ** (PAUSE_LU / 10)].mean()))
