"""The engine: an identity net in, a pure delay out; a failing net costs nothing but its hop."""

from __future__ import annotations

from contextlib import nullcontext
from math import gcd
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from rtdenoise.core.stage import drain
from rtdenoise.core.stream import Stream
from rtdenoise.errors import ModelError
from rtdenoise.nets.engine import Engine
from rtdenoise.nets.torchscript import Generator
from tests.toy_nets import Breaks, Identity, Late, Smoother, generator_for

BLOCKS = (1, 64, 441, 480, 512, 513, 1024, 8192)
IDENTITY, SMOOTHER = generator_for(Identity()), generator_for(Smoother())


def noise(channels: int, samples: int) -> np.ndarray:
    rng = np.random.default_rng(440)
    return rng.uniform(-1, 1, (channels, samples)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("block", BLOCKS)
def test_an_identity_net_is_a_pure_delay(block, channels):
    """N samples at any cut; N - gcd(H, B), the least possible, when blocks of B are promised."""
    count = max(3, 6000 // block) if block > 1 else 2500
    audio = noise(channels, count * block)
    for promised, latency in ((None, 1024), (block, 1024 - gcd(512, block))):
        engine = Engine(IDENTITY, Stream(48_000, channels, promised))
        out = np.concatenate([engine.push(b) for b in np.split(audio, count, axis=1)], axis=1)

        assert engine.latency == latency
        assert not out[:, :latency].any()
        np.testing.assert_allclose(out[:, latency:], audio[:, :-latency], atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 20_000), max_size=20), channels=st.integers(1, 8))
def test_random_cuts_are_a_pure_delay(cuts, channels):
    """Whatever a host's block sizes do."""
    audio, engine = noise(channels, 20_000), Engine(IDENTITY, Stream(48_000, channels))
    parts = [engine.push(b) for b in np.split(audio, sorted(cuts), axis=1)]
    out = np.concatenate([*parts, drain(engine)], axis=1)

    np.testing.assert_allclose(out[:, 1024:], audio, atol=1e-6)


def test_a_promise_of_less_delay_is_kept_for_every_block_size():
    """No block size makes the ring run dry: the formula is exact, not a guess."""
    for block in [*range(1, 70), 127, 128, 255, 256, 257, 384, 511, 640, 768, 1000, 1023, 1025]:
        engine, count = Engine(IDENTITY, Stream(48_000, 1, block)), 4 + 4200 // block
        audio = noise(1, count * block)
        out = np.concatenate([engine.push(b) for b in np.split(audio, count, axis=1)], axis=1)
        late = engine.latency

        np.testing.assert_allclose(out[:, late:], audio[:, : audio.shape[1] - late], atol=1e-6)


def test_windows_in_a_batch_equal_windows_one_by_one():
    """Files run many windows a call, the callback one; the samples are the same."""
    audio = noise(2, 100_000)
    whole, stream = Engine(SMOOTHER, Stream(48_000, 2)), Engine(SMOOTHER, Stream(48_000, 2))
    blocks = [stream.push(audio[:, i : i + 512]) for i in range(0, 100_000, 512)]

    np.testing.assert_allclose(np.concatenate(blocks, axis=1), whole.push(audio), atol=1e-6)


@pytest.mark.parametrize("raises", [False, True], ids=["NaN", "raises"])
@pytest.mark.parametrize("block", [512, 700, 30_000])
def test_a_failing_hop_goes_out_dry_and_aligned(raises, block):
    """The input takes the hop's place with the windows' own crossfade; the delay stays."""
    engine, audio = Engine(generator_for(Breaks(5, raises)), Stream(48_000, 1)), noise(1, 30_000)
    blocks = np.split(audio, range(block, 30_000, block), axis=1)
    out = np.concatenate([*(engine.push(b) for b in blocks), drain(engine)], axis=1)[:, 1024:]
    ratio = (out / audio)[0]

    assert engine.counters["failed"] >= 5
    assert engine.counters["dry"] == engine.counters["failed"]
    assert (engine.counters.fault is not None) == raises
    assert ratio.min() > 0.5 - 1e-3  # never less than the net's gain,
    assert ratio.max() < 1.0 + 1e-3  # never more than the dry signal,
    assert (ratio > 0.999).any()  # and both are there
    assert (ratio < 0.501).any()


