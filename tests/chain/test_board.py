"""Boards: native plugins and ours in any order, equal to native where native, whole or streamed.

The traps are those of pedalboard 0.9; rtdenoise/chain/native.py lists them.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from rtdenoise.core.counters import Counters
from rtdenoise.core.stage import drain
from rtdenoise.core.stream import Stream
from tests.toy_nets import Breaks, Identity, Smoother, generator_for

pedalboard = pytest.importorskip("pedalboard")
from pedalboard import (  # noqa: E402
    Compressor,
    Delay,
    Gain,
    GSMFullRateCompressor,
    HighpassFilter,
    Limiter,
    MP3Compressor,
    Pedalboard,
    PitchShift,
    Resample,
    Reverb,
)

from rtdenoise import Board, Denoise, Mix, ModelError, UsageError  # noqa: E402

RATE = 48_000
IDENTITY, SMOOTHER = generator_for(Identity()), generator_for(Smoother())
NOISE = np.random.default_rng(440).uniform(-0.3, 0.3, (2, 24_000)).astype(np.float32)


def streamed(effect, audio, sizes, rate=RATE):
    """Process block by block, sizes taken in turn; what came out (shorter by the latency)."""
    effect.reset()
    parts, at, turn = [], 0, 0
    while at < audio.shape[1]:
        size = sizes[turn % len(sizes)]
        parts.append(effect.process(audio[:, at : at + size], rate, reset=False))
        at, turn = at + size, turn + 1
    return np.concatenate(parts, axis=1)


# Denoise: pedalboard's call


@pytest.mark.parametrize("rate", [48_000, 44_100, 16_000])
def test_whole_gives_as_many_samples_as_it_takes_aligned(rate):
    """reset=True compensates the latency."""
    out = Denoise(IDENTITY, mix=0)(NOISE, rate)

    assert np.array_equal(out, NOISE)
    assert out is not NOISE
    assert not np.shares_memory(out, NOISE)


@pytest.mark.parametrize("rate", [48_000, 44_100])
def test_streaming_withholds_the_latency_and_nothing_else(rate):
    """reset=False gives the first samples late, then block for block: the same samples."""
    effect = Denoise(SMOOTHER)
    out, late = streamed(effect, NOISE, [512, 1, 4000], rate), effect.latency(rate)

    assert out.shape[1] == NOISE.shape[1] - late
    np.testing.assert_allclose(out, effect(NOISE, rate)[:, : out.shape[1]], atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layouts_come_back_as_they_went_in(dtype):
    """(channels, samples), (samples, channels), 1-D, float64: float32 out in the same shape."""
    effect = Denoise(SMOOTHER)
    planar = effect(NOISE, RATE)
    for audio, same in ((NOISE.T, planar.T), (NOISE[0], effect(NOISE[:1], RATE)[0])):
        out = effect(audio.astype(dtype), RATE)
        assert out.shape == audio.shape
        assert out.dtype == np.float32
        assert out.flags.c_contiguous
        np.testing.assert_allclose(out, same, atol=1e-6)


@pytest.mark.parametrize("audio", [NOISE.astype(np.int16), NOISE > 0, NOISE.astype(complex)])
def test_other_types_are_refused_as_pedalboard_does(audio):
    """TypeError, with the type that came."""
    with pytest.raises(TypeError, match="32-bit and 64-bit floating point"):
        Denoise(IDENTITY)(audio, RATE)


@pytest.mark.parametrize("shape", [(1, 0), (0,), (1, 1), (2, 100)])
def test_nothing_and_little_are_no_special_case(shape):
    """Empty and short arrays keep their shape."""
    assert Denoise(IDENTITY)(np.zeros(shape, np.float32), RATE).shape == shape


def test_a_new_rate_or_channel_count_begins_a_new_stream():
    """As pedalboard re-prepares; reset() does too."""
    effect = Denoise(IDENTITY)
    for audio, rate in ((NOISE, 48_000), (NOISE, 44_100), (NOISE[:1], 44_100)):
        out = effect.process(audio, rate, reset=False)
        assert out.shape[1] == audio.shape[1] - effect.latency(rate)
    effect.reset()
    assert effect.process(NOISE[:, :512], RATE, reset=False).shape == (2, 0)


def test_settings_change_while_it_runs():
    """They reach the running stream, and are checked."""
    effect = Denoise(generator_for(Breaks(10**9)))
    ones = np.ones((1, 24_000), np.float32)
    effect.process(ones, RATE, reset=False)
    effect.mix = 0
    out = effect.process(ones, RATE, reset=False)

    assert out[0, -1] == 1.0
    assert np.abs(np.diff(out[0])).max() < 0.001
    with pytest.raises(UsageError, match="mix = 200"):
        effect.mix = 200
    with pytest.raises(UsageError, match="atten_lim_db"):
        effect.atten_lim_db = -1
    assert "mix=0" in repr(effect)


def test_a_net_that_fails_is_an_error_not_a_dry_file():
    """Nobody would notice the difference until it matters."""
    with pytest.raises(ModelError, match=r"failed in \d+ windows"):
        Denoise(generator_for(Breaks(5)))(NOISE, RATE)


@pytest.mark.parametrize(
    ("raises", "why"), [(True, "this net broke on purpose"), (False, "it gave NaN or infinity")]
)
def test_a_board_says_why_a_net_failed(raises, why):
    """What the net raised, and NaN only where it gave NaN."""
    with pytest.raises(ModelError, match=why):
        Board([Gain(0), Denoise(generator_for(Breaks(5, raises)))])(NOISE, RATE)


def test_the_callers_torch_threads_are_left_alone():
    """It is the user's process."""
    import torch

    before = torch.get_num_threads()
    Denoise(IDENTITY)(NOISE, RATE)
    assert torch.get_num_threads() == before


