"""FLAC, MP3 and Ogg: counts that lie, holes, what is no frame, and links of another codec."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import numpy as np
import pytest

from rtdenoise.errors import AudioError
from rtdenoise.sound.reader import SoundReader
from tests.damaged import ID3V1, ID3V2, damaged_flac, encoded, samples


def mp3_frames(data):
    """The places of the frames of a file of layer III at 48 kHz, version 1."""
    rates = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
    at, places = 0, []
    while at < len(data):
        places.append(at)
        at += 3 * rates[data[at + 2] >> 4] + ((data[at + 2] >> 1) & 1)
    assert at == len(data)
    return places


@pytest.fixture(scope="module")
def mp3():
    """An MP3 of variable bit rate, and the places of its frames."""
    data = encoded("MP3", "MPEG_LAYER_III", 2)
    return SimpleNamespace(data=data, frames=mp3_frames(data), count=data.index(b"Xing") + 8)


def test_an_mp3_without_a_count_is_read_to_its_end(mp3, tmp_path):
    """libsndfile guesses the length from the first frame, a third of what is there."""
    bare = mp3.data[mp3.frames[1] :]
    whole = samples(mp3.data, tmp_path / "a", says="")
    for data in (bare, ID3V2 + bare + ID3V1, bare + bytes(3000)):
        heard = samples(data, tmp_path / "a", says="")
        assert 0 <= heard.shape[1] - whole.shape[1] < 2 * 1152  # an encoder's delay
    joined = samples(bare + ID3V2 + bare, tmp_path / "a", says="")
    assert joined.shape[1] == pytest.approx(2 * heard.shape[1], abs=2 * 1152)
    assert samples(bare + bare, tmp_path / "a", says="").shape[1] > 1.99 * heard.shape[1]
    samples(bare[: len(bare) // 2], tmp_path / "a", says="is cut off .* in; .*not known")


@pytest.mark.parametrize("tag", [b"Xing", b"VBRI"])
def test_the_count_of_an_mp3_is_not_believed(tag, mp3, tmp_path):
    """Xing and VBRI tell the frames; too few is no end, and too many is told."""
    whole = samples(mp3.data, tmp_path / "a", says="")
    for share in (0.0, 0.2, 1.0, 3.0):
        told = round(share * (len(mp3.frames) - 1)).to_bytes(4, "big")
        if tag == b"Xing":
            data = mp3.data[: mp3.count] + told + mp3.data[mp3.count + 4 :]
        else:
            info = bytearray(mp3.data[mp3.frames[1] : mp3.frames[2]])
            info[36:54] = b"VBRI\0\1" + bytes(8) + told
            data = bytes(info) + mp3.data[mp3.frames[1] :]
        heard = samples(data, tmp_path / "a", says="is cut off: [34]" if share > 1 else "")
        assert 0 <= heard.shape[1] - whole.shape[1] < 2 * 1152


def test_what_is_no_frame_does_not_end_an_mp3(mp3, tmp_path):
    """libsndfile gives up 1024 bytes into it; what is lost is told, and no more."""
    at, bare = mp3.frames[40], mp3.frames[1]
    whole = samples(mp3.data, tmp_path / "a", says="")
    for junk in (bytes(500), b"\x55" * 50_000):
        heard = samples(mp3.data[:at] + junk + mp3.data[at:], tmp_path / "a", says="")
        assert np.array_equal(heard, whole)
        told = "is damaged before .* not known"
        samples(mp3.data[bare:at] + junk + mp3.data[at:], tmp_path / "a", says=told)
    lost = mp3.data[: at + 10] + b"\x77" * 1990 + mp3.data[at + 2000 :]
    assert (
        samples(lost, tmp_path / "a", says=r"0\.\d\d s of 2.\d\d s are missing").shape[1] > 80_000
    )


def test_layer_ii_is_read_to_its_end_or_refused(tmp_path):
    """libsndfile guesses its length from the first frame, and there is no tag to correct it."""

    def frames(kbit_code, kbits, count):
        return count * bytes([0xFF, 0xFD, kbit_code << 4 | 4, 0]).ljust(3 * kbits, b"\0")

    steady = frames(10, 192, 100)
    assert samples(steady, tmp_path / "a", says="").shape == (2, 115_200)
    joined = samples(steady + ID3V2 + steady, tmp_path / "a", says="")
    assert joined.shape == (2, 230_400)
    samples(steady + frames(10, 192, 1)[:99], tmp_path / "a", says="is cut off 2.40 s in")
    (tmp_path / "a").write_bytes(frames(12, 256, 10) + frames(8, 128, 90))
    with pytest.raises(AudioError, match=r"a is MPEG.*variable bit rate.*ffmpeg"):
        SoundReader(tmp_path / "a")


def with_total(flac, total):
    """A FLAC file that promises another number of samples."""
    high = flac[21] & 0xF0 | total >> 32
    return flac[:21] + bytes([high]) + struct.pack(">I", total & 0xFFFF_FFFF) + flac[26:]


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
def test_a_flac_file_is_as_long_as_its_frames(subtype, tmp_path):
    """The count may be 0 or wrong; the last frame knows, also before tags of other formats."""
    data = encoded("FLAC", subtype, 1.01, channels=2)
    whole = samples(data, tmp_path / "a", says="")
    for total in (0, 1, 20_000, whole.shape[1]):
        for rest in (b"", bytes(900)):
            lies = with_total(data, total) + rest
            assert np.array_equal(samples(lies, tmp_path / "a", says=""), whole)
    for head, rest in ((b"", ID3V1), (ID3V2, b""), (ID3V2, ID3V1)):
        assert np.array_equal(samples(head + data + rest, tmp_path / "a", says=""), whole)
    samples(with_total(data, 96_000), tmp_path / "a", says="0.99 s of 2.00 s are missing")


def test_damage_in_the_middle_of_flac_is_silence_in_its_place(tmp_path):
    """What follows a damaged frame is as good as what comes before it, and keeps its time."""
    for at in (0.03, 0.5, 0.9):
        whole = damaged_flac(tmp_path / "a.flac", at)
        heard = samples((tmp_path / "a.flac").read_bytes(), tmp_path / "a", says="are silent")[0]
        wrong = np.flatnonzero(heard != whole)

        assert len(heard) == len(whole)
        assert not heard[wrong].any()
        assert len(wrong) < 3 * 4096
        assert abs(wrong.mean() / len(whole) - at) < 0.06
    damaged_flac(tmp_path / "a.flac", 0.999)
    samples((tmp_path / "a.flac").read_bytes(), tmp_path / "a", says="0.01 s of 3.00 s are missing")


def ogg_pages(data):
    """The places (begin, end) of the pages of an Ogg file."""
    at, places = 0, []
    while at < len(data):
        size = 27 + data[at + 26] + sum(data[at + 27 : at + 27 + data[at + 26]])
        places.append((at, at + size))
        at += size
    return places


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_hole_in_ogg_is_told_and_what_follows_it_is_read(subtype, tmp_path):
    """A page that is missing or wrong; libsndfile drops it, and for Opus all that follows."""
    data = encoded("OGG", subtype, 6)
    whole = samples(data, tmp_path / "a", says="")
    begin, end = ogg_pages(data)[6]
    wrong = bytearray(data)
    wrong[begin + 300] ^= 0xFF
    for holed in (bytes(wrong), data[:begin] + data[end:]):
        heard = samples(holed, tmp_path / "a", says="is damaged before .* not known")
        assert 0.6 < heard.shape[1] / whole.shape[1] < 0.95
    for harmless in (data[:begin] + bytes(5000) + data[begin:], data + bytes(5000), data + ID3V1):
        assert np.array_equal(samples(harmless, tmp_path / "a", says=""), whole)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_file_without_its_last_page_is_cut_off(subtype, tmp_path):
    """Every page that is left is whole, but none of them says that it is the last."""
    data = encoded("OGG", subtype, 3)
    begin, _ = ogg_pages(data)[-1]
    heard = samples(data[:begin], tmp_path / "a", says="is cut off .* in; how much is missing")
    assert 0.5 < heard.shape[1] / 144_000 < 1


def test_links_of_a_chain_may_differ_in_their_codec(tmp_path):
    """Vorbis and then Opus, or FLAC in Ogg; only rate and channels must be the same."""
    vorbis, opus = encoded("OGG", "VORBIS"), encoded("OGG", "OPUS")
    assert samples(vorbis + opus + vorbis, tmp_path / "a", says="").shape == (1, 144_000)
