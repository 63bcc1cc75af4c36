"""VST3 plugins: on boards, in files by several threads, with any channels, and what they refuse.

The plugin is built from tests/chain/plugin: a stereo gain whose output is 300 samples late.
"""

from __future__ import annotations

import pickle
import threading
from copy import deepcopy

import numpy as np
import pytest

from rtdenoise import AudioError, Board, Denoise, DryWet, Mix, UsageError
from rtdenoise.chain.boardfile import open_board
from rtdenoise.chain.controls import controls, find
from rtdenoise.cli import main
from rtdenoise.core.stage import process
from rtdenoise.core.stream import Stream
from tests.sounds import read, write
from tests.toy_nets import Identity, generator_for

RATE, LATE = 48_000, 300
NOISE = np.random.default_rng(440).uniform(-0.3, 0.3, (2, 24_000)).astype(np.float32)
IDENTITY = generator_for(Identity())
HALF = 10 ** (-6 / 20)
STEP = 60 / 1000 / 20 * np.log(10)  # the plugin's gain has 1000 steps over 60 dB

pytestmark = pytest.mark.parametrize("name", ["LateGain", "Keeps"])


def board_file(tmp_path, bundle, text="gain_db = -6"):
    path = tmp_path / "board.toml"
    path.write_text(f"[[effect]]\ntype = 'VST3'\npath = '{bundle}'\n{text}\n")
    return path


@pytest.mark.parametrize("channels", [1, 2])
def test_a_vst3_is_late_as_it_says_and_compensated(vst3, name, tmp_path, channels):
    """Alone and beside others, whole and streamed; mono goes through both of its channels."""
    plugin = open_board(board_file(tmp_path, vst3(name)))[0]
    audio = NOISE[:channels]
    for board, gain in (
        (Board([plugin]), HALF),
        (Board([Denoise(IDENTITY), plugin]), HALF),
        (Mix([plugin, Denoise(IDENTITY)]), 1 + HALF),
        (DryWet(Board([plugin]), mix=50), (1 + HALF) / 2),
    ):
        np.testing.assert_allclose(board(audio, RATE), gain * audio, atol=STEP)
        parts = [
            board.process(audio[:, at : at + 700], RATE, reset=False)
            for at in range(0, audio.shape[1], 700)
        ]
        streamed = np.concatenate([*parts, board.flush()], axis=1)
        np.testing.assert_allclose(streamed, gain * audio, atol=STEP)
    assert Board([plugin]).latency(RATE) == LATE


def test_its_parameters_are_listed_and_set_while_it_runs(vst3, name, tmp_path):
    """By their names, with the range that the plugin publishes."""
    board = open_board(board_file(tmp_path, vst3(name)))
    stage = board.stage(Stream(RATE, 2))
    stage.push(NOISE[:, :9600])
    (row,) = (c.as_dict() for c in controls(board) if c.parameter.name == "gain_db")
    control = find(board, row["path"])
    control.set(0.0, RATE)
    stage.push(NOISE[:, :9600])

    assert (row["path"], row["effect"], row["kind"]) == ("1/gain_db", board[0].name, "float")
    assert row["value"] == pytest.approx(-6, abs=0.06)
    assert row["most"] - row["least"] == 60
    np.testing.assert_allclose(
        stage.push(NOISE[:, :9600])[:, LATE:], NOISE[:, : 9600 - LATE], atol=STEP
    )
    with pytest.raises(UsageError, match="gain_db"):
        control.set("loud", RATE)


def test_a_second_recording_does_not_hear_the_first(vst3, name, tmp_path):
    """Each begins in silence, by a reset or by loading it anew."""
    board = open_board(board_file(tmp_path, vst3(name)))
    for channels in (2, 1, 1, 2):
        board.process(NOISE[:channels], RATE, reset=False)  # 300 samples stay in the plugin
        assert not board(np.zeros((channels, 9000), np.float32), RATE).any()


