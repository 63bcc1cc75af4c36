"""Board files: what they say is what stands on the board, and mistakes list the choices."""

from __future__ import annotations

import re

import numpy as np
import pytest

from rtdenoise import UsageError
from rtdenoise.chain.boardfile import open_board
from rtdenoise.cli import main
from rtdenoise.errors import RtdenoiseError
from tests.conftest import CLIPS
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
        ("[[effect]]\ntype = 'Gain'\ngain_db = 'loud'", "gain_db = 'loud': wanted a number, dB"),
        ("[[effect]]\ntype = 'Gain'\ngain_db = 2020-01-01", "wanted a number"),
        (f"[[effect]]\ntype = 'Gain'\ngain_db = 1{'0' * 400}", "gain_db = inf: wanted"),
        ("[[effect]]\ntype = 'Denoise'\nmix = 'loud'", "mix = 'loud': wanted a number, 0 to 100 %"),
        ("[[effect]]\ntype = 'Denoise'\nmix = true", "mix = True: wanted a number"),
        ("[[effect]]\ntype = 'Denoise'\natten_lim_db = [3]", "wanted a number, 0 to 100 dB"),
        ("[[effect]]\ntype = 'Denoise'\nresidual = 'no'", "residual = 'no': wanted true or false"),
        ("[[effect]]\ntype = 'Denoise'\nmodel = 3", "model = 3: wanted a name, a path"),
        ("[[effect]]\ntype = 'LadderFilter'\nmode = 'HPF'", "mode = 'HPF': wanted LPF12, .*HPF24"),
        ("[[effect]]\ntype = 'os:path'", "os:path is not an effect"),
        ("[[effect]]\ntype = ':'", "no effect :: ValueError"),
        ("[[effect]]\ntype = 'rtdenoise:Effect'", "rtdenoise:Effect cannot be made: TypeError"),
        ("[[effect]]\ntype = 'Convolution'", "a Convolution needs impulse_response_filename"),
        ("[[effect]]\ntype = 'Denoise'\nmixx = 3", "Denoise has no 'mixx'; known: model, mix"),
        ("[[effect]]\ntype = 'Denoise'\nmix = 300", "mix = 300"),
        ("[[effect]]\ntype = 'Mix'\nmix = 3", "Mix has no 'mix'"),
        ("[[effect]]\ntype = 'Gain'\n[[effect.effect]]\ntype = 'Gain'", "Gain holds no effects"),
        ("[[effect]]\ntype = 'VST3'", "a VST3 needs path"),
        (
            "[[effect]]\ntype = 'VST3'\npath = 'nowhere.vst3'",
            "cannot load nowhere.vst3: there is no",
        ),
    ],
)
def test_a_wrong_board_file_says_what_is_known(tmp_path, text, message):
    """Wanted, got, choices."""
    path = tmp_path / "board.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=f"(?s){message}"):
        open_board(path)


@pytest.mark.parametrize(
    ("effect", "message"),
    [
        ("type = 'Convolution'\nimpulse_response_filename = 'hall.wav'", "no file hall.wav"),
        ("type = 'Convolution'\nimpulse_response_filename = '{empty}'", "no sound file, or it is"),
        ("type = 'Convolution'\nimpulse_response_filename = 3", "wanted the name of a sound file"),
        ("type = 'VST3'\npath = 'gate.vst3'", "cannot load gate.vst3: there is no such file"),
        ("type = 'VST3'\npath = '{empty}'", "cannot load .*unsupported plugin format"),
        ("type = 'VST3'\npath = ''", "wanted the path of a .vst3"),
        ("type = 'Denoise'\nmodel = 'net.pt'", "there is no model file net.pt"),
        ("type = 'Denoise'\nmodel = 'whisper'", "no model 'whisper'. In the box: .*speech"),
        ("type = 'Denoise'\nmodel = '{empty}'", "is not a TorchScript file"),
        ("type = 'Nowhere'", "unknown effect 'Nowhere'"),
        ("type = 'nowhere:Gate'", "no effect nowhere:Gate"),
    ],
)
def test_what_a_board_needs_and_is_not_there_is_one_line_with_its_place(
    tmp_path, capsys, effect, message
):
    """The file, the number of the effect within the effect, and what is missing; no traceback."""
    (tmp_path / "empty").touch()
    path, inner = tmp_path / "board.toml", effect.replace("{empty}", str(tmp_path / "empty"))
    path.write_text(
        f"[[effect]]\ntype='Gain'\n[[effect]]\ntype='Mix'\n[[effect.effect]]\n{inner}\n"
    )
    noisy = str(CLIPS / "noisy.flac")
    out = tmp_path / "out.wav"
    assert main(["file", noisy, "-o", str(out), "--board", str(path)]) in (2, 4)

    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert f"{path}, effect 2, effect 1: " in told[0]
    assert re.search(message, told[0])
    assert not out.exists()


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_files_of_windows_editors_are_read(tmp_path, ends, mark):
    """With a byte order mark and with both line ends, in UTF-8."""
    path = tmp_path / "board.toml"
    text = f"{mark}[[effect]]{ends}type = 'Gain' # é{ends}gain_db = 3{ends}"
    path.write_bytes(text.encode())

    assert [effect.gain_db for effect in open_board(path)] == [3]
    for encoding in ("utf-16", "utf-16-le", "utf-32", "latin-1"):
        path.write_bytes(text.lstrip("\ufeff").encode(encoding))
        with pytest.raises(UsageError, match=r"board.toml is not UTF-8 .*save it as UTF-8"):
            open_board(path)


def test_a_choice_is_given_by_its_name(tmp_path):
    """As pedalboard calls it."""
    path = tmp_path / "board.toml"
    path.write_text("[[effect]]\ntype = 'LadderFilter'\nmode = 'HPF24'")

    assert open_board(path)[0].mode.name == "HPF24"


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


@pytest.mark.parametrize(
    "line",
    [
        'type = "Convolution"\nimpulse_response_filename',
        'type = "VST3"\npath',
        'type = "Denoise"\nmodel',
    ],
)
def test_a_name_that_no_disk_holds_is_one_line(tmp_path, line):
    """A name of 5000 characters is a missing file, like any other."""
    path = tmp_path / "board.toml"
    path.write_text(f'[[effect]]\n{line} = "{"x" * 5000}"\n')
    with pytest.raises(RtdenoiseError) as caught:
        open_board(path)
    assert "\n" not in str(caught.value)
