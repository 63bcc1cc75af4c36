"""Sound files in: they are read to the end of what is there, or somebody hears of it."""

from __future__ import annotations

import io
import re
import struct
import sys
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf

from rtdenoise import Denoise
from rtdenoise.degrade.sounds import decoded
from rtdenoise.errors import AudioError, Problem
from rtdenoise.files.offline import process_file
from rtdenoise.files.reference import Against
from rtdenoise.sound import chunked, plain
from rtdenoise.sound.formats import SUFFIXES, UNWRITABLE
from rtdenoise.sound.reader import SoundReader
from tests.damaged import ID3V1, ID3V2, LIST, damaged_flac, encoded, samples
from tests.sounds import noise, read, tell_files, write

CANNOT_WRITE = {"DWVW_12", "DWVW_16", "DWVW_24", "MPEG_LAYER_I", "MPEG_LAYER_II"}
# VOC's A-law and u-law are left out: libsndfile itself writes their size one too large.
FORMATS = sorted(
    (form, subtype)
    for form in {form for form, _ in SUFFIXES.values()} | {"WAVEX", "SVX", "WVE", "MPC2K", "SDS"}
    for subtype in sf.available_subtypes(form).keys() - UNWRITABLE - CANNOT_WRITE
    if (form, subtype) not in {("VOC", "ULAW"), ("VOC", "ALAW"), ("WAV", "MPEG_LAYER_III")}
)


