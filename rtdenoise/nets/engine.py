"""A generator as a stage: ring -> window -> net -> overlap-add -> ring, at the net's own rate.

Delay. A window ends with its newest sample, and its oldest H samples are then complete. Counted
from a sample's arrival to its departure that is N - 1 samples if samples come one by one, and
N - H if they come H at a time; in between, blocks of B leave H - gcd(H, B) samples waiting for
the hop to fill, at worst. So, for any cut of the stream: N (one spare). For a caller who promises
blocks of exactly B samples: N - gcd(H, B), the least that any host can have.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import gcd

import numpy as np

from ..audio import Samples
from ..core.counters import Counters
from ..core.kernels import all_finite
from ..core.overlap import cut, overlap_add
from ..core.ring import Ring
from ..core.stream import Stream
from .net import Net, Windows

BATCH = 131_072  # samples of windows a call: 128 windows of 1024 run at matrix speed, in 0.5 MB


class Engine:
    """A net on a stream at the net's own rate.

    A hop whose net raises, or gives NaN, goes out dry: its windowed input takes the place of the
    net's output, so the overlap-add crossfades in and out of it, aligned, and the delay stays.
    With a deadline, a hop that overran it is paid for by as many dry hops as it stole time from.

    Args:
        net: What processes the windows.
        stream: Its rate is the net's.
        counters: Where to count. None: in its own.
        clock: Gives seconds, for hop times and the deadline.
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
        self._most = max(1, BATCH // self.window)  # hops a call of the net
        self._span = self._most * self.hop
        self._history = np.zeros((channels, self.window - self.hop), np.float32)
        self._tail = np.zeros_like(self._history)
        self._waiting = Ring(channels, self._span + self.hop)
        self._ready = Ring(channels, self._delay + self._span + self.hop)
        self._hops = np.empty(channels * self._span, np.float32)
        self._windows = np.empty(channels * self._most * self.window, np.float32)
        self.reset()

    def push(self, block: Samples) -> Samples:
        """See `Stage.push`."""
        out = np.empty(block.shape, np.float32)
        for at in range(0, block.shape[1], self._span):
            self._waiting.write(block[:, at : at + self._span])
            self._run(self._waiting.available // self.hop)
            if not self._ready.read(out[:, at : at + self._span]):
                out[:, at : at + self._span] = 0  # a promise of block sizes was broken
        return out

    def reset(self) -> None:
        """See `Stage.reset`. The counters go on."""
        self.state = self.net.initial_state(self.stream.channels)
        self._history[:] = 0
        self._tail[:] = 0
        self._waiting.reset()
        # H of the delay come about by themselves: the first hop's output belongs before the start.
        self._ready.reset(silence=self._delay - (self.window - self.hop))
        self._owed_s = 0.0

    def _run(self, hops: int) -> None:
        """Take *hops* hops out of the one ring, through the net, into the other."""
        if hops == 0:
            return
        # Views of flat buffers: contiguous for any count, and nothing is allocated.
        channels = self.stream.channels
        taken = self._hops[: channels * hops * self.hop].reshape(channels, -1)
        windows = self._windows[: channels * hops * self.window]
        windows = windows.reshape(channels, hops, self.window)
        self._waiting.read(taken)
        cut(self._history, taken, self.net.analysis, windows)
        overlap_add(self._processed(windows), self.net.synthesis, self._tail, taken)
        self._ready.write(taken)

    def _processed(self, windows: Windows) -> Windows:
        """Run the net on *windows* (C, T, N); where it fails or must not, they are the answer."""
        count = windows.shape[1]
        if self._owed_s > 0:
            self._owed_s = max(0.0, self._owed_s - count * (self.deadline_s or 0.0))
            self.counters.add("dry", count)
            self.counters.add("hops", count)
            return windows
        start = self._clock()
        try:
            out, state = self.net(windows, self.state)
            good = all_finite(out) and all_finite(state[None])
        except Exception as fault:  # the net is a stranger's code; the audio thread never raises
            self.counters.fault, good = fault, False
        if not good and count > 1:  # find the one that failed, so that files equal streams
            return np.concatenate(
                [self._processed(windows[:, t : t + 1].copy()) for t in range(count)], axis=1
            )
        self._account((self._clock() - start) / count, count)
        if good:
            self.state = state
            return out
        self.counters.add("failed")
        self.counters.add("dry")
        self.state = self.net.initial_state(self.stream.channels)
        return windows

    def _account(self, hop_s: float, count: int) -> None:
        """Write down *count* hops of *hop_s* seconds each, and what they owe."""
        for _ in range(count):
            self.counters.record_hop(hop_s, self.period_s)
            self.counters.add("hops")
        if self.deadline_s is not None and hop_s > self.deadline_s:
            self.counters.add("late", count)
            self._owed_s = count * (hop_s - self.deadline_s)
