"""Sound files: what is read and written again is the same."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from rtdenoise.errors import AudioError, Problem
from rtdenoise.sound.formats import BITS, encoding
from rtdenoise.sound.reader import SoundReader
from rtdenoise.sound.writer import SoundWriter
from tests.sounds import LOSSLESS, noise, read, tell_files, write

LOSSY = [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("WAV", "ULAW")]


@pytest.mark.parametrize(("form", "subtype"), LOSSLESS)
def test_what_is_read_and_written_again_is_the_same(form, subtype, tmp_path, rng):
    """Rounding is the exact reverse of reading: no sample moves, at any rate and channel count."""
    for rate, channels in ((8000, 1), (44_100, 2), (96_000, 6), (48_000, 8)):
        audio = noise(rng, channels, 3001)
        write(tmp_path / "a", audio, rate, form, subtype)
        first = read(tmp_path / "a")
        write(tmp_path / "b", first, rate, form, subtype)

        step = 2.0 ** -(BITS[subtype] - 1) if subtype in BITS else 0.0
        count = audio.shape[1]  # AIFF puts an odd number of 8-bit samples into pairs
        assert np.abs(first[:, :count] - audio).max() <= (0.5 if step < 0.001 else 1.0) * step
        assert np.array_equal(read(tmp_path / "b")[:, :count], first[:, :count])


@pytest.mark.parametrize(("form", "subtype"), LOSSY)
@pytest.mark.parametrize("count", [1, 100, 10_001, 70_000])
def test_lossy_formats_keep_the_length_and_the_timing(form, subtype, count, tmp_path, rng):
    """libsndfile's coders add no delay and no samples."""
    audio = noise(rng, 2, count + 7)
    audio = sum(audio[:, i : i + count] for i in range(8)) / 8  # coders drop what is very high
    writer = write(tmp_path / "a", audio, 48_000, form, subtype)
    back = read(tmp_path / "a")

    assert back.shape == audio.shape
    assert writer.padded == 0
    if count > 1000:
        spectra = np.fft.rfft(audio[0], 2 * count), np.fft.rfft(back[0], 2 * count)
        assert np.argmax(np.fft.irfft(spectra[0].conj() * spectra[1])) == 0


def test_integers_are_held_at_full_scale_and_never_wrap(tmp_path):
    """A sample beyond full scale is the nearest one there is, and is counted."""
    audio = np.array([[1.5, -1.5, 1.0, -1.0, 0.5, np.nan, np.inf]], np.float32)
    for subtype, top in (("PCM_16", 1 - 2**-15), ("PCM_24", 1 - 2**-23), ("PCM_U8", 1 - 2**-7)):
        writer = write(tmp_path / "a.wav", audio, subtype=subtype)
        assert np.array_equal(read(tmp_path / "a.wav"), [[top, -1, top, -1, 0.5, 0, top]])
        assert writer.clipped == 3


@pytest.mark.parametrize("block", [1, 7, 4096, 100_000])
def test_the_block_size_never_changes_a_sample(block, tmp_path, rng):
    """Every way of reading gives the same, and so does reading twice."""
    audio = noise(rng, 2, 5000)
    write(tmp_path / "a.flac", audio, form="FLAC", subtype="PCM_24")
    with SoundReader(tmp_path / "a.flac", block) as reader:
        once = np.concatenate(list(reader), axis=1)
        assert np.array_equal(np.concatenate(list(reader), axis=1), once)
    assert np.array_equal(once, read(tmp_path / "a.flac"))


@pytest.mark.parametrize(
    ("name", "subtype", "expected"),
    [
        ("x.wav", "PCM_24", ("WAV", "PCM_24")),
        ("-", "FLOAT", ("WAV", "FLOAT")),
        ("x.flac", "PCM_24", ("FLAC", "PCM_24")),
        ("x.flac", "FLOAT", ("FLAC", "PCM_24")),
        ("x.flac", "PCM_16", ("FLAC", "PCM_16")),
        ("x.mp3", "PCM_16", ("MP3", "MPEG_LAYER_III")),
        ("x.OPUS", "PCM_16", ("OGG", "OPUS")),
        ("x.w64", "DOUBLE", ("W64", "DOUBLE")),
    ],
)
def test_an_output_is_encoded_like_the_input_as_far_as_its_name_allows(
    name, subtype, expected, tmp_path
):
    """The subtype stays; where the format lacks it, no precision is lost if it can be helped."""
    write(tmp_path / "a.wav", np.zeros((1, 9), np.float32), subtype=subtype)
    with SoundReader(tmp_path / "a.wav") as reader:
        assert encoding(name, reader) == expected
        with pytest.raises(AudioError, match=r"\.xyz.*flac"):
            encoding("a.xyz", reader)


def header(rate, channels, data=200):
    """A wav file of *data* bytes of 16-bit silence whose header says what it is told."""
    frame = 2 * max(1, channels)
    body = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * frame, frame, 16)
    return b"RIFF\xff\0\0\0WAVEfmt " + body + b"data" + struct.pack("<I", data) + bytes(data)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"once upon a time" * 99, r"not a sound file.*flac"),
        (header(7, 1), "7 Hz.*1000"),
        (header(1_000_000, 1), "1e.06 Hz|1000000 Hz"),
        (header(48_000, 0), "not a sound file"),
        (header(48_000, 300, 6000), "300 channels.*1 to 64"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(content, says, tmp_path):
    """The error names the file, what is wrong and what would be right."""
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=says) as error:
        SoundReader(path)
    assert "bad.wav" in str(error.value)


def test_a_wrong_name_gets_a_hint(tmp_path):
    """Missing files and folders say what to do."""
    write(tmp_path / "speech.wav", np.zeros((1, 9), np.float32))
    with pytest.raises(AudioError, match=r"Did you mean speech\.wav"):
        SoundReader(tmp_path / "spech.wav")
    with pytest.raises(AudioError, match="is a folder") as raised:
        SoundReader(tmp_path)
    assert raised.value.problem is Problem.FOLDER_IN
    with pytest.raises(AudioError, match="mkdir -p"):
        SoundWriter(tmp_path / "no" / "a.wav", 48_000, 1)
    with pytest.raises(AudioError, match=r"8000, 12000") as raised:
        SoundWriter(tmp_path / "a.opus", 44_100, 1)
    assert raised.value.problem is Problem.FORMAT
    with pytest.raises(AudioError, match="cannot hold 0 samples"):
        write(tmp_path / "a.flac", np.zeros((1, 0), np.float32), form="FLAC", subtype="PCM_16")
    assert tell_files(tmp_path) == ["speech.wav"]
