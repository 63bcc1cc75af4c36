"""Voices, noises and damage for the tests of evaluation."""

from __future__ import annotations

import numpy as np

RATE = 16_000


def voice(seconds=3.0, seed=0):
    """Noise that comes in syllables, loudest below 1 kHz: (samples,)."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hz = np.arange(len(spectrum)) * RATE / n
    x = np.fft.irfft(spectrum / (1 + (hz / 800) ** 1.5), n)
    return (0.1 * x * (1.1 + np.sin(2 * np.pi * 3 * np.arange(n) / RATE))).astype(np.float32)


def noise(seed=9, n=3 * RATE):
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32)


def at_snr(x, snr_db, seed=9):
    added = noise(seed, len(x))
    return x + added * (x.std() / added.std() * 10 ** (-snr_db / 20))


def room(x, drr_db=-3.0):
    """Direct sound and an exponentially decaying tail that is stronger in sum."""
    rng = np.random.default_rng(3)
    tail = rng.standard_normal(6000) * np.exp(-np.arange(6000) / 1500)
    tail[:200] = 0
    tail *= 10 ** (-drr_db / 20) / np.linalg.norm(tail)
    tail[0] = 1.0
    return np.stack([np.convolve(row, tail)[: x.shape[1]] for row in x])


def low(x):
    spectrum = np.fft.rfft(x)
    spectrum[..., int(2500 / (RATE / 2) * spectrum.shape[-1]) :] = 0
    return np.fft.irfft(spectrum, x.shape[-1])