# Board: equal to native, streamed = whole

NATIVE = [
    lambda: [HighpassFilter(80), Compressor(-20, 3), Limiter()],
    lambda: [Reverb(0.4), Delay(0.05), Gain(-3)],
    lambda: [Gain(3), Pedalboard([HighpassFilter(200), Gain(-3)]), Limiter()],
]


@pytest.mark.parametrize("make", NATIVE)
def test_a_board_of_native_plugins_is_the_native_board(make):
    """To 1e-6, in one call and block by block."""
    expected = Pedalboard(make())(NOISE, RATE)

    np.testing.assert_allclose(Board(make())(NOISE, RATE), expected, atol=1e-6)
    np.testing.assert_allclose(
        streamed(Board(make()), NOISE, [512, 1024, 441, 8192, 1]), expected, atol=1e-6
    )


def test_an_identity_between_native_plugins_changes_nothing():
    """The board around it is the native one, cut in two."""
    board = Board([Compressor(-20, 3), Denoise(IDENTITY), Reverb(0.4)])
    expected = Pedalboard([Compressor(-20, 3), Reverb(0.4)])(NOISE, RATE)

    np.testing.assert_allclose(board(NOISE, RATE), expected, atol=1e-6)


BOARDS = {
    "ours between": lambda: Board([Compressor(-20, 3), Denoise(SMOOTHER), Reverb(0.4)]),
    "effects that start": lambda: Board(
        [Denoise(SMOOTHER), Compressor(-24, 2.5), Reverb(0.2, wet_level=0.1, dry_level=0.0)]
    ),
    "two of ours": lambda: Board([Denoise(SMOOTHER), Gain(-3), Denoise(IDENTITY)]),
    "nested": lambda: Board([Board([Gain(3), Denoise(SMOOTHER)]), Limiter()]),
    "mix": lambda: Board([Mix([Denoise(SMOOTHER), Gain(-6), Board([Reverb(0.3)])]), Limiter()]),
    "codec": lambda: Board([MP3Compressor(), Denoise(IDENTITY)]),
    "rate": lambda: Board([Resample(16_000.0), Denoise(IDENTITY)]),
}


@pytest.mark.parametrize("make", BOARDS.values(), ids=BOARDS.keys())
@settings(max_examples=5, deadline=None)
@given(sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=6))
def test_a_streamed_board_is_the_whole_one(make, sizes):
    """Any block sizes, effects that withhold samples too: the same samples, later."""
    board = make()
    out = streamed(board, NOISE, [3000, *sizes])  # (2, 1) first could be two samples, mono
    whole = board(NOISE, RATE)

    assert NOISE.shape[1] - 8000 <= out.shape[1] < NOISE.shape[1]
    np.testing.assert_allclose(out, whole[:, : out.shape[1]], atol=1e-5)


