"""Boards that are saved as they are set, the state of VST3 plugins, and their windows."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import tomllib
from copy import deepcopy

import numpy as np
import pytest

from rtdenoise import Board, Denoise, DryWet, Effect, Mix, UsageError
from rtdenoise.chain.autolevel import AutoLevel
from rtdenoise.chain.boardfile import described, open_board, save_board
from rtdenoise.cli import main
from rtdenoise.core.stage import Chain
from tests import foreign_models
from tests.sounds import read, write

RATE = 48_000
NOISE = np.random.default_rng(440).uniform(-0.3, 0.3, (2, 12_000)).astype(np.float32)


class Own(Effect):
    """An effect of the user's, which tells its parameter."""

    def __init__(self, depth: float = 1.0) -> None:
        self.depth = depth

    def stage(self, stream, counters=None):
        return Chain([], stream)


class Secret(Own):
    """One that does not."""

    def __init__(self, hidden: float = 1.0) -> None:
        pass


def test_a_board_that_is_saved_and_opened_is_the_same(tmp_path):
    """Every kind of effect, nested, with what was set since it was made."""
    pedalboard = pytest.importorskip("pedalboard")
    foreign_models.write(tmp_path)
    model = Denoise(tmp_path / "drive.nm", atten_lim_db=24)
    board = Board(
        [
            pedalboard.HighpassFilter(cutoff_frequency_hz=80),
            model,
            pedalboard.LadderFilter(mode=pedalboard.LadderFilter.Mode.HPF12, cutoff_hz=120),
            Mix([pedalboard.Gain(-6), pedalboard.Invert()]),
            DryWet(Board([pedalboard.Compressor(threshold_db=-20), None]), mix=60),
            Own(0.25),
            AutoLevel(target_db=-18),
        ]
    )
    board[0].cutoff_frequency_hz, model.drive, board[4].residual = 100, 0.9, True
    save_board(board, tmp_path / "saved.toml")
    again = open_board(tmp_path / "saved.toml")

    assert described(again) == described(board)
    assert type(again[6]) is AutoLevel
    assert (again[0].cutoff_frequency_hz, again[1].drive, again[5].depth) == (100, 0.9, 0.25)
    np.testing.assert_array_equal(again(NOISE, RATE), board(NOISE, RATE))


def test_what_does_not_tell_how_it_was_made_is_refused(tmp_path):
    """Before anything is written; what is there stays."""
    (tmp_path / "saved.toml").write_text("kept")
    for effect, message in (
        (Secret(), "does not tell its hidden"),
        (Denoise(Denoise("speech").net), "loaded by hand"),
    ):
        with pytest.raises(UsageError, match=message):
            save_board(effect, tmp_path / "saved.toml")
    assert (tmp_path / "saved.toml").read_text() == "kept"


def vst3_board(path, bundle, text=""):
    path.write_text(f"[[effect]]\ntype = 'VST3'\npath = '{bundle}'\n{text}\n")
    return path


def test_the_state_of_a_vst3_is_in_the_board_file(vst3, tmp_path):
    """All that the plugin keeps, as it says; a parameter beside it is set after that."""
    board = open_board(vst3_board(tmp_path / "a.toml", vst3("LateGain")))
    board[0].gain_db = -15
    save_board(board, tmp_path / "b.toml")
    assert open_board(tmp_path / "b.toml")[0].gain_db == pytest.approx(-15, abs=0.1)
    state = tomllib.loads((tmp_path / "b.toml").read_text())["effect"][0]["state"]
    both = vst3_board(tmp_path / "c.toml", vst3("LateGain"), f"gain_db = 3\nstate = '{state}'")
    assert open_board(both)[0].gain_db == pytest.approx(3, abs=0.1)


def test_a_copy_knows_what_was_set_before_any_sound_came(vst3, tmp_path):
    """The plugin itself does not know yet."""
    board = open_board(vst3_board(tmp_path / "a.toml", vst3("LateGain")))
    board[0].gain_db = -15
    for other in (deepcopy(board), pickle.loads(pickle.dumps(board))):
        assert other[0].gain_db == pytest.approx(-15, abs=0.1)
        np.testing.assert_allclose(other(NOISE, RATE), 10 ** (-15 / 20) * NOISE, atol=1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("state = 'no*base64'", "LateGain: state: wanted the text"),
        ("state = 3", "LateGain: state: wanted the text"),
        ("preset = 'none.vstpreset'", "preset = 'none.vstpreset': wanted the path of a .vstpreset"),
        ("preset = '{here}'", "LateGain: preset = "),
    ],
)
def test_a_state_or_a_preset_that_is_none_is_told(vst3, tmp_path, text, message):
    """In one line, with the place in the board file."""
    path = tmp_path / "board.toml"
    vst3_board(path, vst3("LateGain"), text.format(here=path))
    with pytest.raises(UsageError, match=message) as caught:
        open_board(path)
    assert "\n" not in str(caught.value)