@pytest.mark.parametrize(("form", "subtype"), FORMATS)
def test_every_format_gives_what_a_cut_left_and_says_what_is_missing(form, subtype, tmp_path):
    """Whole files are read without a word; cut ones to the cut, and never as if they were whole."""
    data = encoded(form, subtype, 2)
    whole = samples(data, tmp_path / "a", says="")
    part = samples(data[: len(data) * 6 // 10], tmp_path / "a", says="is cut off.*(missing)")

    assert 0.4 < part.shape[1] / whole.shape[1] < 0.7
    sure = part.shape[1] - 1200  # the last samples of a lossy stream need what follows them
    assert np.allclose(part[:, :sure], whole[:, :sure], atol=1e-3)
    exact = form not in ("OGG", "MP3", "FLAC")
    assert not exact or abs(part.shape[1] - 0.6 * whole.shape[1]) < 0.05 * whole.shape[1]


@pytest.mark.parametrize(("form", "subtype"), FORMATS)
def test_joined_files_are_read_one_after_the_other(form, subtype, tmp_path):
    """Two files written one behind the other give the sound of both."""
    data = encoded(form, subtype, 0.3)
    one = samples(data, tmp_path / "a", says="")
    both = samples(data + data, tmp_path / "a", says="")

    assert np.array_equal(both, np.concatenate((one, one), axis=1))


def test_joined_files_of_different_rates_are_refused(tmp_path):
    """Half of them at a wrong pitch would be worse than nothing."""
    for form, subtype in (("OGG", "VORBIS"), ("FLAC", "PCM_16"), ("WAV", "PCM_16")):
        other = io.BytesIO()
        sf.write(other, np.zeros((9000, 2)), 44_100, subtype, format=form)
        (tmp_path / "a").write_bytes(encoded(form, subtype) + other.getvalue())
        with pytest.raises(AudioError, match=r"48000 Hz with 1 .* 44100 Hz with 2.*split"):
            SoundReader(tmp_path / "a")


# Where a size is written: the text before it, the bytes between, its type, and what it counts
# beside the samples.
SIZES = {
    ("WAV", "PCM_16"): (b"data", 0, "<I", 0),
    ("WAV", "IMA_ADPCM"): (b"data", 0, "<I", 0),
    ("WAVEX", "PCM_24"): (b"data", 0, "<I", 0),
    ("RF64", "PCM_16"): (b"ds64", 12, "<Q", 0),
    ("W64", "PCM_16"): (b"data", 12, "<q", 24),
    ("AIFF", "PCM_16"): (b"SSND", 0, ">I", 8),
    ("AIFF", "GSM610"): (b"SSND", 0, ">I", 8),
    ("SVX", "PCM_16"): (b"BODY", 0, ">I", 0),
    ("AU", "PCM_16"): (b".snd", 4, ">I", 0),
    ("CAF", "PCM_16"): (b"data", 0, ">q", 4),
    ("CAF", "ALAC_16"): (b"data", 0, ">q", 4),
    ("AVR", "PCM_16"): (b"2BIT", 22, ">I", 0),
    ("FLAC", "PCM_16"): (b"fLaC", 18, ">I", 0),
}


def with_size(data, place, size):
    """A file's bytes with another size in the header."""
    text, between, kind, _ = place
    at = data.index(text) + len(text) + between
    if isinstance(size, int):
        size = struct.pack(kind, size)
    return data[:at] + size + data[at + len(size) :]


@pytest.mark.parametrize(("form", "subtype"), SIZES)
def test_a_size_that_is_too_small_is_not_believed(form, subtype, tmp_path):
    """A recorder that dies leaves 0, or what it was when it looked last; all the rest is there."""
    place, data = SIZES[form, subtype], encoded(form, subtype)
    whole = samples(data, tmp_path / "a", says="")
    for size in (0, 1020):
        lies = with_size(data, place, place[3] + size)
        assert np.array_equal(samples(lies, tmp_path / "a", says=""), whole)
        with SoundReader(tmp_path / "a") as reader:
            assert (size == 0 and form == "FLAC") or "promises 0." in reader.warnings[0]
            assert (reader.format, reader.subtype) == (form, subtype)


@pytest.mark.parametrize(("form", "subtype"), SIZES)
def test_a_size_that_is_too_large_is_told(form, subtype, tmp_path):
    """It cannot be told from a file that was cut off."""
    place, data = SIZES[form, subtype], encoded(form, subtype)
    whole = samples(data, tmp_path / "a", says="")
    size = 3 * whole.shape[1] if form in ("FLAC", "AVR") else 3 * len(data)
    lies = with_size(data, place, size)
    heard = samples(
        lies, tmp_path / "a", says=r"is cut off: \d+\.\d\d s of \d+\.\d\d s are missing"
    )
    assert np.array_equal(heard, whole)


@pytest.mark.parametrize(
    ("form", "size"),
    [
        ("WAV", b"\xff\xff\xff\xff"),  # ffmpeg
        ("WAV", b"\x00\xf0\xff\x7f"),  # sox
        ("WAV", b"\x00\x00\x00\x80"),  # arecord
        ("AIFF", b"\x7f\xff\xf0\x00"),
        ("AU", b"\xff\xff\xff\xff"),
        ("CAF", b"\xff" * 8),
        ("RF64", b"\xff" * 8),
        ("W64", b"\xff" * 7 + b"\x7f"),
    ],
)
def test_sizes_that_mean_unknown_are_no_loss(form, size, tmp_path):
    """Programs that write into a pipe cannot know the length."""
    data = encoded(form, "PCM_16")
    heard = samples(with_size(data, SIZES[form, "PCM_16"], size), tmp_path / "a", says="")

    assert np.array_equal(heard, samples(data, tmp_path / "a"))
    with SoundReader(tmp_path / "a") as reader:
        assert not reader.warnings


def test_text_and_block_headers_that_lie_are_not_believed(tmp_path):
    """NIST writes its count as text, VOC the size of a block in three bytes."""
    nist, voc = encoded("NIST", "PCM_16"), encoded("VOC", "PCM_16")
    for count, says in ((b"0    ", ""), (b"1000 ", ""), (b"96000", "1.00 s of 2.00 s are missing")):
        lies = re.sub(rb"(sample_count -i )\d{5}", rb"\g<1>" + count, nist)
        assert samples(lies, tmp_path / "a", says=says).shape == (1, 48_000)
    for size, says in ((0, ""), (1000, ""), (0xFFFFFF, "is cut off")):
        lies = voc[:27] + size.to_bytes(3, "little") + voc[30:]
        assert samples(lies, tmp_path / "a", says=says).shape == (1, 48_000)


def test_the_count_of_aiff_is_not_believed_if_it_is_0(tmp_path):
    """A recorder that died wrote no count, which stops libsndfile's GSM."""
    data = encoded("AIFF", "GSM610")
    whole = samples(data, tmp_path / "a", says="")
    lies = with_size(data, (b"COMM", 6, ">I", 0), 0)
    assert np.array_equal(samples(lies, tmp_path / "a", says=""), whole)


@pytest.mark.parametrize(
    "rest",
    [
        LIST,
        b"bext\x03\0\0\0abc\0" + LIST,
        b"bext\x03\0\0\0abc" + LIST,  # not padded, as some programs write
        b"xyzq\4\0\0\0abcd",  # a chunk that nobody knows
        LIST[:12],  # cut off in the last chunk, behind the sound
        ID3V1,
        ID3V2,
        b"APETAGEX" + bytes(60),
        bytes(5000),
        b"\r\n",
    ],
)
def test_what_follows_the_sound_is_not_sound(rest, tmp_path):
    """Chunks, tags of other formats, padding."""
    for subtype in ("PCM_16", "PCM_U8"):
        data = encoded("WAV", subtype)
        heard = samples(data + rest, tmp_path / "a", says="")
        assert np.array_equal(heard, samples(data, tmp_path / "a"))


def test_chunks_that_follow_w64_and_caf_are_not_sound(tmp_path):
    """libsndfile takes the chunks behind the samples of a W64 file for samples."""
    w64, caf = encoded("W64", "PCM_16"), encoded("CAF", "PCM_16")
    guid = w64[w64.index(b"data") + 4 :][:12]
    for data, rest in (
        (w64, b"levl" + guid + struct.pack("<q", 32) + bytes(range(1, 9))),
        (caf, b"info" + struct.pack(">q", 4) + b"abcd"),
    ):
        assert np.array_equal(
            samples(data + rest, tmp_path / "a", says=""), samples(data, tmp_path / "a")
        )


def test_an_empty_recording_is_empty(tmp_path):
    """No sound and nothing behind it, or only a chunk, is no damage."""
    for data in (encoded("WAV", "PCM_16", 0), encoded("WAV", "PCM_16", 0) + LIST):
        assert samples(data, tmp_path / "a", says="").shape == (1, 0)


@pytest.mark.parametrize(("form", "order"), [("WAV", "<"), ("AIFF", ">"), ("AU", ">")])
def test_a_size_that_was_wrapped_is_unwrapped(form, order, tmp_path, monkeypatch):
    """Four bytes count to 4 GiB; here they count to 10000, and parts hold at most 4000 bytes."""
    for room in (chunked, plain):
        monkeypatch.setattr(room, "WRAP", 10_000)
    monkeypatch.setattr(chunked, "LARGEST", 13_500)
    data = encoded(form, "PCM_16")
    whole = samples(data, tmp_path / "a")
    rest = LIST if form == "WAV" else b"MARK\0\0\0\2\0\0" if form == "AIFF" else b""
    place = SIZES[form, "PCM_16"]
    wrapped = with_size(data, place, 96_000 % 10_000 + place[3]) + rest

    assert np.array_equal(samples(wrapped, tmp_path / "a", says=""), whole)


def test_a_wav_file_beyond_4_gib_has_its_whole_length(tmp_path):
    """22,917 s of sound whose header says 547 s."""
    rate, true = 48_000, 22_917 * 192_000
    head = encoded("WAV", "PCM_16", 0, channels=2)
    with (tmp_path / "a.wav").open("wb") as file:
        file.write(head[:40] + struct.pack("<I", true % 2**32))
        file.seek(44 + true % 2**32)
        file.write(b"\x01\x02" * 100)  # sound where the header says the file ends
        file.seek(44 + true - 2)
        file.write(b"\xff\x7f" + LIST)
    with SoundReader(tmp_path / "a.wav") as reader:
        assert reader.frames == 22_917 * rate
        assert "promises 547.38 s" in reader.warnings[0]
        last = reader._recordings[-1]
        last.info.seek(last.frames - 1)
        assert last.info.read(9)[0, 1] == pytest.approx(1, abs=1e-4)


def test_rf64_and_bw64_are_read_by_their_true_size(tmp_path):
    """ds64 lies while the chunk has a size, or the other way round; BW64 is RF64 by a new name."""
    data = encoded("RF64", "PCM_16")
    chunk, wide = (b"data", 0, "<I", 0), SIZES["RF64", "PCM_16"]
    whole = samples(data, tmp_path / "a", says="")
    for lies in (
        with_size(data, chunk, 96_000),
        with_size(with_size(data, chunk, 96_000), wide, 0),
        with_size(data, chunk, 1000),
        b"BW64" + data[4:],
        with_size(data, wide, 1000) + b"",
    ):
        assert np.array_equal(samples(lies, tmp_path / "a", says=""), whole)


def test_pipes_are_read_like_files(tmp_path, monkeypatch):
    """stdin, also if the header lies or the pipe ends early."""
    data = encoded("WAV", "PCM_16")
    whole = samples(data, tmp_path / "a")
    lies = with_size(data, SIZES["WAV", "PCM_16"], 1000)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(lies)))
    assert np.array_equal(read("-"), whole)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data[:40_000])))
    with pytest.raises(AudioError, match="stdin is cut off") as raised:
        read("-")
    assert raised.value.problem is Problem.PARTIAL


