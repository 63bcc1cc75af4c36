"""A file that grows is whole at every moment, and its target is untouched until the end."""

from __future__ import annotations

import os
import wave
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.errors import AudioError, Problem
from rtdenoise.sound.chunked import Chunks
from rtdenoise.sound.growing import HEAD, Growing, in_use
from rtdenoise.sound.reader import SoundReader
from rtdenoise.sound.take import Take
from rtdenoise.sound.view import Source
from tests.sounds import noise, read, tell_files

RATE = 48_000
STEP = 2**-15
RNG = np.random.default_rng(16)


@contextmanager
def most_bytes(size: int):
    """No file may be larger: a disk that is full in the middle of a block."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("channels", [1, 2])
def test_the_part_is_a_whole_file_after_every_block(tmp_path, channels):
    """For libsndfile, for Python's own reader and for ours, which warns of headers that lie."""
    audio = noise(RNG, channels, 5000)
    growing = Growing(tmp_path / "a.wav", RATE, channels)
    for at in range(0, 5000, 777):
        growing.write(audio[:, at : at + 777])
        there = min(5000, at + 777)
        np.testing.assert_allclose(read(growing.path), audio[:, :there], atol=STEP / 2)
        with wave.open(str(growing.path)) as plain:
            assert plain.getparams()[:4] == (channels, 2, RATE, there)
        with SoundReader(growing.path) as reader:
            assert (reader.frames, reader.warnings) == (there, [])
    assert tell_files(tmp_path) == ["a.wav.part.wav"]
    growing.commit()

    assert tell_files(tmp_path) == ["a.wav"]
    np.testing.assert_allclose(read(tmp_path / "a.wav"), audio, atol=STEP / 2)


def test_beyond_4_gib_it_is_rf64_and_no_sample_moves(tmp_path):
    """Thirteen hours of silence between two sounds; they take no room on the disk."""
    first, last, hours = noise(RNG, 1, 500), noise(RNG, 1, 700), 13 * 3600 * RATE
    growing = Growing(tmp_path / "a.wav", RATE, 1)
    growing.write(first)
    growing.gap(hours)
    if growing.path.stat().st_blocks * 512 > 1 << 20:
        growing.remove()
        pytest.skip("this file system writes silence out")
    assert sf.info(growing.path).format == "RF64"
    growing.write(last)
    growing.commit([(500, "lost")])

    with SoundReader(tmp_path / "a.wav") as reader:
        assert (reader.frames, reader.warnings) == (hours + 1200, [])
    with sf.SoundFile(tmp_path / "a.wav") as file:
        np.testing.assert_allclose(file.read(500), first[0], atol=STEP / 2)
        file.seek(hours + 500)
        np.testing.assert_allclose(file.read(), last[0], atol=STEP / 2)


def test_an_old_file_is_replaced_at_the_end_and_only_if_it_may_be(tmp_path):
    """Until then it is as it was; one that appears meanwhile stays, and so does the part."""
    old, new = tmp_path / "old.wav", tmp_path / "new.wav"
    old.write_bytes(b"old")
    with pytest.raises(AudioError, match="exists"):
        Take(old, RATE, 1)
    take = Take(old, RATE, 1, overwrite=True)
    take.write(noise(RNG, 1, 99))
    assert old.read_bytes() == b"old"
    take.close()
    assert read(old).shape == (1, 99)
    take = Take(new, RATE, 1)
    take.write(noise(RNG, 1, 99))
    new.write_bytes(b"mine")
    with pytest.raises(AudioError, match=r"new\.wav\.part\.wav") as caught:
        take.close()

    assert caught.value.problem is Problem.UNFINISHED
    assert new.read_bytes() == b"mine"
    assert read(tmp_path / "new.wav.part.wav").shape == (1, 99)


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3", "a.w64", "a.aiff", "a.caf", "a"])
def test_any_format_grows_as_wav_and_is_what_was_asked_for_at_the_end(tmp_path, name):
    """With the silence that is in it; the part is gone then."""
    audio = noise(RNG, 1, 100_000)
    take = Take(tmp_path / name, RATE, 1)
    for at in range(0, 100_000, 10_000):
        take.write(audio[:, at : at + 10_000])
        take.encode()
        assert sf.info(take.path).frames == take.frames == at + 10_000
    take.gap(500)
    take.close()
    heard = read(tmp_path / name)

    assert tell_files(tmp_path) == [name]
    assert heard.shape == (1, 100_500)
    if name not in ("a.ogg", "a.mp3"):
        np.testing.assert_allclose(heard[:, :100_000], audio, atol=STEP / 2)
        assert not heard[:, 100_000:].any()


