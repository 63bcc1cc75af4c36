"""One test for every stage: what passes here may stand anywhere on the line."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from pedalboard import Gain, HighpassFilter, Invert, Resample

from rtdenoise import AutoLevel, Board, Denoise, DryWet, Mix
from rtdenoise.audio import Samples
from rtdenoise.chain import native
from rtdenoise.core.blend import Blend, Strength
from rtdenoise.core.resample import Resampled
from rtdenoise.core.stage import Chain, Delayed, Stage, Sum, drain, process
from rtdenoise.core.stream import Stream
from rtdenoise.core.switch import Switch
from rtdenoise.nets import box
from rtdenoise.nets.engine import Engine
from rtdenoise.nets.line import Line
from rtdenoise.nets.net import Net
from tests.toy_nets import Identity, Smoother, generator_for

IDENTITY, SMOOTHER = generator_for(Identity()), generator_for(Smoother())
TIME_DOMAIN = generator_for(Smoother(), analysis_window="rect", synthesis_window="hann")
LONG = generator_for(Identity(), window=4096, hop=2048)
LENGTH = 12_000
NOISE = np.random.default_rng(440).standard_normal((2, LENGTH)).astype(np.float32) * 0.1

STEREO = Stream(48_000, 2)


class Frames:
    """A stage that is no net and has no hop: it halves frames of 480 samples, as many nets do."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.latency = stream, 480
        self._waiting = self._ready = np.zeros((0, 0), np.float32)
        self.reset()

    def push(self, block: Samples) -> Samples:
        self._waiting = np.concatenate((self._waiting, block), axis=1)
        whole = self._waiting.shape[1] // 480 * 480
        self._ready = np.concatenate((self._ready, 0.5 * self._waiting[:, :whole]), axis=1)
        self._waiting = self._waiting[:, whole:]
        out, self._ready = np.split(self._ready, [block.shape[1]], axis=1)
        return out

    def reset(self) -> None:
        silence = np.zeros((self.stream.channels, 480), np.float32)
        self._waiting, self._ready = silence[:, :0], silence


def board(*effects: Callable[[], object]) -> Callable[[], Stage]:
    """A board's stage, from effects that are made anew."""
    return lambda: Board([make() for make in effects]).stage(STEREO)


@cache
def in_onnx() -> Net:
    """The net with memory in ONNX Runtime; the test is skipped where that is not installed."""
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package)
    from tests.toy_onnx import save_onnx, smoother

    with TemporaryDirectory() as folder:
        return box.load(save_onnx(smoother(), Path(folder) / "smoother.onnx"))


STAGES: dict[str, Callable[[], Stage]] = {
    "engine, identity": lambda: Engine(IDENTITY, STEREO),
    "engine, memory": lambda: Engine(SMOOTHER, STEREO),
    "engine, rect and hann": lambda: Engine(TIME_DOMAIN, STEREO),
    # hann at a quarter adds up to two, not one, and is refused: so the long windows are halves.
    "engine, long windows": lambda: Engine(LONG, STEREO),
    "resampled, 44.1 kHz": lambda: Resampled(Engine(SMOOTHER, STEREO), Stream(44_100, 2)),
    "resampled, 44.056 kHz": lambda: Resampled(Engine(SMOOTHER, STEREO), Stream(44_056, 2)),
    "resampled, 96 kHz": lambda: Resampled(Engine(SMOOTHER, STEREO), Stream(96_000, 2)),
    "line, 48 kHz": lambda: Line(SMOOTHER, STEREO),
    "line, 16 kHz": lambda: Line(SMOOTHER, Stream(16_000, 2), Strength(mix=60)),
    "line, 11.025 kHz": lambda: Line(SMOOTHER, Stream(11_025, 2), Strength(atten_lim_db=12)),
    "line, residual": lambda: Line(SMOOTHER, STEREO, Strength(residual=True)),
    "auto-level": lambda: AutoLevel(-12).stage(STEREO),
    "line, ONNX": lambda: Line(in_onnx(), STEREO),
    "frames": lambda: Frames(STEREO),
    "blend of frames": lambda: Blend(Frames(STEREO), Strength(mix=30)),
    "blend of a blend": lambda: Blend(Line(SMOOTHER, STEREO), Strength(atten_lim_db=6)),
    "chain": lambda: Chain([Frames(STEREO), Line(SMOOTHER, STEREO)], STEREO),
    "chain, empty": lambda: Chain([], STEREO),
    "sum": lambda: Sum([Frames(STEREO), Line(SMOOTHER, STEREO), Chain([], STEREO)]),
    "delayed": lambda: Delayed(Frames(STEREO), 1000),
    "switch": lambda: Switch(Line(SMOOTHER, STEREO)),
    "native": lambda: native.Native([Gain(-3), HighpassFilter(90)], STEREO),
    "native, withholds samples": lambda: native.Native([Resample(24_000)], STEREO),
    "dry and wet of a board": lambda: DryWet(Board([Gain(-6)]), mix=40).stage(STEREO),
    "board": board(lambda: Gain(-6), lambda: Denoise(SMOOTHER), Invert),
    "board, nested": board(
        lambda: Denoise(SMOOTHER), lambda: Mix([Gain(-9), Denoise(IDENTITY, mix=70)])
    ),
}
each_stage = pytest.mark.parametrize("make", STAGES.values(), ids=STAGES.keys())