def test_a_net_that_fails_sounds_the_same_in_files_and_in_streams():
    """A NaN in a batch of windows costs the one window, not the batch."""
    audio = noise(1, 60_000)
    whole, stream = (Engine(generator_for(Breaks(7)), Stream(48_000, 1)) for _ in range(2))
    blocks = [stream.push(audio[:, i : i + 512]) for i in range(0, 60_000, 512)]

    np.testing.assert_allclose(np.concatenate(blocks, axis=1), whole.push(audio), atol=1e-6)
    assert stream.counters["failed"] == whole.counters["failed"]


class Clock:
    """A clock that hops as told: a slow hop without a slow test."""

    def __init__(self, hops_s: list[float]) -> None:
        self.hops_s, self.now_s, self.calls = hops_s, 0.0, 0

    def __call__(self) -> float:
        if self.calls % 2:
            self.now_s += self.hops_s[min(self.calls // 2, len(self.hops_s) - 1)]
        self.calls += 1
        return self.now_s


def test_a_late_hop_is_paid_for_with_dry_hops_and_the_delay_stays():
    """35 ms where 10 were allowed: 25 ms are owed, three dry hops, then the net runs again."""
    halves = generator_for(Breaks(10**9))
    engine = Engine(
        halves,
        Stream(48_000, 1, 512, deadline=0.010 * 48_000 / 512),
        clock=Clock([0.001, 0.001, 0.035, 0.001]),
    )
    audio = noise(1, 512 * 12)
    out = np.concatenate([engine.push(b) for b in np.split(audio, 12, axis=1)], axis=1)
    gains = (out[0, 512:] / audio[0, :-512]).reshape(-1, 512)

    assert engine.counters["late"] == 1
    assert engine.counters["dry"] == 3
    assert engine.latency == 512
    # Hops 3, 4, 5 are dry: the stretches between two of them are the input, exactly.
    np.testing.assert_allclose(gains[[3, 4]], 1.0, atol=1e-3)
    np.testing.assert_allclose(gains[[0, 1, 7, 8]], 0.5, atol=1e-3)


FRAMES: dict[str, Any] = {
    "window": 480,
    "hop": 480,
    "analysis_window": "rect",
    "synthesis_window": "rect",
}


def late(hops: int, gain: float = 1.0, period: int = 1 << 30, **card: Any) -> Generator:
    """A net that is *hops* hops late and says so."""
    net = Late(hops, gain, period)
    net.window, hop = card.get("window", 1024), card.get("hop", 512)
    return generator_for(net, lookahead=hops * hop, **card)


@pytest.mark.parametrize("card", [{}, FRAMES], ids=["overlapping windows", "frames"])
@pytest.mark.parametrize("hops", [1, 3])
@pytest.mark.parametrize("fault", ["late", "NaN"])
def test_dry_hops_are_as_late_as_a_net_that_looks_ahead(card, hops, fault):
    """A net that only delays: whatever hop is late or fails, the sound is the input, delayed."""
    net = late(hops, period=7 if fault == "NaN" else 1 << 30, **card)
    size, times = net.card.hop, [0.001] * 5 + [0.035 if fault == "late" else 0.001, 0.001]
    engine = Engine(net, Stream(48_000, 2, size, deadline=480 / size), clock=Clock(times))
    audio = noise(2, 30 * size)
    out = np.concatenate([engine.push(b) for b in np.split(audio, 30, axis=1)], axis=1)

    assert engine.latency == net.card.window - size + hops * size
    # 25 or so ms are owed; the net then gives hops that are of before the gap.
    assert engine.counters["dry"] >= 3 + hops
    assert engine.counters["late" if fault == "late" else "failed"]
    np.testing.assert_allclose(
        out[:, engine.latency :], audio[:, : -engine.latency or None], atol=1e-6
    )


def test_frames_that_are_late_fade_out_and_in():
    """Windows that do not overlap: the gain between dry and wet has no step."""
    halves = late(2, 0.5, **FRAMES)
    clock = Clock([0.001] * 6 + [0.035, 0.001])
    engine = Engine(halves, Stream(48_000, 1, 480, deadline=1.0), clock=clock)
    audio = noise(1, 480 * 30)
    out = np.concatenate([engine.push(b) for b in np.split(audio, 30, axis=1)], axis=1)
    gain = (out[0, 960:] / audio[0, :-960]).reshape(-1, 480)

    assert np.abs(np.diff(gain.ravel())).max() < 0.6 / 480
    # The late hop is the seventh; three are owed, and two are of before the gap.
    np.testing.assert_allclose(gain[5:10], 1.0, atol=1e-4)
    np.testing.assert_allclose(gain[[0, 1, 2, 3, *range(11, 28)]], 0.5, atol=1e-4)


def test_a_net_that_fails_and_looks_ahead_sounds_the_same_in_files_and_in_streams():
    """The hops of before the gap are counted by hops, and not by calls."""
    audio, net = noise(1, 60_000), late(2, 0.5, period=9)
    whole, stream = (Engine(net, Stream(48_000, 1)) for _ in range(2))
    blocks = [stream.push(audio[:, i : i + 512]) for i in range(0, 60_000, 512)]

    np.testing.assert_allclose(np.concatenate(blocks, axis=1), whole.push(audio), atol=1e-6)
    assert stream.counters["dry"] == whole.counters["dry"] > 2 * stream.counters["failed"] > 0


def test_dry_hops_have_no_time_and_do_not_flatter():
    """35 ms beside dry hops: the median is 35 ms, and the load 35 ms of a period of 10.67."""
    clock = Clock([0.035])
    engine = Engine(IDENTITY, Stream(48_000, 1, 512, deadline=1.0), clock=clock)
    for block in np.split(noise(1, 512 * 40), 40, axis=1):
        engine.push(block)

    assert engine.counters["dry"] > 20
    assert engine.counters.hop_percentiles_s(50) == pytest.approx([0.035])
    assert engine.counters.load_percentiles(50) == pytest.approx([0.035 * 48_000 / 512])


def test_windows_that_do_not_add_up_to_one_are_refused():
    """Otherwise the net would be blamed for a tremolo at the hop rate."""
    with pytest.raises(ModelError, match="do not add up to one"):
        generator_for(Identity(), analysis_window="hann", synthesis_window="hann")


FIRST = object()  # the initial state that obeys the contract


class Answers:
    """A net that gives what *answer* makes of windows and state from hop *start* on."""

    def __init__(self, answer, start: int = 30, batches: bool = False, first: Any = FIRST) -> None:
        self.card, self.analysis, self.synthesis = (
            HALVES.card,
            HALVES.analysis,
            HALVES.synthesis,
        )
        self.answer, self.start, self.batches, self.first = answer, start, batches, first

    holds_state = False

    def begin(self, stream):
        return self

    def initial_state(self, channels: int) -> np.ndarray:
        return np.zeros((channels, 3), np.float32) if self.first is FIRST else self.first

    def __call__(self, windows: np.ndarray, state: np.ndarray):
        state = state + np.float32(windows.shape[1])
        if (windows.shape[1] > 1) if self.batches else (state[0, 0] > self.start):
            return self.answer(windows, state)
        return windows * np.float32(0.5), state

    def prepare_thread(self) -> None:
        """Nothing to prepare."""

    def one_thread(self):
        return nullcontext()


HALVES = generator_for(Breaks(10**9))
WRONG = {
    "short": lambda w, s: (w[:, :, :1000], s),
    "long": lambda w, s: (np.zeros((*w.shape[:2], 4096), np.float32), s),
    "flat": lambda w, s: (w[0], s),
    "one channel more": lambda w, s: (np.concatenate([w, w]), s),
    "one window fewer": lambda w, s: (w[:, 1:], s),
    "doubles": lambda w, s: (w.astype(np.float64), s),
    "half": lambda w, s: (w.astype(np.float16), s),
    "whole numbers": lambda w, s: (w.astype(np.int32), s),
    "other byte order": lambda w, s: (w.astype(">f4"), s),
    "objects": lambda w, s: (w.astype(object), s),
    "a short state": lambda w, s: (w, s[:, :1]),
    "a flat state": lambda w, s: (w, s[0]),
    "a state of doubles": lambda w, s: (w, s.astype(np.float64)),
    "a state of NaN": lambda w, s: (w, s * np.nan),
    "one thing": lambda w, s: w,
    "three things": lambda w, s: (w, s, s),
    "nothing": lambda w, s: None,
    "lists": lambda w, s: (w.tolist(), s.tolist()),
    "infinity": lambda w, s: (w + np.inf, s),
}


@pytest.mark.parametrize("block", [512, 3000])
@pytest.mark.parametrize("wrong", WRONG)
def test_every_answer_is_checked_before_a_kernel_sees_it(wrong, block):
    """At hop 31 as at the first: the hop goes out dry and is counted, and the sound goes on."""
    audio, engine = noise(2, 48_000), Engine(Answers(WRONG[wrong]), Stream(48_000, 2))
    parts = np.split(audio, range(block, 48_000, block), axis=1)
    out = np.concatenate([*(engine.push(b) for b in parts), drain(engine)], axis=1)[:, 1024:]
    hops = engine.counters["hops"]

    assert engine.counters["failed"] == engine.counters["dry"] == hops // 31
    np.testing.assert_allclose(out[:, 2000:10_000], 0.5 * audio[:, 2000:10_000], atol=1e-6)
    ratio = out / audio
    assert 0.5 - 1e-3 < ratio.min() < ratio.max() < 1.0 + 1e-3


@pytest.mark.parametrize("layout", ["reversed", "wide", "transposed", "same for all", "read-only"])
def test_any_layout_of_an_answer_is_the_same_sound(layout):
    """The kernels follow the strides."""

    def answer(windows: np.ndarray, state: np.ndarray):
        out = windows * np.float32(0.5)
        if layout == "reversed":
            out = np.ascontiguousarray(out[:, :, ::-1])[:, :, ::-1]
        elif layout == "wide":
            out = np.repeat(out, 2, axis=2)[:, :, ::2]
        elif layout == "transposed":
            out = np.ascontiguousarray(out.transpose(2, 1, 0)).transpose(2, 1, 0)
        elif layout == "same for all":
            out, state = out, np.broadcast_to(state[:1, :1], state.shape)
        else:
            out.flags.writeable = False
        return out, state

    audio = noise(2, 20_000)
    engine = Engine(Answers(answer, start=0), Stream(48_000, 2))
    out = np.concatenate([engine.push(audio), drain(engine)], axis=1)[:, 1024:]

    assert engine.counters["failed"] == 0
    np.testing.assert_allclose(out, 0.5 * audio, atol=1e-6)


def test_a_net_that_is_wrong_for_many_windows_sounds_as_in_a_stream():
    """`w[:, :, :1000]` for large T: the windows run one by one then, and none is lost."""
    audio, net = noise(1, 60_000), Answers(WRONG["short"], batches=True)
    whole, stream = Engine(net, Stream(48_000, 1)), Engine(net, Stream(48_000, 1))
    blocks = [stream.push(audio[:, i : i + 512]) for i in range(0, 60_000, 512)]

    np.testing.assert_allclose(np.concatenate(blocks, axis=1), whole.push(audio), atol=1e-6)
    assert whole.counters["failed"] == stream.counters["failed"] == 0


def test_what_a_net_writes_into_its_input_does_not_reach_the_dry_signal():
    """Nor the second try of a batch, nor the state that it gave as a view of its input."""

    def spoils(windows: np.ndarray, state: np.ndarray):
        windows[:] = 7.0
        raise ValueError("after the damage")

    audio = noise(1, 60_000)
    engine = Engine(Answers(spoils, start=0), Stream(48_000, 1))
    out = np.concatenate([engine.push(audio), drain(engine)], axis=1)[:, 1024:]
    np.testing.assert_allclose(out, audio, atol=1e-6)

    def views(windows: np.ndarray, state: np.ndarray):
        return windows + state[:, :1, None], windows[:, -1, :3]

    whole, stream = (Engine(Answers(views, start=0), Stream(48_000, 1)) for _ in range(2))
    first = whole.push(audio[:, :512])
    assert not np.may_share_memory(whole.state, whole._given)
    blocks = [stream.push(audio[:, i : i + 512]) for i in range(0, 1024, 512)]
    second = whole.push(audio[:, 512:1024])
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), np.hstack([first, second]))


@pytest.mark.parametrize(
    "state",
    [np.zeros(3, np.float32), np.zeros((2, 3), np.float32), np.zeros((1, 3)), None, [[0.0]],
     np.full((1, 3), np.nan, np.float32)],
)  # fmt: skip
def test_an_initial_state_that_breaks_the_contract_is_refused(state):
    """Before the first hop."""
    with pytest.raises(ModelError, match="initial state"):
        Engine(Answers(WRONG["short"], first=state), Stream(48_000, 1))
