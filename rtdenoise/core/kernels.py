"""Kernels over blocks of samples: the check for NaN and infinity, and the mix of dry and wet."""

from __future__ import annotations

import numpy as np
from numba import types

from .jit import SAMPLES_IN, SAMPLES_OUT, VECTOR, WINDOWS_IN, flush, kernel


@kernel(types.boolean(WINDOWS_IN))
def all_finite(windows):  # type: ignore[no-untyped-def]
    """Return whether every value of *windows* (C, T, N) is finite."""
    # x - x is 0 for every finite x and NaN otherwise; unlike a test of each value, it vectorises.
    bad = np.float32(0.0)
    for c in range(windows.shape[0]):
        for t in range(windows.shape[1]):
            for i in range(windows.shape[2]):
                bad += windows[c, t, i] - windows[c, t, i]
    return bad == np.float32(0.0)


@kernel(types.int64(SAMPLES_IN, SAMPLES_OUT))
def clean(block, out):  # type: ignore[no-untyped-def]
    """Copy *block* to *out* with 0 in place of NaN and infinity; return how many there were."""
    bad = 0
    for c in range(block.shape[0]):
        for i in range(block.shape[1]):
            value = block[c, i]
            if np.isfinite(value):
                out[c, i] = value
            else:
                out[c, i] = 0.0
                bad += 1
    return bad


@kernel(types.float32(types.float32, types.float32, types.float32))
def _towards(value, target, step):  # type: ignore[no-untyped-def]
    """Return *value*, moved towards *target* by at most *step*."""
    if value < target:
        return min(target, value + step)
    return max(target, value - step)


@kernel(types.void(SAMPLES_IN, SAMPLES_OUT, VECTOR, types.float32, types.float32, types.float32))
def crossfade(dry, wet, gains, dry_gain, residual, step):  # type: ignore[no-untyped-def]
    """Mix *dry* into *wet*, both (channels, samples).

    The kept sound is ``(1 - g) wet + g dry``, the removed sound is *dry* minus the kept sound, and
    the result is ``(1 - r)`` of the one plus r of the other. *gains* holds g and r; they move
    towards *dry_gain* and *residual* by *step* a sample, so that no change of them clicks.
    """
    g, r = gains[0], gains[1]
    one = np.float32(1.0)
    for i in range(wet.shape[1]):
        g = _towards(g, dry_gain, step)
        r = _towards(r, residual, step)
        for c in range(wet.shape[0]):
            removed = (one - g) * (dry[c, i] - wet[c, i])
            kept = (one - g) * wet[c, i] + g * dry[c, i]
            if r == 0.0:
                wet[c, i] = kept
            elif r == 1.0:
                wet[c, i] = removed
            else:
                wet[c, i] = (one - r) * kept + r * removed
    gains[0], gains[1] = g, r


@kernel(types.void())
def flush_denormals():  # type: ignore[no-untyped-def]
    """Take denormals for zero in the calling thread, for good: they can cost 100 times the time."""
    flush()
