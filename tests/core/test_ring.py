"""The ring buffer: whole blocks, in order, between two threads."""

from __future__ import annotations

import threading

import numpy as np
from hypothesis import given, strategies as st

from rtdenoise.core.ring import Ring


@given(sizes=st.lists(st.integers(-40, 40), max_size=60))
def test_what_goes_in_comes_out_in_order(sizes):
    """Against a list: blocks go in (positive) and out (negative) whole, or not at all."""
    ring, counter = Ring(2, 64), 0
    model: list[float] = []
    for size in sizes:
        if size >= 0:
            block = np.arange(counter, counter + size, dtype=np.float32)
            counter += size
            fits = len(model) + size <= 64
            assert ring.write(np.stack([block, -block])) == fits
            model += block.tolist() if fits else []
        else:
            out = np.full((2, -size), np.nan, np.float32)
            enough = len(model) >= -size
            assert ring.read(out) == enough
            if enough:
                assert out[0].tolist() == model[:-size] == (-out[1]).tolist()
                del model[:-size]
        assert ring.available == len(model)


def test_slices_and_read_only_blocks_need_no_copy():
    """Callbacks hand over strided and read-only views; neither is refused."""
    frames = np.arange(20, dtype=np.float32).reshape(10, 2)
    frames.flags.writeable = False
    ring, out = Ring(2, 16), np.empty((2, 12), np.float32)

    assert ring.write(frames.T)
    assert ring.read(out[:, 1:11])
    assert np.array_equal(out[:, 1:11], frames.T)


def test_two_threads_lose_nothing():
    """A million samples cross between a writer and a reader that never wait for each other."""
    ring, total = Ring(1, 1000), 1_000_000
    data = np.arange(total, dtype=np.float32)[None]

    def produce():
        at = 0
        while at < total:
            size = min(1 + at % 337, total - at)
            at += size if ring.write(data[:, at : at + size]) else 0

    writer = threading.Thread(target=produce)
    writer.start()
    got, at = np.empty_like(data), 0
    while at < total:
        size = min(1 + at % 251, total - at)
        at += size if ring.read(got[:, at : at + size]) else 0
    writer.join()

    assert np.array_equal(got, data)
