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
from ..core.overlap import all_finite, cut, overlap_add
from ..core.ring import Ring
from .torchscript import Generator, Windows

RECENT_HOPS = 4096  # hop times kept for percentiles: 44 s at 48 kHz
BATCH = 131_072  # samples of windows a call: 128 windows of 1024 run at matrix speed, in 0.5 MB


class Counters:
    """What happened, in plain arrays: written by the thread that processes, read by any other.

    Attributes:
        hops: Windows so far.
        dry: Windows where the input went out in place of the net's output.
        late: Windows that took longer than the deadline.
        failed: Windows where the net raised or gave NaN or infinity.
        nonfinite: NaN and infinite input samples, replaced by 0.
    """

    NAMES = ("hops", "dry", "late", "failed", "nonfinite")

    def __init__(self) -> None:
        self._counts = np.zeros(len(self.NAMES), np.int64)
        self._hop_s = np.zeros(RECENT_HOPS, np.float64)
        self.max_hop_s = 0.0

    def add(self, name: str, count: int = 1) -> None:
        """Count *count* more of *name*."""
        self._counts[self.NAMES.index(name)] += count

    def __getitem__(self, name: str) -> int:
        return int(self._counts[self.NAMES.index(name)])

    def clear(self) -> None:
        """Begin again at nothing."""
        self._counts[:] = 0
        self.max_hop_s = 0.0

    def record_hop(self, seconds: float) -> None:
        """Note how long a hop took."""
        self._hop_s[self["hops"] % RECENT_HOPS] = seconds
        self.max_hop_s = max(self.max_hop_s, seconds)

    def hop_percentiles_s(self, *percent: float) -> list[float]:
        """Percentiles of the time of the last `RECENT_HOPS` hops, in seconds; zeros before any."""
        recent = self._hop_s[: min(self["hops"], RECENT_HOPS)]
        return (
            [float(v) for v in np.percentile(recent, percent)]
            if len(recent)
            else [0.0] * len(percent)
        )


class Engine:
    """*generator* on *channels* rows.

    A hop whose net raises, or gives NaN, goes out dry: its windowed input takes the place of the
    net's output, so the overlap-add crossfades in and out of it, aligned, and the delay stays.
    With a deadline, a hop that overran it is paid for by as many dry hops as it stole time from.

    Args:
        generator: The net.
        channels: Rows of each block.
        block: Promise that every `push` has this many samples; None: any.
        deadline_s: Seconds a hop may take; None: as long as it wants.
        clock: Seconds, for the deadline.
        counters: Where to count; None: its own.
    """

    def __init__(
        self,
        generator: Generator,
        channels: int,
        block: int | None = None,
        deadline_s: float | None = None,
        clock: Callable[[], float] = time.perf_counter,
        counters: Counters | None = None,
    ) -> None:
        card = generator.card
        self.generator, self.channels = generator, channels
        self.hop, self.window = card.hop, card.window
        self.block = block or 1
        self._delay = card.window - (gcd(card.hop, block) if block else 0)
        self._latency = self._delay + card.lookahead
        self.deadline_s, self._clock = deadline_s, clock
        self.bypass = False
        self.counters = Counters() if counters is None else counters
        self.fault: Exception | None = None
        self._most = max(1, BATCH // self.window)  # hops a call of the net
        self._span = self._most * self.hop
        self._history = np.zeros((channels, self.window - self.hop), np.float32)
        self._tail = np.zeros_like(self._history)
        self._waiting = Ring(channels, self._span + self.hop)
        self._ready = Ring(channels, self._delay + self._span + self.hop)
        self._hops = np.empty(channels * self._span, np.float32)
        self._windows = np.empty(channels * self._most * self.window, np.float32)
        self.reset()

    @property
    def latency(self) -> int:
        """Samples of delay: the window's, and what the net itself looks ahead."""
        return self._latency

    def push(self, block: Samples) -> Samples:
        """See `Stage.push`."""
        out = np.empty(block.shape, np.float32)
        for at in range(0, block.shape[1], self._span):
            self._waiting.write(block[:, at : at + self._span])
            self._run(self._waiting.available // self.hop)
            if not self._ready.read(out[:, at : at + self._span]):
                out[:, at : at + self._span] = 0  # a promise of block sizes was broken
        return out

    def flush(self) -> Samples:
        """See `Stage.flush`."""
        whole = -(-self._latency // self.block) * self.block
        rest = self.push(np.zeros((self.channels, whole), np.float32))
        self.reset()
        return rest[:, : self._latency]

    def reset(self) -> None:
        """See `Stage.reset`. The counters go on."""
        self.state = self.generator.initial_state(self.channels)
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
        taken = self._hops[: self.channels * hops * self.hop].reshape(self.channels, -1)
        windows = self._windows[: self.channels * hops * self.window]
        windows = windows.reshape(self.channels, hops, self.window)
        self._waiting.read(taken)
        cut(self._history, taken, self.generator.analysis, windows)
        overlap_add(self._processed(windows), self.generator.synthesis, self._tail, taken)
        self._ready.write(taken)

    def _processed(self, windows: Windows) -> Windows:
        """Run the net on *windows* (C, T, N); where it fails or must not, they are the answer."""
        count = windows.shape[1]
        if self.bypass or self._owed_s > 0:
            self._owed_s = max(0.0, self._owed_s - count * (self.deadline_s or 0.0))
            self.counters.add("dry", count)
            self.counters.add("hops", count)
            return windows
        start = self._clock()
        try:
            out, state = self.generator(windows, self.state)
            good = all_finite(out) and all_finite(state[None])
        except Exception as fault:  # the net is a stranger's code; the audio thread never raises
            self.fault, good = fault, False
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
        self.state = self.generator.initial_state(self.channels)
        return windows

    def _account(self, hop_s: float, count: int) -> None:
        """Write down *count* hops of *hop_s* seconds each, and what they owe."""
        for _ in range(count):
            self.counters.record_hop(hop_s)
            self.counters.add("hops")
        if self.deadline_s is not None and hop_s > self.deadline_s:
            self.counters.add("late", count)
            self._owed_s = count * (hop_s - self.deadline_s)
