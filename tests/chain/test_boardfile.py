"""Board files: what they say is what stands on the board, and mistakes list the choices."""

from __future__ import annotations

import numpy as np
import pytest

from rtdenoise import UsageError
from rtdenoise.chain.boardfile import open_board
from rtdenoise.cli import main
from tests.sounds import read
from tests.toy_nets import Smoother, save

RATE = 48_000
NOISE = np.random.default_rng(440).uniform(-0.3, 0.3, (2, 24_000)).astype(np.float32)


def test_a_board_file_makes_the_board(tmp_path):
    """Types, parameters and nesting as written."""
    model = save(Smoother(), tmp_path / "net.pt")
    path = tmp_path / "board.toml"
    path.write_text(
        f'''
        [[effect]]
        type = "HighpassFilter"
        cutoff_frequency_hz = 90
        [[effect]]
        type = "Denoise"
        model = "{model}"
        mix = 80
        [[effect]]
        type = "Mix"
        [[effect.effect]]
        type = "Gain"
        gain_db = -6
        [[effect.effect]]
        type = "Reverb"
        '''
    )
    board = open_board(path)

    assert [type(e).__name__ for e in board] == ["HighpassFilter", "Denoise", "Mix"]
    assert board[0].cutoff_frequency_hz == 90
    assert board[1].mix == 80
    assert [type(e).__name__ for e in board[2]] == ["Gain", "Reverb"]
    assert board(NOISE, RATE).shape == NOISE.shape


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[effect]\n", "not TOML"),
        ("[[effects]]\ntype = 'Gain'", "unknown key 'effects'; known: effect"),
        ("[effect]\ntype = 'Gain'", "two brackets"),
        ("[[effect]]\ngain_db = 3", "wanted type"),
        ("[[effect]]\ntype = 'Gian'", r"unknown effect 'Gian'; known: Denoise, .*Gain"),
        ("[[effect]]\ntype = 'Gain'\ngian_db = 3", "Gain has no 'gian_db'; known: gain_db"),
        ("[[effect]]\ntype = 'Gain'\ngain_db = 'loud'", "Gain refuses"),
        ("[[effect]]\ntype = 'Denoise'\nmixx = 3", "Denoise has no 'mixx'; known: model, mix"),
        ("[[effect]]\ntype = 'Denoise'\nmix = 300", "mix = 300"),
        ("[[effect]]\ntype = 'Mix'\nmix = 3", "Mix has no 'mix'"),
        ("[[effect]]\ntype = 'Gain'\n[[effect.effect]]\ntype = 'Gain'", "Gain holds no effects"),
        ("[[effect]]\ntype = 'VST3'", "a VST3 needs path"),
        ("[[effect]]\ntype = 'VST3'\npath = 'nowhere.vst3'", "cannot load nowhere.vst3"),
    ],
)
def test_a_wrong_board_file_says_what_is_known(tmp_path, text, message):
    """Wanted, got, choices."""
    path = tmp_path / "board.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=f"(?s){message}"):
        open_board(path)


def test_a_missing_board_file_is_named(tmp_path):
    """With the reason of the system."""
    with pytest.raises(UsageError, match=r"nowhere.toml: No such file"):
        open_board(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("within", ["Board", "Mix"])
def test_a_file_goes_through_a_plugin_that_cannot_stream(within, tmp_path, clips):
    """What `rtdenoise effects` marks "files only" works in files, and gives what an array gives."""
    path, out = tmp_path / "board.toml", tmp_path / "out.wav"
    path.write_text(
        f"""
        [[effect]]
        type = "{within}"
        [[effect.effect]]
        type = "PitchShift"
        semitones = 2
        """
    )
    source = clips / "noisy.flac"
    assert main(["file", str(source), "-o", str(out), "--board", str(path), "-q"]) == 0

    np.testing.assert_allclose(read(out), open_board(path)(read(source), RATE), atol=2.0**-15)
