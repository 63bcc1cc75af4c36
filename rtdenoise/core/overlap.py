"""Windows, and the two kernels of overlap-add: one cuts a stream into windows, one adds them up.

Windows of N samples every H samples give the signal back when the analysis window a, applied before
the net, times the synthesis window s, applied after it, adds up to one:

    sum_k a[n + kH] * s[n + kH] = 1 for every n.

Two sqrt-Hann windows do so at H = N/2, because hann[n] + hann[n + N/2] = sin^2 + cos^2; a rectangle
before and a Hann window after do so by the same sum. (Griffin and Lim 1984, eq. 6, equal windows.)
"""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from ..errors import ModelError
from .jit import BUFFER, SAMPLES_IN, SAMPLES_OUT, VECTOR_IN, WINDOWS_IN, WINDOWS_OUT, kernel

WINDOWS = ("sqrt_hann", "hann", "rect")


def window(name: str, n: int) -> NDArray[np.float32]:
    """Return the periodic window *name* of *n* samples, (n,) float32.

    The window is periodic and not symmetric, because only periodic windows add up to one.

    Raises:
        ModelError: If no window has this name.

    >>> window("hann", 4)
    array([0. , 0.5, 1. , 0.5], dtype=float32)
    """
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    shapes = {"sqrt_hann": np.sqrt(hann), "hann": hann, "rect": np.ones(n)}
    if name not in shapes:
        raise ModelError(f"unknown window {name!r}; known: {', '.join(WINDOWS)}")
    return shapes[name].astype(np.float32)


def ripple(analysis: NDArray[np.float32], synthesis: NDArray[np.float32], hop: int) -> float:
    """Return the largest distance from one of the overlapped product of two windows.

    Args:
        analysis: The window (N,) that is applied before the net.
        synthesis: The window (N,) that is applied after the net.
        hop: Samples between two windows.

    >>> ripple(window("sqrt_hann", 8), window("sqrt_hann", 8), 4) < 1e-6
    True
    """
    product = analysis.astype(np.float64) * synthesis
    padded = np.pad(product, (0, -len(product) % hop))
    return float(np.abs(padded.reshape(-1, hop).sum(0) - 1.0).max())


@kernel(types.void(BUFFER, SAMPLES_IN, VECTOR_IN, WINDOWS_OUT))
def cut(history, hops, analysis, windows):  # type: ignore[no-untyped-def]
    """Cut *hops* (C, T*H) into *windows* (C, T, N); *history* (C, N-H) holds the samples before."""
    channels, count, n = windows.shape
    kept = history.shape[1]
    hop = n - kept
    for c in range(channels):
        for t in range(count):
            start = t * hop - kept
            split = min(n, max(0, -start))
            for i in range(split):
                windows[c, t, i] = history[c, kept + start + i] * analysis[i]
            for i in range(split, n):
                windows[c, t, i] = hops[c, start + i] * analysis[i]
        total = count * hop
        for i in range(kept):
            source = total + i - kept
            history[c, i] = history[c, total + i] if source < 0 else hops[c, source]


@kernel(types.void(WINDOWS_IN, VECTOR_IN, BUFFER, SAMPLES_OUT))
def overlap_add(windows, synthesis, tail, out):  # type: ignore[no-untyped-def]
    """Add up *windows* (C, T, N) into *out* (C, T*H); *tail* (C, N-H) holds unfinished samples."""
    channels, count, n = windows.shape
    kept = tail.shape[1]
    hop = n - kept
    for c in range(channels):
        for t in range(count):
            at = t * hop
            for i in range(hop):
                value = windows[c, t, i] * synthesis[i]
                out[c, at + i] = value + tail[c, i] if i < kept else value
            for i in range(kept):
                rest = tail[c, i + hop] if i + hop < kept else np.float32(0.0)
                tail[c, i] = rest + windows[c, t, hop + i] * synthesis[hop + i]