def test_a_full_disk_leaves_the_part_as_it_was_before_the_block(tmp_path):
    """A block goes in whole or not at all, and when there is room again the file goes on."""
    growing = Growing(tmp_path / "a.wav", RATE, 1)
    growing.write(noise(RNG, 1, 1000))
    with most_bytes(HEAD + 2 * 1500), pytest.raises(AudioError, match="cannot write"):
        growing.write(noise(RNG, 1, 1000))
    assert sf.info(growing.path).frames == growing.frames == 1000
    assert growing.path.stat().st_size == HEAD + 2000
    growing.write(noise(RNG, 1, 1000))
    growing.commit()

    assert sf.info(tmp_path / "a.wav").frames == 2000


def test_an_encoder_without_room_leaves_the_sound_in_the_part(tmp_path):
    """AIFF from the wav that grows: told, and nothing is lost."""
    take = Take(tmp_path / "a.aiff", RATE, 1)
    take.write(noise(RNG, 1, 100_000))
    with most_bytes(1000):
        assert not take.encode()
        assert "goes on in" in take.notes[0]
    take.write(noise(RNG, 1, 100_000))
    with pytest.raises(AudioError, match=r"a\.aiff\.part\.wav"):
        take.close()

    assert tell_files(tmp_path) == ["a.aiff.part.wav"]
    assert sf.info(tmp_path / "a.aiff.part.wav").frames == 200_000


def test_a_second_recording_does_not_take_the_part_of_the_first(tmp_path):
    """What a crash left stays there, and a part that is being written is known as one."""
    first, second = (Take(tmp_path / "a.wav", RATE, 1) for _ in range(2))
    assert [first.path.name, second.path.name] == ["a.wav.part.wav", "a.wav.part2.wav"]
    if os.name == "posix":
        assert in_use(first.path)
    second.discard()
    first.write(noise(RNG, 1, 9))
    first.close()

    assert tell_files(tmp_path) == ["a.wav"]
    assert not in_use(tmp_path / "a.wav")


def test_the_marks_in_a_file_name_the_places(tmp_path):
    """The chunks that editors read: a cue and a label each, behind the samples."""
    growing = Growing(tmp_path / "a.wav", RATE, 1)
    growing.write(noise(RNG, 1, 1000))
    growing.commit([(100, "one"), (900, "four")])
    with (tmp_path / "a.wav").open("rb") as file:
        data, source = file.read(), Source(file)
        chunks = {
            name: data[at : at + size] for name, at, size in Chunks("<4sI", 12, 0).walk(source, 12)
        }

    assert list(chunks) == [b"JUNK", b"fmt ", b"data", b"cue ", b"LIST"]
    assert np.frombuffer(chunks[b"cue "][4:], "<u4").reshape(2, 6)[:, [0, 1, 5]].tolist() == [
        [1, 100, 100],
        [2, 900, 900],
    ]
    assert chunks[b"LIST"].count(b"labl") == 2
    assert b"one\0" in chunks[b"LIST"]
    assert b"four\0" in chunks[b"LIST"]
    assert sf.info(tmp_path / "a.wav").frames == 1000
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