def in_cuts(stage: Stage, audio: Samples, cuts: list[int]) -> Samples:
    """Push *audio* cut at *cuts*; what came out, the flush included."""
    blocks = np.split(audio, sorted(cuts), axis=1)
    return np.concatenate([*(stage.push(b) for b in blocks), drain(stage)], axis=1)


@each_stage
@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(0, LENGTH), max_size=12))
def test_any_cut_of_the_input_gives_the_same_samples(make, cuts):
    """Block sizes, empty blocks included, never change a sample."""
    stage = make()
    whole = in_cuts(stage, NOISE, [])

    np.testing.assert_allclose(in_cuts(stage, NOISE, cuts), whole, atol=1e-6)


@each_stage
def test_single_samples_give_the_same_samples(make):
    """The finest of all cuts."""
    stage, short = make(), NOISE[:, :3000]

    np.testing.assert_allclose(
        in_cuts(stage, short, list(range(1, 3000))), in_cuts(stage, short, []), atol=1e-6
    )


@each_stage
def test_push_gives_as_many_samples_as_it_takes(make):
    """Live could not work otherwise: the card wants a block for each block."""
    stage = make()
    for n in (0, 1, 511, 512, 513, 4096):
        assert stage.push(NOISE[:, :n]).shape == (2, n)
    assert drain(stage).shape == (2, stage.latency)


@each_stage
def test_the_declared_latency_is_the_measured_one(make):
    """Correlation finds the input in the output, `latency` samples late."""
    stage = make()
    out = in_cuts(stage, NOISE, [])[0]
    lags = np.fft.irfft(np.fft.rfft(out, 32768) * np.conj(np.fft.rfft(NOISE[0], 32768)))

    assert np.argmax(np.abs(lags)) == stage.latency


@each_stage
def test_flush_leaves_the_stage_as_new(make):
    """The second use gives what a fresh object gives."""
    stage = make()
    first = in_cuts(stage, NOISE, [100])

    assert np.array_equal(in_cuts(stage, NOISE, [100]), first)
    stage.push(NOISE)
    stage.reset()
    assert np.array_equal(in_cuts(stage, NOISE, [100]), first)


@each_stage
def test_silence_in_silence_out(make):
    """Nothing is added to nothing."""
    stage = make()

    assert not in_cuts(stage, np.zeros((2, 5000), np.float32), [77]).any()


@pytest.mark.parametrize("rate", [48_000, 44_100, 8_000])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_never_poisons_what_follows(rate, bad):
    """NaN and infinity count as silence, once, and are counted."""
    line, spoiled, mended = Line(SMOOTHER, Stream(rate, 2)), NOISE.copy(), NOISE.copy()
    spoiled[0, 100:103], mended[0, 100:103] = bad, 0

    assert np.array_equal(process(line, spoiled), process(line, mended))
    assert line.counters["nonfinite"] == 3


@pytest.mark.parametrize("channels", range(1, 9))
def test_channels_do_not_touch_each_other(channels):
    """Each channel is a batch row: alone it sounds as in company."""
    audio = np.random.default_rng(channels).standard_normal((channels, 5000)).astype(np.float32)
    together = process(Line(SMOOTHER, Stream(48_000, channels)), audio)
    alone = [process(Line(SMOOTHER, Stream(48_000, 1)), row[None])[0] for row in audio]

    np.testing.assert_allclose(together, alone, atol=1e-6)
