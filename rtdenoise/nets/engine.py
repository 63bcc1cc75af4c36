"""A net as a stage: ring -> window -> net -> overlap-add -> ring, at the net's own rate.

The latency follows from the windows. A window of N samples ends with its newest sample, and its
oldest H samples are then complete. From the arrival of a sample to its departure, N - 1 samples
pass if samples come one by one, and N - H if they come H at a time. Blocks of B samples leave at
most H - gcd(H, B) samples waiting until the hop is full. For any cut of the stream the latency is
therefore N, which has one sample to spare. For a caller who promises blocks of exactly B samples it
is N - gcd(H, B), which no host can undercut.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from math import gcd
from typing import Any

import numpy as np

from ..audio import Samples
from ..core.counters import Counters
from ..core.kernels import all_finite
from ..core.overlap import cut, overlap_add
from ..core.ring import Ring
from ..core.stream import Stream
from .idle import Idle
from .net import Net, Windows, check_answer, check_state

ONE = np.ones(1, np.float32)
BATCH = 131_072  # samples a call: 128 windows of 1024 samples run at matrix speed, in 0.5 MB


class Engine:
    """A stage that runs a net on a stream at the net's own rate.

    If the net raises, or gives NaN or another shape or type, the hop goes out dry: the windowed
    input of `lookahead` samples ago takes the place of the net's output, so that the overlap-add
    crossfades to the aligned input and back, and the latency stays. With a deadline, a late hop is
    followed by as many dry hops as it took time from. After a gap, what a net with lookahead gives
    at first is of before the gap, and is not used.

    Where windows do not overlap, a late hop fades out, and the first hop after a gap fades in.

    In a long digital silence the net is not called; `idle` has the rule.

    Attributes:
        owed_s: Time in seconds that late hops took from those after them, which are dry until it is
            made up for. A replay sets it, to make the hops dry that were.

    Args:
        net: The net that processes the windows.
        stream: The stream, at the net's rate.
        counters: Where hops are counted. None: in counters of its own.
        clock: Function that returns the time in seconds, for hop times and the deadline.

    Raises:
        ModelError: If the net's initial state breaks the contract.
    """

    def __init__(
        self,
        net: Net,
        stream: Stream,
        counters: Counters | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        card, channels = net.card, stream.channels
        self.net, self.stream = net, stream
        self.hop, self.window = card.hop, card.window
        self._delay = card.window - (gcd(card.hop, stream.block) if stream.block else 0)
        self.latency = self._delay + card.lookahead
        self.period_s = card.hop / card.sample_rate
        self.deadline_s = None if stream.deadline is None else stream.deadline * self.period_s
        self._clock = clock
        self.counters = Counters() if counters is None else counters
        # Most hops a call of the net; one, if it could not be called again after a failure.
        self._most = 1 if net.holds_state else max(1, BATCH // self.window)
        self._span = self._most * self.hop
        self._history = np.zeros((channels, self.window - self.hop), np.float32)
        self._tail = np.zeros_like(self._history)
        self._waiting = Ring(channels, self._span + self.hop)
        self._ready = Ring(channels, self._delay + self._span + self.hop)
        self._hops = np.empty(channels * self._span, np.float32)
        self._windows = np.empty(channels * self._most * self.window, np.float32)
        self._given = np.empty_like(self._windows)
        self._past = Ring(channels, card.lookahead + self._span + self.hop)
        self._past_history = np.zeros_like(self._history)
        self._behind = -(-card.lookahead // self.hop)  # hops of the net that are of before a gap
        apart = self.window == self.hop
        self._rise = (np.arange(self.hop, dtype=np.float32) + 0.5) / self.hop if apart else ONE
        self._fall = self._rise[::-1] if apart else ONE
        self._idle = Idle(card)
        self._initial = self.net.initial_state(channels)
        check_state(self._initial, channels)
        self.reset()

    def push(self, block: Samples) -> Samples:
        """See `Stage.push`."""
        out = np.empty(block.shape, np.float32)
        for at in range(0, block.shape[1], self._span):
            self._waiting.write(block[:, at : at + self._span])
            self._run(self._waiting.available // self.hop)
            if not self._ready.read(out[:, at : at + self._span]):
                out[:, at : at + self._span] = 0  # the caller broke its promise of a block size
        return out

    def reset(self) -> None:
        """See `Stage.reset`. The counters keep their numbers."""
        self._forget()
        self._history[:] = 0
        self._tail[:] = 0
        self._past_history[:] = 0
        self._past.reset(silence=self.net.card.lookahead)
        self._waiting.reset()
        # The output of the first hops belongs before the start of the stream and is N - H samples
        # of the delay already.
        self._ready.reset(silence=self._delay - (self.window - self.hop))
        self.owed_s = 0.0
        self._gap, self._stale = False, 0  # whether the last hop was dry; hops of before the gap
        self._idle.reset()

    def _forget(self) -> None:
        """Bring the net to the state with which a stream begins."""
        if self.net.holds_state:
            self.net.initial_state(self.stream.channels)
        self.state = self._initial.copy()

    def _run(self, hops: int) -> None:
        """Move *hops* hops from the waiting ring through the net into the ready ring."""
        if hops == 0:
            return
        # Views of flat buffers are contiguous for any count, and allocate nothing.
        channels = self.stream.channels
        taken = self._hops[: channels * hops * self.hop].reshape(channels, -1)
        windows = self._windows[: channels * hops * self.window]
        windows = windows.reshape(channels, hops, self.window)
        self._waiting.read(taken)
        cut(self._history, taken, self.net.analysis, windows)
        answer = self._answered(windows, self._dry(taken, windows))
        overlap_add(answer, self.net.synthesis, self._tail, taken)
        self._ready.write(taken)

    def _dry(self, taken: Samples, windows: Windows) -> Windows:
        """Return the windows (C, T, N) that go out dry: those of `lookahead` samples ago."""
        if not self.net.card.lookahead:
            return windows
        late, dry = np.empty_like(taken), np.empty_like(windows)
        self._past.write(taken)
        self._past.read(late)
        cut(self._past_history, late, self.net.analysis, dry)
        return dry

    def _answered(self, windows: Windows, dry: Windows) -> Windows:
        """Return *windows* (C, T, N) after the net, which sleeps through a part of the silence."""
        silent = np.logical_not(windows.any(axis=(0, 2)))
        if not silent.any():
            self._idle.reset()
            return self._processed(windows, dry)
        at = 0
        while at < len(silent):
            count, asleep = self._idle.part(silent[at:])
            part, spare = windows[:, at : at + count], dry[:, at : at + count]
            if asleep:
                self.counters.add("hops", count)
            else:
                answer = self._processed(part, spare)
                if silent[at]:
                    self._idle.heard(answer, self.state)
                if count == len(silent):
                    return answer
                part[:] = answer  # the windows are a buffer of this stage
            at += count
        return windows

    def _processed(self, windows: Windows, dry: Windows) -> Windows:
        """Return *windows* (C, T, N) after the net; *dry* where the net fails, or owes time."""
        count = windows.shape[1]
        if self.owed_s > 0:
            self.owed_s = max(0.0, self.owed_s - count * (self.deadline_s or 0.0))
            self.counters.add("dry", count)
            self.counters.add("hops", count)
            self._gap, self._stale = True, self._behind
            return dry
        start = self._clock()
        # The net gets a copy, because what it writes into its input must not reach the dry signal.
        given = self._given[: windows.size].reshape(windows.shape)
        given[:] = windows
        before = self.state if count == 1 else self.state.copy()
        try:
            out, state = self.net(given, before)
            check_answer(given, before, out, state)
            good = all_finite(out) and all_finite(state[None])
        except Exception as fault:  # a net may raise anything, and the audio thread must go on
            self.counters.fault, good = fault, False
        if not good and count > 1:  # one by one: only the hop that fails is dry, as in a stream
            whole = np.empty_like(windows)
            for t in range(count):
                part = slice(t, t + 1)
                whole[:, part] = self._processed(windows[:, part], dry[:, part])
            return whole
        self._account((self._clock() - start) / count, count)
        if good:  # a state that is a view of the input would change with the next windows
            self.state = state.copy() if np.may_share_memory(state, given) else state
            return self._faded(out, dry)
        self.counters.add("failed")
        self.counters.add("dry")
        self._forget()
        self._gap, self._stale = True, self._behind
        return dry

    def _faded(self, out: Windows, dry: Windows) -> Windows:
        """Return the net's *out*, with *dry* where it is of before a gap, and the fades."""
        count, late = out.shape[1], self.owed_s > 0
        if not (self._gap or late):
            return out
        stale = min(self._stale, count)
        self._stale -= stale
        self.counters.add("dry", stale)
        share = np.ones((count, self.window), np.float32)
        share[:stale] = 0
        if self._gap and stale < count:
            share[stale] *= self._rise
            self._gap = False
        if late:
            share[-1] *= self._fall
        return share * out + (1 - share) * dry

    def _account(self, hop_s: float, count: int) -> None:
        """Record *count* hops of *hop_s* seconds each, and the time by which they were late."""
        for _ in range(count):
            self.counters.record_hop(hop_s, self.period_s)
            self.counters.add("hops")
        if self.deadline_s is not None and hop_s > self.deadline_s:
            self.counters.add("late", count)
            self.owed_s = count * (hop_s - self.deadline_s)


def engines(stage: Any) -> Iterator[Engine]:
    """Yield the nets in a stage, in the order of the sound."""
    seen, waiting = set(), [stage]
    while waiting:
        part = waiting.pop(0)
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, Engine):
            yield part
        elif isinstance(part, list | tuple):
            waiting[:0] = part
        elif hasattr(part, "push") and hasattr(part, "__dict__"):
            waiting[:0] = vars(part).values()
