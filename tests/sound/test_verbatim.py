"""What a file holds beside its samples is copied as it is within a row of docs/files.md."""

from __future__ import annotations

import io
import re
import struct

import mutagen
import numpy as np
import pytest
from mutagen import flac, id3
from mutagen.apev2 import APEv2

from rtdenoise.sound.chunks import OF_SAMPLES, append, chunks
from tests.sounds import read, write
from tests.tagged import NAMES, PAGE, PNG, bext, chunks_of, copied, picture, plain, through

OWN = [
    (suffix, item)
    for suffix, row in NAMES.items()
    for item in re.findall(r"`([^`]+)`", row[4])
    if suffix == re.findall(r"`(\.\w+)`", row[1])[0] or suffix == ".rf64"
]


def own_chunk(path, name, audio, suffix):
    """Put a chunk into a file; return what must be in the output."""
    frames = id3.ID3()
    frames.add(id3.TIT2(3, ["Deep"]))
    saved = io.BytesIO()
    frames.save(saved, padding=lambda info: 0)
    payload = {
        "bext": bext(),
        "LIST": b"adtl" + b"labl" + struct.pack("<II", 8, 1) + b"Cut\0",
        "id3 ": saved.getvalue(),
        "ID3 ": saved.getvalue(),
        "chan": struct.pack(">III", (101 << 16) | 2, 0, 0),
        "COMT": struct.pack(">HIHH", 1, 0, 0, 4) + b"Deep",
        "info": struct.pack(">I", 1) + b"title\0Deep\0",
    }.get(name, b"seven b")
    plain(path, audio, suffix)
    with path.open("r+b") as file:
        append(
            file, [(name.encode(), [payload]), (b"Zz9 ", [b"unknown"]), (name.encode(), [payload])]
        )
    return payload


@pytest.mark.parametrize(
    ("suffix", "item"), [own for own in OWN if own[0] in (".wav", ".rf64", ".aif", ".caf")]
)
def test_chunks_are_copied_as_they_are(suffix, item, audio, tmp_path):
    """Each chunk of the table, an unknown one and a second of its name, in order; odd sizes too."""
    payload = own_chunk(tmp_path / f"in{suffix}", item, audio[:1], suffix)
    done = through(tmp_path / f"in{suffix}", tmp_path / f"out{suffix}")
    if item == "bext":
        width = 16 if done.subtype == "PCM_16" else 24
        payload += b"A=PCM,F=48000,W=%d,M=mono,T=rtdenoise\r\n" % width
    first, unknown, second = chunks_of(tmp_path / f"out{suffix}")[-3:]
    assert first == second == (item.encode(), payload)
    assert unknown == (b"Zz9 ", b"unknown")
    assert not done.warnings
    assert np.array_equal(read(tmp_path / f"out{suffix}"), read(tmp_path / f"in{suffix}"))


def test_the_page_names_every_chunk_that_is_not_copied():
    """A reader of the page must not look for one in vain."""
    listed = PAGE.split("Only these chunks are not copied")[1].split("**From row")[0].split(" of ")
    told = [set(re.findall(r"`(\w+)`", part)) for part in listed]
    for family, names in zip(("riff", "aiff", "caf"), told, strict=False):
        assert names == {name.decode().strip() for name in OF_SAMPLES[family]}


def test_the_chunks_of_the_samples_are_not_copied(audio, tmp_path):
    """They describe the old samples: the output has its own, and each of them once."""
    write(tmp_path / "in.wav", audio)
    with (tmp_path / "in.wav").open("r+b") as file:
        append(file, [(name, [b"of the old"]) for name in (b"levl", b"MD5 ", b"JUNK")])
    through(tmp_path / "in.wav", tmp_path / "out.wav")
    own = [b"fmt ", b"fact", b"PEAK", b"data"]
    assert [name for name, _ in chunks_of(tmp_path / "out.wav")] == own