def test_mix_is_the_aligned_sum():
    """Two identities of different latency add up to twice the input."""
    mix = Mix([Denoise(IDENTITY), Gain(0)])

    np.testing.assert_allclose(mix(NOISE, RATE), 2 * NOISE, atol=1e-6)
    out = streamed(mix, NOISE, [700])
    np.testing.assert_allclose(out, 2 * NOISE[:, : out.shape[1]], atol=1e-6)
    expected = pedalboard.Mix([Gain(-6), Reverb(0.2)])(NOISE, RATE)
    np.testing.assert_allclose(Mix([Gain(-6), Reverb(0.2)])(NOISE, RATE), expected, atol=1e-6)


def test_the_stage_of_a_board_is_a_stage():
    """As many samples out as in, late by what it says; a second pass is as the first."""
    counters = Counters()
    board = Board([Gain(0), Denoise(IDENTITY), MP3Compressor()])
    stage = board.stage(Stream(RATE, 2), counters)
    first = np.concatenate([stage.push(NOISE), drain(stage)], axis=1)

    assert first.shape[1] == NOISE.shape[1] + stage.latency
    assert counters["hops"] > 0
    again = np.concatenate([stage.push(NOISE[:, :5000]), stage.push(NOISE[:, 5000:])], axis=1)
    np.testing.assert_allclose(again, first[:, : NOISE.shape[1]], atol=1e-5)


def test_an_empty_board_is_a_wire():
    """None is a free place."""
    for board in (Board(), Board([None]), Mix()):
        assert np.array_equal(board(NOISE, RATE), NOISE)
        assert np.array_equal(board.process(NOISE, RATE, reset=False), NOISE)


# The traps


class Loud(Gain):
    """A subclass that pedalboard would accept and not run."""

    def process(self, *_args, **_kwargs):
        raise AssertionError("never called by a native chain")


def test_trap_a_python_subclass_of_a_plugin_is_ignored_by_native_chains():
    """pedalboard runs the Gain and not the override; a Board refuses it, deep inside too."""
    Pedalboard([Loud()])(NOISE, RATE)  # no error: that is the trap

    with pytest.raises(UsageError, match="Loud is a Python subclass"):
        Board([Loud()])
    inner = Loud()
    with pytest.raises(UsageError, match="Loud is a Python subclass"):
        Board([Pedalboard([Pedalboard([inner])])])


def test_trap_python_cannot_stand_in_a_native_chain():
    """Why Board is ours: pedalboard takes neither our effect nor our board."""
    for ours in (Denoise(IDENTITY), Board()):
        with pytest.raises(TypeError):
            Pedalboard([ours])  # type: ignore[list-item]


def test_trap_a_larger_block_wipes_native_state():
    """pedalboard's reverb loses its tail at 512 -> 1024; ours, primed, does not."""
    sizes = [512] * 8 + [1024] * 4
    native, expected = Pedalboard([Reverb(0.8)]), Pedalboard([Reverb(0.8)])(NOISE, RATE)
    native.reset()
    parts, at = [], 0
    for size in sizes:
        parts.append(native.process(NOISE[:, at : at + size], RATE, 8192, reset=False))
        at += size
    assert np.abs(np.concatenate(parts, axis=1) - expected[:, :at]).max() > 0.01  # the trap

    np.testing.assert_allclose(
        streamed(Board([Reverb(0.8)]), NOISE[:, :at], sizes), expected[:, :at], atol=1e-6
    )


@pytest.mark.parametrize("kind", [PitchShift, GSMFullRateCompressor])
def test_trap_plugins_that_are_silent_when_streamed_are_refused_by_name(kind):
    """Whole recordings work as in pedalboard; streams raise, deep inside too."""
    np.testing.assert_allclose(
        Board([kind()])(NOISE, RATE), Pedalboard([kind()])(NOISE, RATE), atol=1e-6
    )
    for board in (Board([kind()]), Board([Pedalboard([kind()])]), Board([Board([kind()])])):
        with pytest.raises(UsageError, match=f"{kind.__name__} cannot stream"):
            board.stage(Stream(RATE, 1))


def test_trap_withheld_samples_are_no_gap():
    """MP3Compressor gives nothing for a while; after a board it is late, not holed."""
    expected = Pedalboard([MP3Compressor()])(NOISE, RATE)
    out = streamed(Board([MP3Compressor()]), NOISE, [37])

    np.testing.assert_allclose(out, expected[:, : out.shape[1]], atol=1e-5)


def test_pedalboard_is_not_loaded_for_boards_without_it():
    """It is GPLv3, and takes a while."""
    code = (
        "from rtdenoise import Board; Board([None]); import sys; print('pedalboard' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
