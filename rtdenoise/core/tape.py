"""A tape: rings of dry sound, wet sound and calls in one piece of memory, which never fill up.

One thread writes, any number of threads and processes read, and nobody waits. The writer says how
far it will have written before it writes, and how far it has written afterwards. A reader copies
what it wants, and then looks at the first of the two: what the writer may have touched meanwhile is
the oldest part of the copy, and is left out. So every sample that a reader gets is whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import types
from numpy.typing import NDArray

from ..audio import Samples
from .jit import (
    BUFFER,
    INDICES,
    INDICES_IN,
    INTEGERS,
    REALS,
    SAMPLES_IN,
    fence,
    kernel,
    load_acquire,
    store_release,
)

# Places in the index; the first three are in a cache line each. RESTART is the first sample after
# the stage was reset last.
BEGUN, WRITTEN, CALLS, LATENCY, RESTART = 0, 8, 16, 24, 25
INDEX_BYTES = 256

# What a call did, as bits of its `flags`.
LATE, DRY, FAILED, NONFINITE = 1, 2, 4, 8  # of its nets, as `Counters` counts them
XRUN_IN, XRUN_OUT, CLIPPED, FAULT = 16, 32, 64, 128
RESTARTED, CHANGED, BYPASS, RESIDUAL = 256, 512, 1024, 2048
UNENDED, MISSED = 4096, 8192  # the stage did not return; it was not called
FLAGS = {
    "late": LATE, "dry": DRY, "failed": FAILED, "nonfinite": NONFINITE, "xrun_in": XRUN_IN,
    "xrun_out": XRUN_OUT, "clipped": CLIPPED, "fault": FAULT, "restarted": RESTARTED,
    "changed": CHANGED, "bypass": BYPASS, "residual": RESIDUAL, "unended": UNENDED,
    "missed": MISSED,
}  # fmt: skip

# A call: its number from 0, its first sample, its samples per channel, its flags, the hops of its
# nets, and how many of them were dry or failed; when it began (of the writer's clock), what it
# took and what it may take, in seconds; the dry/wet settings (an atten_lim_db of NaN: no limit).
CALL = np.dtype(
    [(name, np.int64) for name in ("number", "first", "frames", "flags", "hops", "dry", "failed")]
    + [(n, np.float64) for n in ("began_s", "seconds", "deadline_s", "mix", "atten_lim_db")]
)
SLOTS = 8  # copies of the states of nets, spread over the length of a tape
FIELDS = CALL.itemsize // 8
Calls = NDArray[np.void]


@kernel(types.void(BUFFER, SAMPLES_IN, types.int64))
def _put(ring, block, start):  # type: ignore[no-untyped-def]
    capacity, n = ring.shape[1], block.shape[1]
    skip = max(0, n - capacity)
    at = (start + skip) % capacity
    first = min(n - skip, capacity - at)
    for c in range(min(ring.shape[0], block.shape[0])):
        for i in range(first):
            ring[c, at + i] = block[c, skip + i]
        for i in range(n - skip - first):
            ring[c, i] = block[c, skip + first + i]


@kernel(types.void(INDICES, BUFFER, SAMPLES_IN))
def _begin(index, dry, block):  # type: ignore[no-untyped-def]
    start = index[WRITTEN]
    store_release(index, BEGUN, start + block.shape[1])
    fence()
    _put(dry, block, start)


@kernel(types.void(INDICES, BUFFER, BUFFER, SAMPLES_IN))
def _end(index, dry, wet, out):  # type: ignore[no-untyped-def]
    start, n = index[WRITTEN], out.shape[1]
    if index[BEGUN] != start + n:  # no call of this size began
        store_release(index, BEGUN, start + n)
        fence()
        _put(dry, np.zeros((dry.shape[0], n), np.float32), start)
    _put(wet, out, start)
    store_release(index, WRITTEN, start + n)


_RECORD = types.void(
    INDICES, INTEGERS, REALS, INDICES, INDICES, *[types.int64] * 3, *[types.float64] * 5
)


@kernel(_RECORD)
def _record(  # type: ignore[no-untyped-def]
    index, integers, reals, counts, before, frames, flags, latency, began, took, may, mix, limit
):
    number = index[CALLS]
    at = number % integers.shape[0]
    for i, bit in ((1, DRY), (2, LATE), (3, FAILED), (4, NONFINITE)):
        if counts[i] > before[i]:
            flags |= bit
    integers[at, 0], integers[at, 1], integers[at, 2] = number, index[WRITTEN], frames
    integers[at, 3], integers[at, 4] = flags, counts[0] - before[0]
    integers[at, 5], integers[at, 6] = counts[1] - before[1], counts[3] - before[3]
    reals[at, 7], reals[at, 8], reals[at, 9], reals[at, 10] = began, took, may, mix
    reals[at, 11] = limit
    for i in range(len(counts)):
        before[i] = counts[i]
    index[LATENCY] = latency
    store_release(index, CALLS, number + 1)


@kernel(types.int64(INDICES_IN, types.int64))
def _now(index, place):  # type: ignore[no-untyped-def]
    fence()
    return load_acquire(index, place)


@kernel(types.void())
def fence_now():  # type: ignore[no-untyped-def]
    """Let no memory be read or written out of its order across this call."""
    fence()


@dataclass(frozen=True)
class Form:
    """The form of a tape.

    Attributes:
        rows: Channels of the dry and of the wet sound.
        samples: Samples per channel that each of the two keeps.
        calls: Calls that are kept.
        states: Values of the states of all nets, at most.
    """

    rows: int
    samples: int
    calls: int
    states: int = 0

    @property
    def bytes(self) -> int:
        """The size of the memory of such a tape."""
        return self.sound_end + SLOTS * (16 + 4 * self.states)

    @property
    def sound_end(self) -> int:
        """The bytes before the states."""
        return INDEX_BYTES + self.calls * CALL.itemsize + 2 * 4 * self.rows * self.samples


class Tape:
    """The rings of a tape in a piece of memory that somebody else made.

    Args:
        form: The form of the tape.
        memory: `form.bytes` bytes, zeros at the start of the tape, aligned to 8 bytes.
    """

    def __init__(self, form: Form, memory: NDArray[np.uint8]) -> None:
        self.form = form
        self.index = memory[:INDEX_BYTES].view(np.int64)
        sound = INDEX_BYTES + form.calls * CALL.itemsize
        self._calls: Calls = memory[INDEX_BYTES:sound].view(CALL)
        self._integers = memory[INDEX_BYTES:sound].view(np.int64).reshape(-1, FIELDS)
        self._reals = memory[INDEX_BYTES:sound].view(np.float64).reshape(-1, FIELDS)
        both = memory[sound : form.sound_end].view(np.float32).reshape(2, form.rows, form.samples)
        self._dry, self._wet = both
        slots = form.sound_end + SLOTS * 16
        self._slots = memory[form.sound_end : slots].view(np.int64).reshape(SLOTS, 2)
        self._states = memory[slots : form.bytes].view(np.float32).reshape(SLOTS, -1)
        self._kept_at = -1  # eighths of the tape so far
        self._before = np.zeros(5, np.int64)

    def begin(self, block: Samples) -> None:
        """Write the dry *block* (rows, n) of a call that begins."""
        _begin(self.index, self._dry, block)

    def end(
        self,
        out: Samples,
        counts: NDArray[np.int64],
        flags: int,
        latency: int,
        times_s: tuple[float, float, float],
        strength: tuple[float, float],
    ) -> None:
        """Write the wet block of the call that began, and the call.

        Args:
            out: What came out (rows, n). If no call with as many samples began, its dry sound is
                silence.
            counts: The counts so far, as in `Counters`.
            flags: The flags of the call that the counts do not show.
            latency: Samples by which the output is late.
            times_s: When the call began, what it took and what it may take, in seconds.
            strength: The mix in percent and the attenuation limit in dB.
        """
        _record(
            self.index, self._integers, self._reals, counts, self._before,
            out.shape[1], flags, latency, *times_s, *strength,
        )  # fmt: skip
        _end(self.index, self._dry, self._wet, out)

    @property
    def wants_states(self) -> bool:
        """Whether the writer should keep the states of the nets: eight times a tape."""
        return int(self.index[WRITTEN] * SLOTS // self.form.samples) != self._kept_at

    def keep_states(self, states: Sequence[Samples]) -> None:
        """Keep the *states* of the nets as they are after the call that ended last."""
        self._kept_at = int(self.index[WRITTEN] * SLOTS // self.form.samples)
        if sum(state.size for state in states) > self.form.states:
            return
        turn, at = self._kept_at % SLOTS, 0
        self._slots[turn, 0] = 0
        fence_now()
        for state in states:
            self._states[turn, at : at + state.size] = state.ravel()
            at += state.size
        self._slots[turn, 1] = at
        fence_now()
        self._slots[turn, 0] = self.index[CALLS]  # the number of the call, from 1

    def states(self) -> dict[int, NDArray[np.float32]]:
        """Return the states of the nets, joined, by the number of the call after which they are."""
        found = {}
        for turn in range(SLOTS):
            number = int(self._slots[turn, 0])
            fence_now()
            values = self._states[turn, : int(self._slots[turn, 1])].copy()
            fence_now()
            if number and number == int(self._slots[turn, 0]):
                found[number - 1] = values
        return dict(sorted(found.items()))

    @property
    def position(self) -> int:
        """The samples per channel so far."""
        return int(_now(self.index, WRITTEN))

    @property
    def begun(self) -> int:
        """The samples per channel so far with those of a call that has not ended."""
        return int(_now(self.index, BEGUN))

    @property
    def latency(self) -> int:
        """The samples by which the wet sound is late in the last call."""
        return int(_now(self.index, LATENCY))

    @property
    def restart(self) -> int:
        """The first sample after the stage was reset last, since the start of the run."""
        return int(_now(self.index, RESTART))

    def between(self, first: int, last: int) -> tuple[int, Samples, Samples]:
        """Return the samples from *first* to *last*, as far as they are kept.

        Returns:
            The number of the first sample that is there, the dry sound (rows, n), and the wet one.
        """
        last = min(last, self.position)
        first = min(max(first, last - self.form.samples, 0), last)
        dry, wet = self._cut(self._dry, first, last), self._cut(self._wet, first, last)
        lost = min(max(0, self.begun - self.form.samples - first), last - first)
        return first + lost, dry[:, lost:], wet[:, lost:]

    def unended(self) -> Samples:
        """Return the dry sound (rows, n) of a call that began and did not end."""
        return self._cut(self._dry, self.position, self.begun)

    def _cut(self, ring: Samples, first: int, last: int) -> Samples:
        """Return a copy of the samples from *first* to *last* of a ring."""
        at, n = first % self.form.samples, last - first
        rest = max(0, at + n - self.form.samples)
        return np.concatenate((ring[:, at : at + n - rest], ring[:, :rest]), axis=1)

    def calls(self, since: int = 0) -> Calls:
        """Return the calls from the number *since* on, as far as they are kept."""
        most, count = self.form.calls, int(_now(self.index, CALLS))
        since = min(max(since, count - most, 0), count)
        copy: Calls = self._calls[np.arange(since, count) % most]
        lost = max(0, int(_now(self.index, CALLS)) + 1 - most - since)
        return copy[lost:]