def test_w64_has_the_chunks_of_wav_before_its_samples(audio, tmp_path):
    """libsndfile takes bytes after the samples for samples, and a long head for none."""
    path = plain(tmp_path / "in.wav", audio[:, :2000], ".wav")
    with path.open("r+b") as file:
        append(file, [(b"cue ", [b"odd"]), (b"long", [bytes(70_000)]), (b"LIST", [b"adtl"])])
    done = through(path, tmp_path / "out.w64")
    assert [name for name, _ in chunks_of(tmp_path / "out.w64")] == [
        *(b"fmt ", b"cue ", b"list", b"data")
    ]
    assert "W64 cannot hold what the input has beside its samples: long chunk" in done.warnings
    through(tmp_path / "out.w64", tmp_path / "back.wav")
    assert chunks_of(tmp_path / "back.wav")[2:] == [(b"cue ", b"odd"), (b"LIST", b"adtl")]
    assert np.array_equal(read(tmp_path / "back.wav"), read(path))


def own_flac(path, item):
    """Put a block into a FLAC file; return a function that reads it."""
    file = flac.FLAC(path)
    if item == "CUESHEET":
        file.cuesheet = flac.CueSheet(None)
        track = flac.CueSheetTrack(1, 588)
        track.indexes.append(flac.CueSheetTrackIndex(1, 0))
        file.cuesheet.tracks += [track, flac.CueSheetTrack(170, 2001)]
    elif item == "APPLICATION":
        block = flac.MetadataBlock(b"riffrest")
        block.code = 2
        file.metadata_blocks.append(block)
    elif item == "PICTURE":
        file.add_picture(picture())
    file["odd key"] = ["1", "2"]
    file.save()
    code = {"VORBIS_COMMENT": 4, "PICTURE": 6, "CUESHEET": 5, "APPLICATION": 2}[item]
    return lambda path: [b.write() for b in flac.FLAC(path).metadata_blocks if b.code == code]


def own_mp3(path, item):
    """Put a tag into an MP3 file; return a function that reads it."""
    if item == "APEv2":
        ape = APEv2()
        ape["Deep"], ape["Cover Art (Front)"] = ["1", "2"], b"a.png\0" + PNG
        ape.save(path)
        return lambda path: {k: bytes(str(v), "utf8") for k, v in APEv2(path).items()}
    version = int(item[-1]) if "." in item else 3
    if version == 2:
        frames = b"TT2\0\0\5\0Deep" + b"XYZ\0\0\1x"
        path.write_bytes(b"ID3\2\0\0\0\0\0" + bytes([len(frames)]) + frames + path.read_bytes())
        return lambda path: str(id3.ID3(path)["TIT2"])
    frames = id3.ID3()
    frames.add(id3.TIT2(1, ["Дождь"]))
    frames.add(id3.APIC(0, "image/png", 3, "", PNG))
    frames.add(id3.COMM(1, "deu", "Ort", ["Köln"]))
    frames.add(id3.USLT(1, "deu", "", "la"))
    frames.add(id3.SYLT(1, "deu", 2, 1, "", [("la", 100)]))
    frames.add(id3.POPM("a@b", 200, 7))
    frames.add(id3.CHAP("c0", 0, 20, 0xFFFFFFFF, 0xFFFFFFFF, [id3.TIT2(1, ["Eins"])]))
    frames.add(id3.CTOC("toc", 3, ["c0"], []))
    frames.save(path, v1=2 if item == "ID3v1" else 0, v2_version=version)
    if item == "ID3v1":
        return lambda path: path.read_bytes()[-128:]

    def loaded(path):
        found = id3.ID3(path, translate=False)
        assert found.version == (2, version, 0)
        return {name: repr(frame) for name, frame in found.items()}

    return loaded


