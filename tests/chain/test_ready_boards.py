"""The boards in examples/boards can be used as they are: live, at any level, on any rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtdenoise import AutoLevel, Board
from rtdenoise.chain.boardfile import open_board
from rtdenoise.cli import main
from rtdenoise.core.loudness import integrated
from rtdenoise.core.stage import process
from rtdenoise.core.stream import Stream
from tests.conftest import CLIPS
from tests.sounds import noise, read, write

BOARDS = sorted((Path(__file__).parents[2] / "examples" / "boards").glob("*.toml"))
RATE = 48_000
each_board = pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)


def stage(path, rate=RATE, channels=1, block=None):
    return open_board(path).stage(Stream(rate, channels, block))


def voice():
    """A woman in rain, for 10 s."""
    return read(CLIPS / "noisy.flac")[:, : 10 * RATE]


def target_of(path):
    """The loudness that the last auto-level of a board aims at."""
    return [effect for effect in open_board(path) if isinstance(effect, AutoLevel)][-1].target_db


def test_there_is_a_board_for_each_purpose_and_a_word_on_each_in_the_docs():
    """Neither a board without an explanation nor an explanation without a board."""
    page = (BOARDS[0].parents[2] / "docs" / "boards.md").read_text()

    assert [p.stem for p in BOARDS] == ["call", "field-recording", "old-tape", "podcast", "stream"]
    for path in BOARDS:
        assert f"examples/boards/{path.name}" in page
        assert f"--board examples/boards/{path.name}" in path.read_text()


@each_board
@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_it_streams_at_any_rate_with_any_channels(rng, path, rate):
    """Block by block as a sound card gives them; as many samples come out, and all are finite."""
    one, audio = stage(path, rate, 2, 441), noise(rng, 2, 441 * 40)
    out = np.concatenate([one.push(part) for part in np.split(audio, 40, axis=1)], axis=1)

    assert out.shape == audio.shape
    assert np.isfinite(out).all()
    assert out[:, -4410:].any()


@each_board
def test_silence_stays_silence(path):
    """Digital silence in, digital silence out, also after a voice: nothing is raised."""
    one = stage(path)
    assert not process(one, np.zeros((1, RATE), np.float32)).any()
    out = process(one, np.pad(voice()[:, :RATE], ((0, 0), (0, 3 * RATE))))

    assert np.abs(out[:, -RATE:]).max() < 1e-5


@each_board
def test_no_peak_reaches_full_scale(path, rng):
    """A voice 20 dB too loud, clicks, and a whisper before a shout stay below -0.9 dBFS."""
    loud = 10 * voice()[:, : 2 * RATE]
    loud[0, ::9_999] = 30
    sudden = np.concatenate((0.02 * voice()[:, : 3 * RATE], 3 * voice()[:, :RATE]), axis=1)
    for audio in (loud, sudden):
        assert np.abs(process(stage(path), audio)).max() < 10 ** (-0.9 / 20)


@each_board
def test_a_voice_reaches_the_loudness_of_the_board(path):
    """Within 1.5 dB of what the file says, though it was softer; the gate takes its share."""
    out = process(stage(path), np.tile(np.float32(0.7) * voice(), 2)[:, : 18 * RATE])

    heard = integrated(np.ascontiguousarray(out[:, -6 * RATE :]), RATE)
    assert heard == pytest.approx(target_of(path), abs=1.5)


def test_the_board_for_calls_adds_no_delay_to_that_of_its_net():
    """No stage of it looks ahead: 21 ms at blocks of 512, as `speech` alone."""
    path = next(path for path in BOARDS if path.stem == "call")
    net = next(effect for effect in open_board(path) if hasattr(effect, "net"))

    alone = Board([net]).stage(Stream(RATE, 1, 512)).latency
    assert stage(path, block=512).latency == alone == 512


@each_board
def test_it_runs_in_live_sound(path, tmp_path):
    """By the command that a user types."""
    write(tmp_path / "in.wav", voice()[:, : RATE // 2])
    ends = ["--in", f"file:{tmp_path / 'in.wav'}", "--out", f"file:{tmp_path / 'out.wav'}"]
    assert main(["live", *ends, "--clock", "fast", "--board", str(path), "-q"]) == 0

    assert np.abs(read(tmp_path / "out.wav")).max() > 0.01