def test_a_part_is_saved_and_called_a_part(identity, tmp_path, rng):
    """The output holds what can be read, and the report what cannot."""
    write(tmp_path / "a.wav", noise(rng, 1, 48_000), subtype="PCM_16")
    data = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(data[:48_044])
    report = process_file(tmp_path / "a.wav", tmp_path / "b.wav", Denoise(identity))

    assert "0.50 s of 1.00 s are missing" in report.partial
    assert report.frames == 24_000
    assert np.allclose(read(tmp_path / "b.wav"), samples(data, tmp_path / "c")[:, :24_000])
    whole = process_file(tmp_path / "b.wav", tmp_path / "d.wav", Denoise(identity))
    assert not whole.partial


def test_a_part_never_replaces_its_input_and_is_never_empty(identity, tmp_path):
    """Another program may read more of it."""
    damaged_flac(tmp_path / "a.flac")
    before = (tmp_path / "a.flac").read_bytes()
    with pytest.raises(AudioError, match="does not replace it"):
        process_file(tmp_path / "a.flac", tmp_path / "a.flac", Denoise(identity), overwrite=True)
    assert (tmp_path / "a.flac").read_bytes() == before
    (tmp_path / "b.wav").write_bytes(encoded("WAV", "PCM_16")[:44])
    with pytest.raises(AudioError, match="nothing was written"):
        process_file(tmp_path / "b.wav", tmp_path / "c.wav", Denoise(identity))
    assert tell_files(tmp_path) == ["a.flac", "b.wav"]


