"""A relay between a device, which must never wait, and a worker, which may be late.

device's thread:  input -> ring;  ring -> output, or silence where the worker was late
worker's thread:  ring -> block -> [ whatever takes time ] -> block -> ring

The device's side is compiled: it takes no GIL and calls no Python. Every sample has a number, which
the device counts, and what the worker gives for sample n is played as sample n + delay. A sample
that comes too late has no place any more, so that the delay cannot change, whatever is lost.

The count of a side is published with *release* after its samples are in place, and read with
*acquire* before they are used. Each has a cache line of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from .jit import (
    BUFFER,
    INDICES,
    INDICES_AT,
    SAMPLES_AT,
    VECTOR,
    array_at,
    c_function,
    kernel,
    load_acquire,
    store_release,
)

Frames = NDArray[np.float32]  # (samples, channels), the order of PortAudio
# Places of a relay's numbers. CAME is published by the device, READY by the worker.
CAME, READY = 0, 8
XRUNS_IN, XRUNS_OUT, SILENT_BLOCKS, SILENT_SAMPLES, FLOWS, FADE = 16, 17, 18, 19, 20, 21
INPUTS, OUTPUTS, CAPACITY, SIZE = 24, 25, 26, 27
HEAD = 32  # the first place behind them: the last samples, those before a fade, and both rings
MOST = 65_536  # samples of the largest block of a device
JOIN = 96  # samples over which sound fades out into silence, and in again: 2 ms
XRUN_IN, XRUN_OUT = 1 | 2, 4 | 8  # PortAudio's flags: underflow and overflow of each end


@kernel(types.int64(INDICES, types.int64))
def _start_of(state, ring):  # type: ignore[no-untyped-def]
    """Return where ring 0, of the input, or ring 1, of the output, begins in the samples."""
    return 2 * state[OUTPUTS] + ring * state[CAPACITY] * state[INPUTS]


@kernel(types.void(INDICES, VECTOR, VECTOR, types.int64, types.int64))
def _turn(state, heard, played, frames, flags):  # type: ignore[no-untyped-def]
    """Take a block from the device and give it one; both are interleaved."""
    inputs, outputs, capacity = state[INPUTS], state[OUTPUTS], state[CAPACITY]
    samples = state[HEAD:].view(np.float32)
    first = state[CAME]
    ring = samples[_start_of(state, 0) :]
    for i in range(frames):
        at = (first + i) % capacity * inputs
        for c in range(inputs):
            ring[at + c] = heard[i * inputs + c]
    ring = samples[_start_of(state, 1) :]
    ready = load_acquire(state, READY)
    flows, fade, silent = state[FLOWS], state[FADE], 0
    for i in range(frames if outputs else 0):
        at = (first + i) % capacity * outputs
        there = 0 if first + i >= ready or np.isnan(ring[at]) else 1
        if there != flows:
            flows, fade = there, JOIN
            for c in range(outputs):
                samples[outputs + c] = samples[c]
        weight = np.float32(fade) / np.float32(JOIN)
        for c in range(outputs):
            value = ring[at + c] if there else np.float32(0)
            value += weight * (samples[outputs + c] - value)
            played[i * outputs + c] = value
            samples[c] = value
        silent += 1 - there
        fade = max(fade - 1, 0)
    state[FLOWS], state[FADE] = flows, fade
    state[SILENT_SAMPLES] += silent
    state[SILENT_BLOCKS] += 1 if silent else 0
    state[XRUNS_IN] += 1 if flags & XRUN_IN else 0
    state[XRUNS_OUT] += 1 if flags & XRUN_OUT else 0
    store_release(state, CAME, first + frames)


@c_function(
    types.int32(SAMPLES_AT, SAMPLES_AT, types.ulong, types.voidptr, types.ulong, INDICES_AT)
)
def _callback(heard, played, frames, _time, flags, memory):  # type: ignore[no-untyped-def]
    """Do a turn for PortAudio, as its type PaStreamCallback; go on, which is 0."""
    state = array_at(memory, array_at(memory, HEAD)[SIZE])
    count = np.int64(frames)
    _turn(
        state,
        array_at(heard, count * state[INPUTS]),
        array_at(played, count * state[OUTPUTS]),
        count,
        np.int64(flags),
    )
    return 0


@kernel(types.int64(INDICES, types.int64, BUFFER))
def _take(state, number, block):  # type: ignore[no-untyped-def]
    """Copy the input from sample *number* on to *block*; return whether it was still there."""
    inputs, capacity = state[INPUTS], state[CAPACITY]
    ring = state[HEAD:].view(np.float32)[_start_of(state, 0) :]
    for i in range(block.shape[0]):
        at = (number + i) % capacity * inputs
        for c in range(inputs):
            block[i, c] = ring[at + c]
    # The device writes over what is old, and may be in the middle of a block.
    return load_acquire(state, CAME) + MOST - number <= capacity


@kernel(types.void(INDICES, types.int64, BUFFER))
def _give(state, number, block):  # type: ignore[no-untyped-def]
    """Copy *block* to the output from sample *number* on, and publish it."""
    outputs, capacity = state[OUTPUTS], state[CAPACITY]
    ring = state[HEAD:].view(np.float32)[_start_of(state, 1) :]
    for i in range(block.shape[0]):
        at = (number + i) % capacity * outputs
        for c in range(outputs):
            ring[at + c] = block[i, c]
    store_release(state, READY, number + block.shape[0])


@kernel(types.void(INDICES, types.int64, types.int64))
def _leave_out(state, begin, end):  # type: ignore[no-untyped-def]
    """Mark the output from sample *begin* up to *end* as missing, and publish it."""
    outputs, capacity = state[OUTPUTS], state[CAPACITY]
    ring = state[HEAD:].view(np.float32)[_start_of(state, 1) :]
    for number in range(max(begin, end - capacity), end):
        at = number % capacity * outputs
        for c in range(outputs):
            ring[at + c] = np.nan
    store_release(state, READY, end)


@kernel(types.int64(INDICES, types.int64))
def _look(state, place):  # type: ignore[no-untyped-def]
    return load_acquire(state, place)


class Relay:
    """A relay for a stream. PortAudio calls its `address`; it can be called from Python as well.

    One thread may call it as the device, while one other thread takes and gives.

    Args:
        channels: Channel counts of input and output; 0: the stream has none.
        delay: Samples from an input to the output that the worker makes of it.
        spare: Samples of the input that are kept beyond the delay, for a worker that is late.
    """

    def __init__(self, channels: tuple[int, int], delay: int, spare: int) -> None:
        capacity = delay + spare + 2 * MOST
        floats = sum(channels) * capacity + 2 * channels[1]
        self._state = np.zeros(HEAD + floats // 2 + 1, np.int64)
        self._state[[INPUTS, OUTPUTS, CAPACITY]] = *channels, capacity
        self._state[[SIZE, READY, FLOWS]] = self._state.size, delay, 1
        self._code = _callback  # it must live as long as PortAudio may call it
        self._channels = channels

    @property
    def address(self) -> int:
        """The address of the compiled callback, which gets `memory` as its last argument."""
        return int(self._code.address)

    @property
    def memory(self) -> int:
        """The address of what the callback works on, valid as long as the relay lives."""
        return int(self._state.ctypes.data)

    def __call__(
        self, indata: Frames | None, outdata: Frames | None, frames: int, _time: Any, status: Any
    ) -> None:
        """Do a turn, as sounddevice calls a callback in Python."""
        flags = 0
        if status:
            flags |= XRUN_IN if status.input_overflow or status.input_underflow else 0
            flags |= XRUN_OUT if status.output_overflow or status.output_underflow else 0
        heard = np.zeros(0, np.float32) if indata is None else np.ascontiguousarray(indata).ravel()
        played = np.empty(frames * self._channels[1], np.float32)
        _turn(self._state, heard, played, frames, flags)
        if outdata is not None and self._channels[1]:
            outdata[:] = played.reshape(frames, -1)

    @property
    def came(self) -> int:
        """The samples that the device has asked for so far."""
        return int(_look(self._state, CAME))

    @property
    def ready(self) -> int:
        """The number of the first sample to play that the worker has not given yet."""
        return int(_look(self._state, READY))

    @property
    def counts(self) -> NDArray[np.int64]:
        """The xruns of input and output, the blocks with silence in them, and its samples."""
        return self._state[[XRUNS_IN, XRUNS_OUT, SILENT_BLOCKS, SILENT_SAMPLES]]

    def take(self, number: int, frames: int) -> Frames | None:
        """Return the input from sample *number* on, (frames, channels); None: it is too old."""
        block = np.empty((frames, self._channels[0]), np.float32)
        return block if _take(self._state, number, block) else None

    def give(self, number: int, block: Frames) -> None:
        """Set what is played from sample *number* on; it follows what was given before."""
        _give(self._state, number, block)

    def leave_out(self, begin: int, end: int) -> None:
        """Give nothing from sample *begin* up to *end*, which follow what was given before."""
        _leave_out(self._state, begin, end)