def test_a_file_command_saves_the_board_that_it_used(vst3, tmp_path):
    """Under the name of the board itself, too; another file that is there needs -f."""
    path = vst3_board(tmp_path / "board.toml", vst3("LateGain"), "gain_db = -6")
    write(tmp_path / "in.wav", NOISE)
    argv = ["file", str(tmp_path / "in.wav"), "--board", str(path)]
    for number, (target, code) in enumerate((("new.toml", 0), ("board.toml", 0), ("new.toml", 2))):
        out = ["-o", str(tmp_path / f"{number}.wav"), "--save-board", str(tmp_path / target)]
        assert main([*argv, *out]) == code
    for saved in ("board.toml", "new.toml"):
        assert open_board(tmp_path / saved)[0].gain_db == pytest.approx(-6, abs=0.1)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--editor"], "--editor and --save-board are about a board"),
        (["--editor", "--board", "gain.toml"], "there is no VST3 plugin"),
        (["--editor", "--board", "vst3.toml"], "there is no screen"),
    ],
)
def test_an_editor_that_cannot_be_is_refused_before_anything_runs(
    vst3, tmp_path, monkeypatch, capsys, flags, message
):
    """In one sentence, by both verbs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    vst3_board(tmp_path / "vst3.toml", vst3("LateGain"))
    (tmp_path / "gain.toml").write_text("[[effect]]\ntype = 'Gain'\n")
    write(tmp_path / "in.wav", NOISE)
    for argv in (
        ["file", "in.wav", "-o", "out.wav"],
        ["live", "--in", "file:in.wav", "--out", "file:out.wav", "--clock", "fast"],
    ):
        assert main([*argv, *flags]) == 2
        told = [line for line in capsys.readouterr().err.splitlines() if "rtdenoise" in line]
        assert len(told) == 1
        assert message.replace(" and --save-board are about a board", "") in told[0]
        assert not (tmp_path / "out.wav").exists()


@pytest.fixture
def screen():
    """The name of a screen that nobody sees."""
    if not shutil.which("Xvfb"):
        pytest.skip("a screen: apt-get install xvfb")
    told, tells = os.pipe()
    words = ["Xvfb", "-displayfd", str(tells), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    with subprocess.Popen(words, pass_fds=[tells], stderr=subprocess.DEVNULL) as server:
        os.close(tells)
        with os.fdopen(told) as lines:
            yield f":{lines.readline().strip()}"
        server.terminate()


def test_what_is_turned_in_the_window_is_heard_and_saved(vst3, tmp_path, screen):
    """While the sound goes on; the window closes when the run ends. The plugin turns itself."""
    path = vst3_board(tmp_path / "board.toml", vst3("Window"), "gain_db = 0")
    tone = np.full((2, 2 * RATE), 0.25, np.float32)
    write(tmp_path / "in.wav", tone)
    words = [
        *(sys.executable, "-m", "rtdenoise", "live", "--board", "board.toml", "--editor"),
        *("--in", "file:in.wav", "--out", "file:out.wav", "--channels", "2"),
        *("--save-board", "saved.toml"),
    ]
    environment = os.environ | {"DISPLAY": screen}
    run = subprocess.run(
        words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    assert "the board: saved.toml" in run.stderr
    out = read(tmp_path / "out.wav")
    np.testing.assert_allclose(out[:, 400:1000], 0.25, atol=1e-3)
    quiet = 0.25 * 10 ** (-12 / 20)
    np.testing.assert_allclose(out[:, 2 * RATE - 1000 : 2 * RATE], quiet, atol=1e-3)
    assert open_board(tmp_path / "saved.toml")[0].gain_db == pytest.approx(-12, abs=0.1)
    assert path.read_text().count("gain_db = 0") == 1