@pytest.mark.parametrize(
    ("suffix", "item"), [own for own in OWN if own[0] in (".flac", ".mp3", ".ogg", ".sph")]
)
def test_blocks_frames_and_fields_are_copied_as_they_are(suffix, item, audio, tmp_path):
    """Also chapters, ratings, a comment in another language: all that a player may know."""
    path = plain(tmp_path / f"in{suffix}", audio, suffix)
    if suffix == ".ogg":
        file = mutagen.File(path)
        file.tags[:] = [("ODD key", "1"), ("x", "2"), ("ODD key", "3")]
        file.save()
        tags = lambda path: list(mutagen.File(path).tags)  # noqa: E731
    elif suffix == ".sph":
        data = path.read_bytes()
        extra = b"speaker_id -s3 007\nprompt -s11 to be or no\nend_head\n"
        path.write_bytes(data[:1024].replace(b"end_head\n", extra)[:1024] + data[1024:])
        tags = lambda path: path.read_bytes()[:1024].split(b"end_head")[0].split(b"\n")[9:]  # noqa: E731
    else:
        tags = (own_flac if suffix == ".flac" else own_mp3)(path, item)
    done = through(path, tmp_path / f"out{suffix}")
    assert tags(tmp_path / f"out{suffix}") == tags(path)
    assert tags(path)
    assert ["XYZ frame" in text for text in done.warnings] == [True] * (item == "ID3v2.2")
    again = plain(tmp_path / f"untagged{suffix}", read(path), suffix)
    assert np.array_equal(read(tmp_path / f"out{suffix}"), read(again))


def test_bext_loses_its_loudness_and_keeps_the_rest(audio, tmp_path):
    """The five values become those that mean unset; the history gets a line."""
    path = plain(tmp_path / "in.wav", audio, ".wav")
    with path.open("r+b") as file:
        append(file, [(b"bext", [bext((-2300, 500, -100, -1900, -2000), b"A=PCM\0\0\0")])])
    done = through(path, tmp_path / "out.wav")
    width = 16 if done.subtype == "PCM_16" else 24
    line = b"A=PCM\r\nA=PCM,F=48000,W=%d,M=stereo,T=rtdenoise\r\n" % width
    assert dict(chunks_of(tmp_path / "out.wav"))[b"bext"] == bext(history=line)
    assert "loudness of bext" in done.warnings[0]


def test_sizes_beyond_four_gigabytes_stay_right(tmp_path):
    """RF64 states them in its ds64 chunk; a WAV file that would become too long is refused."""
    size, path = 5_000_000_001, tmp_path / "a.rf64"
    head = b"RF64\xff\xff\xff\xffWAVE" + struct.pack("<4sIQQQI", b"ds64", 28, 0, size, 0, 0)
    with path.open("w+b") as file:
        file.write(head + b"data\xff\xff\xff\xff")
        file.truncate(56 + size)
        append(file, [(b"cue ", [b"odd"]), (b"iXML", [b"<x/>"])])
        assert file.seek(0, 2) == 56 + size + 1 + 12 + 12
        file.seek(20)
        assert int.from_bytes(file.read(8), "little") == 56 + size + 1 + 12 + 12 - 8
        last = list(chunks(file))[-2:]
        assert [(chunk.name, chunk.size) for chunk in last] == [(b"cue ", 3), (b"iXML", 4)]
    size = 0xFFFF_FFFF - 44
    with (tmp_path / "a.wav").open("w+b") as file:
        file.write(b"RIFF\0\0\0\0WAVE" + struct.pack("<4sI16x4sI", b"fmt ", 16, b"data", size))
        file.truncate(44 + size)
        with pytest.raises(OverflowError, match="longer than its format can state"):
            append(file, [(b"cue ", [bytes(40)])])


def test_frames_go_between_the_formats_that_have_id3(audio, tmp_path):
    """Chapters and all, from MP3 to WAV and AIFF and back; elsewhere they are named."""
    path = plain(tmp_path / "in.mp3", audio, ".mp3")
    own_mp3(path, "ID3v2.4")
    frames = {name: repr(frame) for name, frame in id3.ID3(path).items()}
    for suffix in (".wav", ".aiff"):
        copied(path, tmp_path / f"via{suffix}")
        copied(tmp_path / f"via{suffix}", tmp_path / "back.mp3")
        assert {k: repr(v) for k, v in id3.ID3(tmp_path / "back.mp3").items()} == frames
    told = " ".join(through(path, tmp_path / "out.flac").warnings)
    assert "chapter" in told
    assert "rating" in told
    assert flac.FLAC(tmp_path / "out.flac")["comment:ort"] == ["Köln"]
