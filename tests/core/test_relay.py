"""A relay plays every sample at its place or not at all, and its device's side needs no Python."""

from __future__ import annotations

import ctypes
import sys
import time

import numpy as np
import pytest
from numba import types

from rtdenoise.core.jit import INDICES_AT, array_at, c_function
from rtdenoise.core.relay import HEAD, JOIN, MOST, SIZE, Relay, _turn

HOP, DELAY = 512, 1024
PA_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_ulong,
    ctypes.c_void_p,
    ctypes.c_ulong,
    ctypes.c_void_p,
)


class Device:
    """PortAudio's side of a relay, by the address that PortAudio gets."""

    def __init__(self, relay: Relay, outputs: int) -> None:
        self.relay, self.outputs = relay, outputs
        self._code = PA_CALLBACK(relay.address)

    def call(self, heard: np.ndarray | None, frames: int, flags: int = 0) -> np.ndarray:
        """What is played (frames, outputs)."""
        played = np.full((frames, self.outputs), 7, np.float32)
        given = None if heard is None else np.ascontiguousarray(heard)
        where = None if given is None else given.ctypes.data
        assert self._code(where, played.ctypes.data, frames, None, flags, self.relay.memory) == 0
        return played


class Worker:
    """It plays the first channel of the input on every output, a hop at a time."""

    def __init__(self, relay: Relay, outputs: int, hop: int = HOP, delay: int = DELAY) -> None:
        self.relay, self.outputs, self.hop, self.delay, self.at = relay, outputs, hop, delay, 0

    def work(self) -> None:
        """Do all that there is to do."""
        while self.relay.came - self.at >= self.hop:
            block = self.relay.take(self.at, self.hop)
            assert block is not None
            self.relay.give(self.at + self.delay, np.repeat(block[:, :1], self.outputs, axis=1))
            self.at += self.hop


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (1, 2), (3, 1), (2, 8)])
def test_every_sample_is_at_its_place_whatever_the_blocks(rng, inputs, outputs):
    """Blocks of 1 to 513 samples, more than the rings hold in all, and no other sound than that."""
    relay = Relay((inputs, outputs), DELAY, 1000)
    device, worker = Device(relay, outputs), Worker(relay, outputs)
    sizes = rng.integers(1, HOP + 2, 1500)
    sound = rng.uniform(-1, 1, (sizes.sum(), inputs)).astype(np.float32)
    played = []
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        played.append(device.call(sound[end - size : end], int(size)))
        worker.work()
    heard = np.concatenate(played)

    assert len(heard) > 2 * MOST
    assert not heard[:DELAY].any()
    for channel in heard.T:
        np.testing.assert_array_equal(channel[DELAY:], sound[:-DELAY, 0])
    assert not relay.counts.any()


@pytest.mark.parametrize("blocks", [1, 3, 40, 700])
def test_what_comes_too_late_is_left_out_and_the_delay_stays(blocks):
    """Silence for as long as the worker is late, faded in and out; all else is at its place."""
    relay = Relay((1, 1), DELAY, 1000)
    device, worker = Device(relay, 1), Worker(relay, 1)
    n = np.arange((30 + blocks) * HOP)
    sound = np.sin(n / 20).astype(np.float32)[:, None]  # it moves by 0.05 a sample
    played, late = [], range(10, 12 + blocks)  # the first two of them are in the delay
    for block in range(30 + blocks):
        played.append(device.call(sound[block * HOP : (block + 1) * HOP], HOP))
        if block == late[-1]:
            missed = (late[-1] - late[0] - 1) * HOP
            relay.leave_out(worker.at + DELAY, worker.at + DELAY + missed)
            worker.at += missed
        if block not in late[:-1]:
            worker.work()
    heard = np.concatenate(played)[:, 0]
    silent = slice((late[0] + 2) * HOP, (late[0] + 2 + blocks) * HOP - HOP)
    right = np.concatenate((np.zeros(DELAY), sound[:-DELAY, 0]))
    wrong = np.flatnonzero(heard != right.astype(np.float32))
    count = relay.counts[3]

    assert silent.stop - silent.start <= count <= blocks * HOP
    assert count == relay.counts[2] * HOP
    assert wrong[0] >= silent.start
    assert wrong[-1] < silent.start + count + JOIN
    assert not heard[silent.start + JOIN : silent.start + count].any()
    assert np.abs(np.diff(heard)).max() < 0.1


def test_flags_are_counted():
    """A block has one xrun of an end, however the driver calls it; other flags are none."""
    relay = Relay((1, 1), DELAY, 1000)
    device = Device(relay, 1)
    for flags in (0, 1, 2, 3, 4, 8, 12, 16, 15):
        device.call(np.zeros((8, 1), np.float32), 8, flags)

    assert relay.counts[:2].tolist() == [4, 4]


def test_a_stream_may_lack_an_end():
    """Without an input nothing is read, and without an output nothing is written."""
    relay = Relay((0, 2), DELAY, 1000)
    assert not Device(relay, 2).call(None, HOP).any()
    relay = Relay((2, 0), 0, 1000)
    Device(relay, 0).call(np.ones((HOP, 2), np.float32), HOP)
    block = relay.take(0, HOP)

    assert block is not None
    assert block.all()
    assert not relay.counts.any()


def test_input_that_was_written_over_is_not_given(rng):
    """A worker that slept for longer than the ring is gets nothing instead of other sound."""
    relay = Relay((1, 1), DELAY, 1000)
    device = Device(relay, 1)
    for _ in range(2 * MOST // HOP + 10):
        device.call(np.ones((HOP, 1), np.float32), HOP)

    assert relay.take(0, HOP) is None
    assert relay.take(relay.came - HOP, HOP) is not None


@c_function(types.int64(INDICES_AT))
def device_thread(memory):
    """Call a relay 1000 times, as a thread of the system that Python does not know."""
    state = array_at(memory, array_at(memory, HEAD)[SIZE])
    heard, played = np.ones(HOP, np.float32), np.ones(HOP, np.float32)
    for _ in range(1000):
        _turn(state, heard, played, HOP, 0)
    return 0


@pytest.mark.skipif(sys.platform != "linux", reason="it makes a thread by Linux's library")
def test_the_device_needs_no_lock_of_python():
    """Its side runs to the end while another thread holds the GIL and does not give it away."""
    relay = Relay((1, 1), DELAY, 1000)
    holding, thread = ctypes.PyDLL(None), ctypes.c_ulong()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    end_s = time.monotonic() + 60
    try:
        code, memory = ctypes.c_void_p(device_thread.address), ctypes.c_void_p(relay.memory)
        assert holding.pthread_create(ctypes.byref(thread), None, code, memory) == 0
        while relay.came < 1000 * HOP and time.monotonic() < end_s:
            holding.usleep(1000)
    finally:
        sys.setswitchinterval(before)
    assert relay.came == 1000 * HOP
    assert ctypes.CDLL(None).pthread_join(thread, None) == 0