def test_sound_that_must_be_whole_is_refused_if_it_is_not(identity, tmp_path):
    """A clean reference and the noise of a recipe: a part would give wrong numbers, or data."""
    whole = damaged_flac(tmp_path / "a.flac")
    write(tmp_path / "b.wav", whole[None])
    with pytest.raises(AudioError, match="is damaged"):
        process_file(
            tmp_path / "b.wav",
            tmp_path / "c.wav",
            Denoise(identity),
            listen=lambda reader: [Against(tmp_path / "a.flac", reader)],
        )
    with pytest.raises(AudioError, match="is damaged"):
        decoded(tmp_path / "a.flac", 48_000)
    assert not (tmp_path / "c.wav").exists()


def test_any_bytes_give_sound_or_an_error_of_ours(tmp_path, capfd):
    """Headers and bodies with random mistakes, cuts, holes and insertions."""
    rng = np.random.default_rng(7)
    files = [encoded(form, subtype, 0.2) for form, subtype in FORMATS]
    said: list[str] = []
    for number in range(300):
        data = bytearray(files[number % len(files)])
        at = int(rng.integers(len(data)))
        match number % 4:
            case 0:
                del data[at:]
            case 1:
                del data[at : at + 900]
            case 2:
                data[at:at] = rng.bytes(700)
            case 3:
                data[at % 200] = int(rng.integers(256))
        (tmp_path / "a").write_bytes(data)
        try:
            read(tmp_path / "a", 65_536)
        except AudioError as error:
            said.append(str(error))
    assert len(said) > 100
    assert all(str(tmp_path / "a") in text for text in said)


@pytest.mark.parametrize(("form", "subtype"), FORMATS)
def test_reading_from_the_middle_gives_what_is_there(form, subtype, tmp_path):
    """Whether the codec can seek or not, and in a file that was joined or cut off as well."""
    data = encoded(form, subtype, 1.0)
    for content in (data, data + data, data[: len(data) * 3 // 4]):
        whole = samples(content, tmp_path / "a")
        with SoundReader(tmp_path / "a", 4096) as reader:
            for start in (1, 7000, whole.shape[1] - 5, whole.shape[1] + 5):
                parts = [whole[:, :0]]
                with suppress(AudioError):
                    parts.extend(reader.after(start))
                got = np.concatenate(parts, axis=1)
                assert got.shape == whole[:, start:].shape
                assert np.abs(got - whole[:, start:]).max(initial=0.0) <= 1e-7  # mp3 rounds
