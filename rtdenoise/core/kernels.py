"""Kernels over whole blocks of samples: finite or not, and the mix of dry and wet."""

from __future__ import annotations

import numpy as np
from numba import types

from .jit import SAMPLES_IN, SAMPLES_OUT, VECTOR, WINDOWS_IN, kernel


@kernel(types.boolean(WINDOWS_IN))
def all_finite(windows):  # type: ignore[no-untyped-def]
    """Tell whether no value is NaN or infinite."""
    # x - x is 0 for every finite x and NaN otherwise; unlike a test per value it vectorises.
    bad = np.float32(0.0)
    for c in range(windows.shape[0]):
        for t in range(windows.shape[1]):
            for i in range(windows.shape[2]):
                bad += windows[c, t, i] - windows[c, t, i]
    return bad == np.float32(0.0)


@kernel(types.int64(SAMPLES_IN, SAMPLES_OUT))
def clean(block, out):  # type: ignore[no-untyped-def]
    """Copy *block* to *out* with 0 for NaN and infinity; return how many there were."""
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
    """*value*, moved to *target* by *step* at most."""
    if value < target:
        return min(target, value + step)
    return max(target, value - step)


@kernel(types.void(SAMPLES_IN, SAMPLES_OUT, VECTOR, types.float32, types.float32, types.float32))
def crossfade(dry, wet, gains, dry_gain, residual, step):  # type: ignore[no-untyped-def]
    """Put ``(1 - g) wet + g dry`` into *wet*, or what that lacks of *dry* as far as r says.

    *gains* holds g and r, the shares of the dry signal and of the residual; they move towards
    *dry_gain* and *residual* by *step* a sample, so that no setting can click.
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