def test_stages_in_a_thread_may_change_their_channels_before_the_sound_comes(vst3, name, tmp_path):
    """A refused mono leaves a plugin switched off in pedalboard; it is switched on again."""
    plugin = open_board(board_file(tmp_path, vst3(name)))[0]
    outs = []

    def work():
        for channels in (2, 1, 2, 1):
            stage = Board([plugin]).stage(Stream(RATE, channels))
        outs.append(process(stage, NOISE[:1]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    np.testing.assert_allclose(outs[0], HALF * NOISE[:1], atol=STEP)


@pytest.mark.parametrize("jobs", [1, 3])
def test_files_go_through_a_vst3_by_several_threads(vst3, name, tmp_path, jobs):
    """Each file as if it were alone: its own instance, which the main thread loaded."""
    path = board_file(tmp_path, vst3(name))
    sounds = {}
    for number in range(7):
        channels = 1 + number % 2
        sounds[f"{number}.wav"] = NOISE[:channels, number : 9000 + 3000 * number]
        write(tmp_path / f"{number}.wav", sounds[f"{number}.wav"])
    inputs = [str(tmp_path / name) for name in sounds]
    out = tmp_path / "out"
    assert main(["file", *inputs, "-O", str(out), "--board", str(path), "--jobs", str(jobs)]) == 0

    for file, audio in sounds.items():
        np.testing.assert_allclose(read(out / file), HALF * audio, atol=STEP)


def test_a_plugin_that_only_the_main_thread_resets_says_so_elsewhere(vst3, name, tmp_path):
    """The second recording in a thread is the right one, or a line; never the first one's rest."""
    board = open_board(board_file(tmp_path, vst3(name)))
    ends, told = [], ""

    def work():
        nonlocal told
        ends.append(board(NOISE, RATE))
        try:
            ends.append(board(NOISE, RATE))
        except UsageError as error:
            told = str(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ("on the main thread" in told) == (name == "Keeps")
    assert len(ends) == (1 if told else 2)
    for out in ends:
        np.testing.assert_allclose(out, HALF * NOISE, atol=STEP)


@pytest.mark.parametrize("channels", [3, 6])
def test_channels_that_it_does_not_know_are_refused(vst3, name, tmp_path, channels, capfd):
    """In one line that names the plugin and both counts, before there is an output."""
    path = board_file(tmp_path, vst3(name))
    audio = np.concatenate([NOISE] * 3)[:channels]
    write(tmp_path / "in.wav", audio)
    with pytest.raises(AudioError, match=f"LateGain cannot process {channels} channels"):
        open_board(path)(audio, RATE)
    capfd.readouterr()
    out = tmp_path / "out.wav"
    argv = ["file", str(tmp_path / "in.wav"), "-o", str(out), "--board", str(path)]
    assert main(argv) == 1

    told = [line for line in capfd.readouterr().err.splitlines() if "rtdenoise" in line]
    assert len(told) == 1
    assert f"LateGain cannot process {channels} channels" in told[0]
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gian_db = 3", r"LateGain has no 'gian_db'; known: .*gain_db \(-40 to 20\)"),
        ("gain = 3", "LateGain has no 'gain'"),
        ("gain_db = 99", "out of range"),
        ("gain_db = nan", "gain_db = nan: wanted a finite number"),
        ("gain_db = 'loud'", "must be a number"),
        ("plugin_name = 'Other'", "there is no 'Other' in .*, but 'LateGain'"),
    ],
)
def test_wrong_parameters_list_the_right_ones(vst3, name, tmp_path, text, message):
    """In one line, with the place in the board file."""
    with pytest.raises(UsageError, match=f"board.toml, effect 1: .*{message}") as caught:
        open_board(board_file(tmp_path, vst3(name), text))
    assert "\n" not in str(caught.value)


def live(tmp_path):
    """What `rtdenoise live` makes of in.wav by board.toml, aligned."""
    ends = ["--in", f"file:{tmp_path / 'in.wav'}", "--out", f"file:{tmp_path / 'out.wav'}"]
    path = str(tmp_path / "board.toml")
    assert main(["live", *ends, "--clock", "fast", "-q", "--board", path, "--channels", "2"]) == 0
    return read(tmp_path / "out.wav")[:, LATE : LATE + NOISE.shape[1]]


@pytest.mark.parametrize("channels", [1, 2])
def test_live_sound_goes_through_a_vst3(vst3, name, tmp_path, channels):
    """In the audio thread, of a stage that was made and warmed up on the main thread."""
    board_file(tmp_path, vst3(name))
    write(tmp_path / "in.wav", NOISE[:channels])

    np.testing.assert_allclose(live(tmp_path), HALF * NOISE[:channels], atol=STEP)


def test_a_plugin_that_dies_of_nan_never_sees_it(vst3, name, tmp_path):
    """It would end the process; the samples are silence, and are counted."""
    board = open_board(board_file(tmp_path, vst3(name)))
    spoiled, mended = NOISE.copy(), NOISE.copy()
    spoiled[0, 100:103], mended[0, 100:103] = (np.nan, np.inf, -np.inf), 0
    np.testing.assert_allclose(board(spoiled, RATE), HALF * mended, atol=STEP)
    assert board.counters["nonfinite"] == 3
    board.process(spoiled, RATE, reset=False)
    board.stage(Stream(RATE, 2)).push(spoiled)
    write(tmp_path / "in.wav", spoiled)
    np.testing.assert_allclose(live(tmp_path), HALF * mended, atol=STEP)


def test_a_copy_has_the_settings_and_no_sound(vst3, name, tmp_path):
    """By deepcopy and pickle: what was set since it was loaded, too."""
    board = open_board(board_file(tmp_path, vst3(name)))
    board[0].gain_db = 3
    board.process(NOISE, RATE, reset=False)
    for copy in (deepcopy(board), pickle.loads(pickle.dumps(board))):
        np.testing.assert_allclose(copy(NOISE, RATE), board(NOISE, RATE), atol=1e-6)
        assert copy[0] is not board[0]
