"""`rtdenoise recover` makes a whole file of what is there, and harms nothing."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.cli import main
from rtdenoise.sound.take import Take
from tests.sounds import noise, read, tell_files, write

RATE = 48_000
AUDIO = noise(np.random.default_rng(1605), 2, 20_000)
STEP = 2**-15


@pytest.fixture
def part(tmp_path):
    """What a recorder that was killed leaves of a name; its header lags behind by 99 samples."""

    def make(name):
        take = Take(tmp_path / name, RATE, 2)
        path = take.path
        take.write(AUDIO[:, :-99])
        head = path.read_bytes()[:80]
        take.write(AUDIO[:, -99:])
        left = head + path.read_bytes()[80:]
        take.discard()
        path.write_bytes(left)
        return path

    return make


@pytest.mark.parametrize("name", ["talk.wav", "talk.flac", "talk.mp3", "my talk.2.w64", "talk"])
def test_what_is_there_becomes_the_file_that_was_wanted(tmp_path, capsys, part, name):
    """In its format, with every sample, named after it; the part stays as it is."""
    left = part(name)
    kept = left.read_bytes()
    assert main(["recover", "--json", str(tmp_path)]) == 0
    done = json.loads(capsys.readouterr().out)
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - the rule in other words
    output = tmp_path / f"{stem}.recovered{suffix}"

    assert done == {
        "source": str(left),
        "output": str(output),
        "seconds": AUDIO.shape[1] / RATE,
        "missing": "",
    }
    assert left.read_bytes() == kept
    assert sf.info(output).format == (suffix[1:].upper() or "WAV")
    heard = read(output)
    assert heard.shape == AUDIO.shape
    if suffix != ".mp3":
        np.testing.assert_allclose(heard, AUDIO, atol=STEP / 2)


def test_it_says_what_it_did_and_does_it_once(tmp_path, monkeypatch, capsys, part):
    """This folder; the name that was wanted; the part itself; and again."""
    monkeypatch.chdir(tmp_path)
    part("talk.wav")
    assert main(["recover"]) == 0
    said = capsys.readouterr().out
    assert "talk.recovered.wav: 0.42 s, from talk.wav.part.wav" in said
    assert "rm talk.wav.part.wav" in said
    made = (tmp_path / "talk.recovered.wav").stat()
    assert main(["recover"]) == 0
    assert "talk.recovered.wav is there already" in capsys.readouterr().err
    for words in (["talk.wav"], ["talk.wav.part.wav"]):
        assert main(["recover", *words]) == 1
        assert "overwrite it: -f" in capsys.readouterr().err
    assert (tmp_path / "talk.recovered.wav").stat() == made
    assert main(["recover", "-f", "talk.wav"]) == 0
    assert main(["recover", "-o", "mine.flac", "talk.wav"]) == 0
    assert main(["recover", "-f", "-o", "./talk.wav.part.wav", "talk.wav"]) == 1
    assert "is the recording itself" in capsys.readouterr().err

    assert sf.info("mine.flac").frames == AUDIO.shape[1]
    assert tell_files(tmp_path) == ["mine.flac", "talk.recovered.wav", "talk.wav.part.wav"]


def test_two_parts_of_one_name_become_two_files(tmp_path, part):
    """As a service leaves them that was killed twice."""
    first = part("talk.wav")
    first.rename(tmp_path / "talk.wav.part2.wav")
    part("talk.wav")
    assert main(["recover", "-q", str(tmp_path)]) == 0
    assert main(["recover", str(tmp_path), "-o", str(tmp_path / "x.wav"), "-f"]) == 2

    assert {"talk.recovered.wav", "talk.recovered2.wav"} < set(tell_files(tmp_path))


def test_nothing_to_recover_is_told(tmp_path, capsys):
    """An empty folder is no error; a file that is missing is one."""
    assert main(["recover", str(tmp_path)]) == 0
    assert "nothing to recover" in capsys.readouterr().err
    assert main(["recover", str(tmp_path / "nowhere.wav")]) == 1
    assert "no file" in capsys.readouterr().err


def test_a_part_without_sound_is_told_and_makes_no_file(tmp_path, capsys):
    """Killed before the first block."""
    take = Take(tmp_path / "talk.flac", RATE, 1)
    path = take.path
    kept = path.read_bytes()
    take.discard()
    path.write_bytes(kept)

    assert main(["recover", str(tmp_path)]) == 1
    assert "holds no sound" in capsys.readouterr().err
    assert tell_files(tmp_path) == ["talk.flac.part.wav"]


@pytest.mark.skipif(os.name != "posix", reason="locks are POSIX")
def test_a_recording_that_goes_on_is_left_alone(tmp_path, capsys):
    """It is told; asked for by its name, it is an error."""
    take = Take(tmp_path / "talk.wav", RATE, 2)
    take.write(AUDIO)
    assert main(["recover", str(tmp_path)]) == 0
    assert "talk.wav.part.wav is being recorded now" in capsys.readouterr().err
    assert main(["recover", str(take.path)]) == 1
    assert "being recorded now" in capsys.readouterr().err
    take.close()

    assert tell_files(tmp_path) == ["talk.wav"]


def test_a_damaged_file_of_another_program_is_recovered_as_far_as_it_goes(tmp_path, capsys):
    """A recorder that left the size at 0; a flac that is cut off, with what is missing told."""
    write(tmp_path / "a.wav", AUDIO, form="WAV", subtype="PCM_24")
    damaged = bytearray((tmp_path / "a.wav").read_bytes())
    at = damaged.index(b"data") + 4
    damaged[at : at + 4] = bytes(4)
    (tmp_path / "a.wav").write_bytes(damaged)
    write(tmp_path / "b.flac", AUDIO, form="FLAC", subtype="PCM_16")
    whole = (tmp_path / "b.flac").read_bytes()
    (tmp_path / "b.flac").write_bytes(whole[: len(whole) // 2])
    assert main(["recover", str(tmp_path / "a.wav"), str(tmp_path / "b.flac")]) == 0

    np.testing.assert_allclose(read(tmp_path / "a.recovered.wav"), AUDIO, atol=2**-23)
    assert sf.info(tmp_path / "a.recovered.wav").subtype == "PCM_24"
    assert 5000 < sf.info(tmp_path / "b.recovered.flac").frames < 20_000
    assert "missing" in capsys.readouterr().err
