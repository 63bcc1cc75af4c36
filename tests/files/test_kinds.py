"""What is plainly music is found, and speech is not taken for it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rtdenoise.cli import main
from rtdenoise.files.kinds import Kind
from tests.sounds import noise, notes, read, write


def heard(sound, rate=48_000, block=1000):
    """Whether *sound* (channels, n) is plainly music, heard in blocks."""
    kind = Kind(rate)
    for at in range(0, sound.shape[1], block):
        kind.before(sound[:, at : at + block])
    return kind.music


@pytest.mark.parametrize("block", [333, 65_536])
@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_notes_are_music_at_any_rate_and_in_any_cut(rate, block):
    """Partials that keep their pitch, and change twice a second; mono and stereo."""
    assert heard(notes(rate), rate, block)
    assert heard(np.repeat(notes(rate), 2, 0), rate, block)


def test_what_is_no_music_is_not_taken_for_it(clips, rng):
    """Voices, voices in noise, noise, a hum, a whine, a siren, silence and nothing."""
    places = np.arange(480_000) / 48_000
    harmonics, tones = np.arange(1, 60)[:, None], np.arange(500, 4500, 330)[:, None]
    hum = (np.sin(2 * np.pi * 50 * harmonics * places + harmonics) / harmonics).sum(0)
    whine = np.sin(2 * np.pi * tones * places).sum(0)
    siren = np.sin(2 * np.pi * 900 * places + 300 * np.sin(2 * np.pi * 0.4 * places))
    sounds = [read(clips / name) for name in ("clean.flac", "noisy.flac", "noise_rain.flac")]
    sounds += [(0.05 * each[None]).astype(np.float32) for each in (hum, whine, siren)]
    sounds += [noise(rng, 1, 480_000), np.zeros((1, 480_000)), np.zeros((1, 0)), np.ones((1, 9))]
    assert [heard(sound.astype(np.float32)) for sound in sounds] == [False] * len(sounds)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf, 3e38])
def test_what_is_no_plain_number_is_silence(broken):
    """A few such samples hide no music, and a recording of nothing else is none."""
    tune = np.repeat(notes(16_000), 2, 0)
    tune[:, ::7001] = broken
    assert heard(tune, 16_000)
    assert not heard(np.full((2, 160_000), broken, np.float32), 16_000)


def test_three_seconds_are_enough(clips):
    """A clip of five seconds got no advice, because a verdict wanted more; less is no verdict."""
    piano, words = read(clips / "piano.flac"), read(clips / "voice_words.flac")
    assert heard(piano[:, : 3 * 48_000])
    assert not heard(piano[:, : int(2.9 * 48_000)])
    assert not heard(words[:, : 4 * 48_000])


def test_two_thirds_decide():
    """A jingle before a talk does not make it music, and an announcement no song of a talk."""
    tune, rush = notes(16_000), noise(np.random.default_rng(1), 1, 160_000)
    assert heard(np.concatenate([tune, tune, rush], 1), 16_000)
    assert not heard(np.concatenate([tune, rush, rush], 1), 16_000)


def test_the_command_names_the_model_that_fits(clips, tmp_path, capsys):
    """Music that a model for speech has processed is a warning; a voice is none."""
    write(tmp_path / "tune.wav", notes(48_000, 8.0))
    argv = ["file", "--json", "-q", str(tmp_path / "tune.wav")]
    assert main([*argv, "-m", "speech-small"]) == 0
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (
        "this sounds like music, and speech-small is for speech: try the model music"
        in line["warnings"]
    )
    assert main([*argv, "-m", "music", "-f"]) == 0
    assert "sounds like" not in capsys.readouterr().out
    assert main(["file", "--json", str(clips / "voice_words.flac"), "-O", str(tmp_path)]) == 0
    assert "sounds like" not in capsys.readouterr().out
