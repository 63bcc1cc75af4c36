"""Zero samples are a recording too: every effect takes them, in arrays, streams and files."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pedalboard import Chain as NativeChain, Gain, Mix as NativeMix, Pedalboard

from rtdenoise import Board, Denoise, DryWet, Effect, Mix
from rtdenoise.chain import native, registry
from rtdenoise.cli import main
from rtdenoise.core.counters import Counters
from rtdenoise.core.stream import Stream
from tests.sounds import read, write
from tests.test_stages import SMOOTHER

RATE = 48_000
NOISE = np.random.default_rng(440).uniform(-0.3, 0.3, (2, 9_000)).astype(np.float32)
SHAPES = [(0,), (1, 0), (2, 0), (0, 1), (0, 2)]


def plugin(name):
    return registry.make(name, {})


NATIVE = sorted(set(native.plugin_types()) - {"Convolution"})  # it takes a second for each stage
EFFECTS: dict[str, Callable[[], Effect]] = {
    **{name: lambda name=name: Board([plugin(name)]) for name in NATIVE},  # type: ignore[misc]
    "denoise": lambda: Denoise(SMOOTHER),
    "dry and wet": lambda: DryWet(Board([Gain(1)]), 50),
    "mix": lambda: Mix([plugin("Reverb"), Denoise(SMOOTHER), plugin("MP3Compressor")]),
    "mix of whole ones": lambda: Mix([plugin("PitchShift"), Gain(1)]),
    "board": lambda: Board([Denoise(SMOOTHER), plugin("MP3Compressor"), plugin("Delay")]),
    "empty": Board,
    "empty mix": lambda: Mix([None, Board()]),
    "native containers": lambda: Board([Pedalboard([Gain(1), NativeMix([Gain(1)])])]),
    "empty native containers": lambda: Board([Pedalboard([]), NativeMix([]), NativeChain([])]),
}
WHOLE = {*native.NOT_STREAMABLE, "mix of whole ones"}
each_effect = pytest.mark.parametrize("name", EFFECTS)


@each_effect
def test_nothing_in_nothing_out(name):
    """Of every shape, whole, streamed and rendered, and the effect works afterwards."""
    effect = EFFECTS[name]()
    for shape in SHAPES:
        empty = np.zeros(shape, np.float32)
        assert effect(empty, RATE).shape == shape
        if name not in WHOLE:
            effect.reset()
            assert effect.process(empty, RATE, reset=False).shape == shape
            assert effect.process(empty, RATE, reset=False).shape == shape
            assert not effect.flush().size
    rendered = effect.render([], Stream(RATE, 2), Counters())
    assert sum(block.shape[1] for block in rendered) == 0
    np.testing.assert_array_equal(effect(NOISE, RATE), EFFECTS[name]()(NOISE, RATE))


@pytest.mark.parametrize("name", [name for name in EFFECTS if name not in WHOLE])
def test_nothing_within_a_stream_changes_nothing(name):
    """Empty blocks before, between and after others."""
    effect = EFFECTS[name]()
    blocks = np.split(NOISE, [0, 0, 4_000, 4_000, 9_000], axis=1)
    parts = [effect.process(block, RATE, reset=False) for block in blocks]
    streamed = np.concatenate([*parts, effect.flush()], axis=1)

    np.testing.assert_allclose(streamed, EFFECTS[name]()(NOISE, RATE), atol=1e-5)


@pytest.mark.parametrize("within", ["Board", "Mix"])
@pytest.mark.parametrize("kind", ["Denoise", "MP3Compressor", "PitchShift", "Reverb"])
def test_a_file_of_nothing_goes_through_a_board(tmp_path, within, kind):
    """The output is a sound file of no samples, and nothing is warned of."""
    board, out = tmp_path / "board.toml", tmp_path / "out.wav"
    inner = f"[[effect.effect]]\ntype = '{kind}'\n[[effect.effect]]\ntype = 'Gain'\n"
    board.write_text(f"[[effect]]\ntype = '{within}'\n{inner}")
    write(tmp_path / "in.wav", np.zeros((2, 0), np.float32))
    assert main(["file", str(tmp_path / "in.wav"), "-o", str(out), "--board", str(board)]) == 0

    assert read(out).shape == (2, 0)
