"""A ring buffer between two threads: one writes, one reads, and neither waits.

The indices count samples since the start and never wrap (an int64 lasts six million years at
48 kHz), so full and empty cannot be confused. The writer publishes its index with *release* after
the samples are in place; the reader looks at it with *acquire* before it takes them, and the
reverse for the room that becomes free. Each index has a cache line of its own.
"""

from __future__ import annotations

import numpy as np
from numba import types

from ..audio import Samples
from .jit import BUFFER, INDICES, SAMPLES_IN, SAMPLES_OUT, kernel, load_acquire, store_release

WRITTEN, READ = 0, 8  # 8 x 8 bytes apart: two cache lines


@kernel(types.int64(BUFFER, INDICES, SAMPLES_IN))
def _write(data, index, block):  # type: ignore[no-untyped-def]
    channels, n = block.shape
    capacity = data.shape[1]
    start = index[WRITTEN]
    if n > capacity - (start - load_acquire(index, READ)):
        return 0
    at = start % capacity
    first = min(n, capacity - at)
    for c in range(channels):
        for i in range(first):
            data[c, at + i] = block[c, i]
        for i in range(n - first):
            data[c, i] = block[c, first + i]
    store_release(index, WRITTEN, start + n)
    return n


@kernel(types.int64(BUFFER, INDICES, SAMPLES_OUT))
def _read(data, index, out):  # type: ignore[no-untyped-def]
    channels, n = out.shape
    capacity = data.shape[1]
    start = index[READ]
    if n > load_acquire(index, WRITTEN) - start:
        return 0
    at = start % capacity
    first = min(n, capacity - at)
    for c in range(channels):
        for i in range(first):
            out[c, i] = data[c, at + i]
        for i in range(n - first):
            out[c, first + i] = data[c, i]
    store_release(index, READ, start + n)
    return n


@kernel(types.int64(INDICES))
def _available(index):  # type: ignore[no-untyped-def]
    return load_acquire(index, WRITTEN) - load_acquire(index, READ)


@kernel(types.int64(INDICES))
def _written(index):  # type: ignore[no-untyped-def]
    return load_acquire(index, WRITTEN)


class Ring:
    """A ring buffer of (channels, samples) float32 with one producer and one consumer.

    One thread may call `write` while one other calls `read`. Neither call allocates, locks or
    takes the GIL. A block goes in or out whole, or not at all.

    Args:
        channels: Channel count of every block.
        capacity: Most samples per channel that the ring can hold.

    >>> ring = Ring(1, 8)
    >>> ring.write(np.ones((1, 5), np.float32)), ring.write(np.ones((1, 5), np.float32))
    (True, False)
    >>> ring.available
    5
    """

    def __init__(self, channels: int, capacity: int) -> None:
        self.data = np.zeros((channels, capacity), np.float32)
        self.index = np.zeros(16, np.int64)

    @property
    def capacity(self) -> int:
        """The most samples per channel that the ring can hold."""
        return self.data.shape[1]

    @property
    def written(self) -> int:
        """The samples per channel that were written since the start."""
        return int(_written(self.index))

    @property
    def available(self) -> int:
        """The samples per channel that can be read now."""
        return int(_available(self.index))

    def write(self, block: Samples) -> bool:
        """Append *block*; return False and change nothing if there is no room for it."""
        return bool(_write(self.data, self.index, block) == block.shape[1])

    def read(self, out: Samples) -> bool:
        """Fill *out*; return False and change nothing if the ring holds too few samples."""
        return bool(_read(self.data, self.index, out) == out.shape[1])

    def reset(self, silence: int = 0) -> None:
        """Empty the ring and write *silence* zeros per channel; no other thread may use it then."""
        self.data[:] = 0
        self.index[:] = 0
        self.index[WRITTEN] = silence
