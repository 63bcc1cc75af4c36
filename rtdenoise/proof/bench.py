"""The benchmark: `rtdenoise bench MODEL` measures whether a net is real-time on this machine.

A tight loop flatters: between two hops of a stream, caches go cold and clocks slow down, so that a
hop takes up to eight times as long. The verdict therefore rests on paced hops, one per period, in
a thread that is prepared as the audio thread is. Times depend on the machine and its load, so only
medians of one run can be compared.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from ..audio import Samples
from ..core.ring import Ring
from ..core.stage import Stage
from ..core.stream import Stream
from ..live.drive import quiet_interpreter
from ..nets import box
from ..nets.engine import Engine
from ..nets.line import Line
from ..nets.net import Net, Windows, warm_up
from .timing import Timing, timing
from .verify import voice

RATES_HZ = (48_000, 44_100, 32_000, 16_000)


def _tight(action: Callable[[], object], count: int) -> list[float]:
    """Return the times in seconds of *count* actions in a tight loop, after a warm-up."""
    for _ in range(max(20, count // 20)):
        action()
    times_s = []
    for _ in range(count):
        start = time.perf_counter()
        action()
        times_s.append(time.perf_counter() - start)
    return times_s


class _NoNet:
    """A net that returns its windows, which leaves only the cost of the engine."""

    def __init__(self, like: Net) -> None:
        self.card, self.analysis, self.synthesis = like.card, like.analysis, like.synthesis
        self.prepare_thread, self.one_thread = like.prepare_thread, like.one_thread
        self.holds_state = like.holds_state

    def begin(self, stream: Stream) -> Net:
        return self

    def initial_state(self, channels: int) -> Samples:
        return np.zeros((channels, 1), np.float32)

    def __call__(self, windows: Windows, state: Samples) -> tuple[Windows, Samples]:
        return windows, state


def engine_timings(net: Net, count: int = 3000) -> Iterator[Timing]:
    """Yield timings in a tight loop with one channel: ring, engine alone, engine with the net.

    Args:
        net: The net to measure.
        count: Number of repetitions of each.
    """
    hop = net.card.hop
    stream = Stream(net.card.sample_rate, 1, hop)
    block, ring = np.full((1, hop), 0.1, np.float32), Ring(1, 8 * hop)
    out = np.empty_like(block)
    yield timing("ring, write + read", _tight(lambda: (ring.write(block), ring.read(out)), count))
    bare = Engine(_NoNet(net), stream)
    yield timing("engine without the net", _tight(lambda: bare.push(block), count))
    engine = Engine(net.begin(stream), stream)
    sound = voice(net.card.sample_rate, 4.0)
    at = iter(range(10**9))

    def next_hop() -> Samples:
        start = next(at) * hop % (sound.shape[1] - hop)
        return engine.push(sound[:, start : start + hop])

    deadline_s = hop / net.card.sample_rate
    yield timing("hop in a tight loop", _tight(next_hop, count), deadline_s)


def paced_timing(
    net: Net,
    rate: int,
    channels: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Return the timing of blocks of one hop, each at its time, in a thread like the audio thread.

    Args:
        net: The net to measure.
        rate: Sample rate of the blocks in Hz.
        channels: Channel count of the blocks.
        seconds: Length of the sound in seconds.
        clock: Function that returns the time in seconds, for the times of the blocks.
    """
    block = round(net.card.hop * rate / net.card.sample_rate)
    sound = voice(rate, max(1.0, min(seconds, 10.0)), channels)

    def prepare() -> None:
        net.prepare_thread()
        warm_up(net, channels)

    times_s = paced(Line(net, Stream(rate, channels, block)), sound, seconds, prepare, clock)
    return timing(f"paced, {rate} Hz, {channels} ch", times_s, block / rate)


def paced(
    stage: Stage,
    sound: Samples,
    seconds: float,
    prepare: Callable[[], None],
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Return the times in seconds of blocks, each pushed at its time, in a thread like live's.

    Args:
        stage: The stage to measure, made for blocks of one size.
        sound: What is pushed, (channels, samples), again and again; longer than a block.
        seconds: Length of the run in seconds.
        prepare: Function that is called in the thread before the first block.
        clock: Function that returns the time in seconds, for the times of the blocks.
    """
    block, rate, times_s = stage.stream.block or 1, stage.stream.rate, list[float]()

    def run() -> None:
        prepare()
        period_s, due_s = block / rate, time.perf_counter()
        for turn in range(int(seconds / period_s)):
            due_s += period_s
            time.sleep(max(0.0, due_s - time.perf_counter()))
            at = turn * block % (sound.shape[1] - block)
            start = clock()
            stage.push(sound[:, at : at + block])
            times_s.append(clock() - start)

    with quiet_interpreter():
        thread = threading.Thread(target=run, name="rtdenoise-bench")
        thread.start()
        thread.join()
    return times_s


def others(name: str, channels: int, seconds: float) -> Iterator[tuple[str, Timing]]:
    """Yield each other model for the same with its paced timing at its own rate.

    Args:
        name: Name of the model that is left out.
        channels: Channel count of the blocks.
        seconds: Length of the sound in seconds.
    """
    for other in box.alike(name):
        net = box.find(other)
        yield other, paced_timing(net, net.card.sample_rate, channels, seconds)


def offline_speed(net: Net, rate: int = 48_000, seconds: float = 30.0) -> float:
    """Return how many seconds of mono sound one core processes in a second, without decoding."""
    net.prepare_thread()
    sound, line = voice(rate, seconds), Line(net, Stream(rate, 1))
    line.push(sound[:, : rate // 2])
    start = time.perf_counter()
    line.push(sound)
    return seconds / (time.perf_counter() - start)
