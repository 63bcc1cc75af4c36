"""A loop from the output back to the input: a chirp is sent, and found in what is heard.

The chirp is short and quiet. A cable, a virtual cable, and speakers that the microphone hears are
all loops.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples

CHIRP_S = 0.25
LEVEL = 0.1  # peak of the chirp, of full scale
LOW_HZ, HIGH_HZ = 400.0, 6000.0  # what small speakers play and an 16 kHz card has
MATCH = 0.3  # correlation of the chirp with what is heard; a voice reaches less than 0.2


def chirp(rate: int) -> NDArray[np.float32]:
    """Return the chirp (samples,) at *rate* Hz: a rising tone that fades in and out."""
    t = np.arange(round(CHIRP_S * rate)) / rate
    high_hz = min(HIGH_HZ, 0.4 * rate)
    phase = 2 * np.pi * (LOW_HZ * t + 0.5 * (high_hz - LOW_HZ) * t**2 / CHIRP_S)
    return (LEVEL * np.hanning(len(t)) * np.sin(phase)).astype(np.float32)


def find(heard: Samples, sent: NDArray[np.float32], begin: int) -> int | None:
    """Return by how many samples *sent* comes late in *heard*, or None if it is not in it.

    Args:
        heard: What the input gave, (channels, samples); the channel that has most of it counts.
        sent: What the output played, (samples,).
        begin: Sample of *heard* at whose time the first sample of *sent* was played.

    >>> tone = chirp(8000)
    >>> find(np.concatenate((np.zeros(700, np.float32), tone))[None], tone, begin=300)
    400
    """
    late, best = None, MATCH
    for row in heard:
        after = row[begin:].astype(np.float64)
        count = len(after) - len(sent) + 1
        if count < 1:
            continue
        size = 1 << (len(after) + len(sent)).bit_length()
        match = np.fft.irfft(np.fft.rfft(after, size) * np.conj(np.fft.rfft(sent, size)))[:count]
        energy = np.concatenate(([0.0], np.cumsum(after**2)))
        energy = np.maximum(energy[len(sent) :] - energy[:count], 0.0)
        # What is 80 dB below the chirp is no loop; the floor also keeps silence from being divided.
        floor = 1e-4 * float(np.linalg.norm(sent))
        alike = np.abs(match) / (np.linalg.norm(sent) * np.maximum(np.sqrt(energy), floor))
        at = int(np.argmax(alike))
        if alike[at] > best:
            late, best = at, float(alike[at])
    return late
