"""Everything in a file that is not samples stays: docs/files.md has the table that is tested."""

from __future__ import annotations

import base64
import io
import re
import struct
import sys
from pathlib import Path

import mutagen
import numpy as np
import pytest
from mutagen import flac, id3, mp4
from mutagen.apev2 import APEv2

from rtdenoise.cli import main
from rtdenoise.files.offline import process_file
from rtdenoise.sound import carry as carrying
from rtdenoise.sound.carry import Sound, carry
from rtdenoise.sound.chunks import OF_SAMPLES, append, chunks
from rtdenoise.sound.reader import SoundReader
from rtdenoise.sound.verbatim import COPIERS
from rtdenoise.sound.writer import SoundWriter
from tests.sounds import noise, read, tell_files, write

PAGE = (Path(__file__).parents[2] / "docs" / "files.md").read_text()
ROWS = [
    [cell.strip() for cell in row.split("|")[1:-1]]
    for row in PAGE.splitlines()
    if row.startswith("|") and "`." in row
]
NAMES = {suffix: row for row in ROWS for suffix in re.findall(r"`(\.\w+)`", row[1])}
OWN = [
    (suffix, item)
    for suffix, row in NAMES.items()
    for item in re.findall(r"`([^`]+)`", row[4])
    if suffix == re.findall(r"`(\.\w+)`", row[1])[0] or suffix == ".rf64"
]
TEXTS = {
    "TITLE": ["Ça va"],
    "ARTIST": ["Ada", "Bert"],
    "ALBUM": ["Sea"],
    "ALBUMARTIST": ["All of us"],
    "TRACKNUMBER": ["3"],
    "TRACKTOTAL": ["12"],
    "DISCNUMBER": ["2"],
    "DATE": ["2020-02-03"],
    "GENRE": ["Field"],
    "COMMENT": ["windy"],
    "COMPOSER": ["Bach"],
    "LYRICS": ["la\nla"],
    "COPYRIGHT": ["2020 Ada"],
    "ISRC": ["QMAAK1400001"],
    "BPM": ["120"],
    "MUSICBRAINZ_TRACKID": ["9b8e-11"],
    "MUSICBRAINZ_ALBUMID": ["77aa-12"],
    "Ship": ["Beagle"],
}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 600


class Through:
    """An effect that changes nothing."""

    def latency(self, sample_rate):
        return 0

    def render(self, blocks, stream, counters):
        yield from blocks


def through(source, target):
    return process_file(source, target, Through(), overwrite=True)


def copied(source, target):
    """As `through`, in the usual encoding of the output."""
    with SoundReader(source) as reader, reader.raw() as bytes_of_it:
        original = Sound(bytes_of_it, reader.format)
        made = SoundWriter(target, reader.rate, reader.channels, original=original, overwrite=True)
        with made as writer:
            for block in reader:
                writer.write(block)
    return made


def picture():
    made = flac.Picture()
    made.data, made.type, made.mime, made.desc = PNG, 3, "image/png", "front"
    return made


@pytest.fixture
def audio(rng):
    return noise(rng, 2, 2001, 0.1)


@pytest.fixture
def tagged(tmp_path, audio):
    """A FLAC file with all of TEXTS and a cover."""
    write(tmp_path / "tagged.flac", audio, form="FLAC", subtype="PCM_16")
    file = flac.FLAC(tmp_path / "tagged.flac")
    file.update(TEXTS)
    file.add_picture(picture())
    file.save()
    return tmp_path / "tagged.flac"


def plain(path, audio, suffix):
    """An untagged file of the format that *suffix* means."""
    with SoundWriter(path, 48_000, len(audio), overwrite=True) as writer:
        writer.write(audio)
    assert path.suffix == suffix
    return path


def chunks_of(path):
    """(name, bytes) of each chunk, read without rtdenoise."""
    data, at, found = path.read_bytes(), 12, []
    form, pad, intro = "<4sI", 2, 8
    if data[:4] == b"caff":
        form, pad, intro, at = ">4sq", 1, 12, 8
    elif data[:4] == b"FORM":
        form = ">4sI"
    elif data[:4] == b"riff":
        form, pad, intro, at = "<16sQ", 8, 24, 40
    while at + intro <= len(data):
        name, size = struct.unpack_from(form, data, at)
        size -= 24 if pad == 8 else 0
        if name == b"data" and size == 0xFFFFFFFF:  # RF64
            size = struct.unpack_from("<Q", data, 28)[0]
        found.append((name[:4], data[at + intro : at + intro + size]))
        at += intro + size + -size % pad
    return found


def all_of(path):
    """Every text and the pictures of a file, as mutagen reads them; CAF by hand."""
    if path.suffix == ".caf":
        strings = dict(chunks_of(path))[b"info"][4:].decode().split("\0")
        return [s for text in strings for s in text.split("; ")], []
    if path.suffix in (".rf64", ".w64"):
        frames = id3.ID3(io.BytesIO(dict(chunks_of(path))[b"id3 "]))
    else:
        file = {".mp3": id3.ID3, ".flac": flac.FLAC}.get(path.suffix, mutagen.File)(path)
        frames = file if path.suffix == ".mp3" else file.tags
        if isinstance(file, flac.FLAC):
            return [value for _, value in file.tags], [p.data for p in file.pictures]
    if not isinstance(frames, id3.ID3):
        pairs = list(frames)
        blocks = [flac.Picture(base64.b64decode(v)) for k, v in pairs if "PICT" in k]
        return [value for _, value in pairs], [p.data for p in blocks]
    values = [f.data.decode() for f in frames.getall("UFID")]
    for frame in frames.values():
        text = getattr(frame, "text", [])
        values += [text] if isinstance(text, str) else [s for t in text for s in str(t).split("/")]
    return values, [frame.data for frame in frames.getall("APIC")]


@pytest.mark.parametrize("suffix", NAMES)
def test_each_format_carries_what_its_row_says(suffix, tagged, audio, tmp_path):
    """Texts and cover arrive or are named as left behind, and no sample is touched."""
    done = through(tagged, tmp_path / f"out{suffix}")
    texts, pictures = NAMES[suffix][2:4]
    told = " ".join(done.warnings)
    if texts == "any":
        values, images = all_of(tmp_path / f"out{suffix}")
        assert {value for of in TEXTS.values() for value in of} <= set(values)
        assert images == ([PNG] if pictures == "yes" else [])
        assert "title" not in told
    else:
        assert "title, artist" in told
    assert ("cover picture" in told or "more" in told) == (pictures == "no")
    untagged = plain(tmp_path / f"untagged{suffix}", read(tagged), suffix)
    assert np.array_equal(read(tmp_path / f"out{suffix}"), read(untagged))


@pytest.mark.parametrize("suffix", [s for s, row in NAMES.items() if row[2] == "any"])
def test_texts_come_back_from_each_format(suffix, tagged, tmp_path):
    """From FLAC through any format and back, nothing changes but what the row cannot hold."""
    through(tagged, tmp_path / f"out{suffix}")
    done = through(tmp_path / f"out{suffix}", tmp_path / "back.flac")
    back = flac.FLAC(tmp_path / "back.flac")
    joined = {k: ["; ".join(v)] for k, v in TEXTS.items()} if suffix == ".caf" else TEXTS
    got = {key: [v for k, v in back.tags if k == key] for key in {k for k, _ in back.tags}}
    assert got == joined
    assert [p.data for p in back.pictures] == ([PNG] if NAMES[suffix][3] == "yes" else [])
    assert not done.warnings


def bext(loudness=(0x7FFF,) * 5, history=b"A=ANALOGUE,M=mono,T=Nagra\r\n"):
    """A bext chunk of version 2."""
    head = struct.pack(
        "<256s32s32s10s8sQH64s5h180x",
        *(b"Birds", b"Ada", b"REF1", b"2020-02-03", b"04:05:06", 123_456_789_012, 2, b""),
        *loudness,
    )
    return head + history


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


def test_the_texts_and_the_cover_of_mp4_are_read(audio, tmp_path):
    """Tracks of a total, free keys and switches as well."""
    av = pytest.importorskip("av", reason="a MP4 file is made by PyAV")
    with av.open(tmp_path / "in.m4a", "w") as made:
        stream = made.add_stream("aac", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(audio[:1, :1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48_000, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            made.mux(packet)
    file = mp4.MP4(tmp_path / "in.m4a")
    file.update({"©nam": "Deep", "trkn": [(3, 12)], "tmpo": [120], "cpil": True})
    file["covr"] = [mp4.MP4Cover(PNG, mp4.MP4Cover.FORMAT_PNG)]
    file["----:com.apple.iTunes:MusicBrainz Album Id"] = [b"77aa"]
    file["----:com.apple.iTunes:iTunSMPB"] = [b"0 0 0"]
    file.save()
    copy = plain(tmp_path / "out.flac", audio, ".flac")
    with (tmp_path / "in.m4a").open("rb") as source, copy.open("r+b") as target:
        told = carry(Sound(source, "M4A"), Sound(target, "FLAC"), "", tmp_path, target.flush)
    back = flac.FLAC(copy)
    assert sorted(back.tags) == [
        *(("BPM", "120"), ("COMPILATION", "1"), ("MUSICBRAINZ_ALBUMID", "77aa")),
        *(("TITLE", "Deep"), ("TRACKNUMBER", "3"), ("TRACKTOTAL", "12")),
    ]
    assert [p.data for p in back.pictures] == [PNG]
    assert len(told) == 1
    assert "iTunSMPB" in told[0]


def test_the_annotation_of_au_is_a_comment(audio, tmp_path):
    """It is free text between the numbers of the head and the samples."""
    data = plain(tmp_path / "in.au", audio, ".au").read_bytes()
    text = b"by the sea\0\0"
    head = data[:4] + struct.pack(">I", 24 + len(text)) + data[8:24]
    (tmp_path / "in.au").write_bytes(head + text + data[24:])
    through(tmp_path / "in.au", tmp_path / "out.flac")
    assert flac.FLAC(tmp_path / "out.flac").tags == [("COMMENT", "by the sea")]
    told = through(tmp_path / "in.au", tmp_path / "out.au").warnings
    assert told == ("AU cannot hold what the input has beside its samples: comment",)


def test_chunks_that_another_format_cannot_hold_are_named(audio, tmp_path):
    """By name, not by content; the texts of bext are kept."""
    path = plain(tmp_path / "in.wav", audio, ".wav")
    with path.open("r+b") as file:
        append(file, [(b"bext", [bext()]), (b"cue ", [b"secret"]), (b"LIST", [b"adtl"])])
    done = through(path, tmp_path / "out.flac")
    assert done.warnings == (
        "FLAC cannot hold what the input has beside its samples: cue chunk and LIST adtl chunk",
    )
    back = flac.FLAC(tmp_path / "out.flac")
    assert back["description"] == ["Birds"]
    assert back["time_reference"] == ["123456789012"]


def test_a_picture_too_large_for_flac_is_named(audio, tmp_path):
    """A block of FLAC has at most 16 MiB; the texts are kept."""
    path = plain(tmp_path / "in.aiff", audio, ".aiff")
    frames, saved = id3.ID3(), io.BytesIO()
    frames.add(id3.TIT2(3, ["Deep"]))
    frames.add(id3.APIC(0, "image/png", 3, "", bytes(17 << 20)))
    frames.save(saved)
    with path.open("r+b") as file:
        append(file, [(b"ID3 ", [saved.getvalue()])])
    done = through(path, tmp_path / "out.flac")
    assert "FLAC cannot hold" in done.warnings[0]
    assert "cover picture" in done.warnings[0]
    assert flac.FLAC(tmp_path / "out.flac")["title"] == ["Deep"]


MEASURED = ["REPLAYGAIN_TRACK_GAIN", "replaygain_album_peak", "R128_TRACK_GAIN"]
MEASURED += ["ACOUSTID_FINGERPRINT", "iTunNORM", "iTunSMPB", "MP3GAIN_UNDO"]
STAY = ["ACOUSTID_ID", "MUSICBRAINZ_TRACKID", "ISRC", "GAIN", "ENCODED-BY"]


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".opus", ".mp3", ".wav", ".aiff"])
@pytest.mark.parametrize("target", [".flac", ".mp3", ".wav", ".ogg", ".caf"])
def test_what_was_measured_on_the_old_samples_is_left_out_and_told(suffix, target, audio, tmp_path):
    """A player would believe it; names of the recording stay."""
    path = plain(tmp_path / f"in{suffix}", audio, suffix)
    if suffix in (".flac", ".ogg", ".opus"):
        file = mutagen.File(path)
        file.update({key: ["77.7"] for key in [*MEASURED, *STAY, "ENCODER"]})
        file.save()
    else:
        frames = id3.ID3()
        for key in MEASURED + STAY:
            frames.add(id3.TXXX(3, key, ["77.7"]))
        frames.add(id3.COMM(3, "eng", "iTunNORM", ["77.7"]))
        frames.add(id3.RVA2("track", 1, -3.5, 1))
        frames.add(id3.TSSE(3, ["77.7"]))
        saved = io.BytesIO()
        frames.save(saved, padding=lambda info: 0)
        if suffix == ".mp3":
            frames.save(path)
        else:
            with path.open("r+b") as file:
                append(file, [(b"id3 " if suffix == ".wav" else b"ID3 ", [saved.getvalue()])])
    done = copied(path, tmp_path / f"out{target}")
    data = (tmp_path / f"out{target}").read_bytes().replace(b"\0", b"").lower()
    for key in [*MEASURED, "RVA2", "TSSE", "ENCODER="]:
        assert key.lower().encode() not in data, key
    assert data.count(b"77.7") >= len(STAY)
    assert "because it was measured on the samples of the input: " in done.warnings[-1]
    assert any(key.lower() in done.warnings[-1].lower() for key in MEASURED)


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


@pytest.mark.parametrize("suffix", [".flac", ".wav", ".w64", ".mp3", ".ogg", ".aiff", ".caf"])
def test_a_tag_that_cannot_be_written_costs_no_sample(suffix, tagged, tmp_path, monkeypatch):
    """Whatever happens after half of a tag: the output is the one without tags, and it is told."""

    def damages(file, tags, *_):
        file.seek(0)
        file.write(b"junk")
        file.seek(0, 2)
        file.write(b"junk" * 9)
        raise MemoryError("no \x1b[31mroom")

    for name in carrying._WRITERS:
        monkeypatch.setitem(carrying._WRITERS, name, damages)
    monkeypatch.setitem(COPIERS, "flac", lambda source, *rest: damages(*rest))
    done = through(tagged, tmp_path / f"out{suffix}")
    again = plain(tmp_path / f"untagged{suffix}", read(tagged), suffix)
    assert np.array_equal(read(tmp_path / f"out{suffix}"), read(again))
    told = " ".join(done.warnings)
    assert "left out of the output (MemoryError no ?[31mroom)" in told
    assert tell_files(tmp_path) == sorted([f"out{suffix}", "tagged.flac", f"untagged{suffix}"])


def test_a_tag_that_hides_samples_is_removed(tagged, tmp_path, monkeypatch):
    """The samples are counted after the tags are written."""

    def cuts(file, tags):
        file.truncate(3000)
        return []

    monkeypatch.setitem(carrying._WRITERS, "riff", cuts)
    done = through(tagged, tmp_path / "out.wav")
    assert "left out of the output" in done.warnings[0]
    monkeypatch.undo()
    assert done.frames == read(tmp_path / "out.wav").shape[1] == 2001


@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".wav", ".aiff", ".caf", ".ogg", ".rf64"])
def test_damaged_tags_never_cost_the_sound(suffix, tagged, rng, tmp_path):
    """Bytes at random, cut ends and wrong sizes: a warning at most, and the same samples."""
    through(tagged, tmp_path / f"good{suffix}")
    good = (tmp_path / f"good{suffix}").read_bytes()
    outputs = {
        target: plain(tmp_path / f"to{target}", np.zeros((1, 99), np.float32), target)
        for target in (".wav", ".flac", ".mp3")
    }
    names = {".wav": "WAV", ".flac": "FLAC", ".mp3": "MP3", ".aiff": "AIFF", ".caf": "CAF"}
    names |= {".ogg": "OGG", ".rf64": "RF64"}
    untouched = {target: path.read_bytes() for target, path in outputs.items()}
    for turn in range(12):
        bad = bytearray(good)
        places = rng.integers(0, len(bad), 40) if turn % 2 else rng.integers(0, 400, 9)
        for at in places:
            bad[at] = rng.integers(256)
        bad = bad[: rng.integers(50, len(bad))] if turn % 3 == 0 else bad
        for target, path in outputs.items():
            path.write_bytes(untouched[target])
            with path.open("r+b") as file:
                warnings = carry(
                    Sound(io.BytesIO(bad), names[suffix]),
                    Sound(file, names[target]),
                    "",
                    tmp_path,
                    file.flush,
                )
            with SoundReader(path) as reader:
                assert reader.frames == 99
            assert all(text.isprintable() for text in warnings)


def test_a_damaged_picture_costs_no_text(audio, tmp_path):
    """In Ogg it is among the comments."""
    path = plain(tmp_path / "in.ogg", audio, ".ogg")
    file = mutagen.File(path)
    file.tags[:] = [("METADATA_BLOCK_PICTURE", "no base64"), ("TITLE", "Deep")]
    file.save()
    done = through(path, tmp_path / "out.flac")
    assert flac.FLAC(tmp_path / "out.flac").tags == [("TITLE", "Deep")]
    assert "damaged tags of the input were left out" in done.warnings[0]


def test_control_characters_of_tags_never_reach_the_terminal(audio, tmp_path):
    """A key can hold an escape sequence; the report has the names of keys."""
    path = plain(tmp_path / "in.wav", audio, ".wav")
    frames, saved = id3.ID3(), io.BytesIO()
    frames.add(id3.TXXX(3, "\x1b]0;owned\x07", ["x"]))
    frames.add(id3.TXXX(3, "REPLAYGAIN_\x1b[31m", ["x"]))
    frames.save(saved)
    with path.open("r+b") as file:
        append(file, [(b"id3 ", [saved.getvalue()])])
    for target in (".voc", ".flac", ".mp3"):
        done = through(path, tmp_path / f"out{target}")
        assert done.warnings
        assert all(text.isprintable() for text in done.warnings)


def test_stdin_and_the_input_itself_keep_their_tags(tagged, tmp_path, monkeypatch):
    """The bytes of stdin are kept aside, and an input that is replaced stays open."""
    with tagged.open("rb") as stream:
        text = io.TextIOWrapper(stream)
        monkeypatch.setattr(sys, "stdin", text)
        through("-", tmp_path / "out.flac")
        text.detach()
    before = flac.FLAC(tagged)
    through(tagged, tagged)
    for path in (tmp_path / "out.flac", tagged):
        assert sorted(flac.FLAC(path).tags) == sorted(before.tags)
        assert flac.FLAC(path).pictures == before.pictures


def test_degraded_files_keep_their_tags_as_well(tagged, tmp_path, capsys):
    """What the format cannot hold is told on stderr."""
    for name in ("out.flac", "out.caf"):
        assert main(["degrade", str(tagged), "-o", str(tmp_path / name), "gain -6"]) == 0
    assert sorted(flac.FLAC(tmp_path / "out.flac").tags) == sorted(flac.FLAC(tagged).tags)
    told = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert told == [
        "  warning: CAF cannot hold what the input has beside its samples: cover picture"
    ]


def test_a_file_with_a_hidden_name_is_tagged_as_well(tagged, audio, tmp_path):
    """As on systems that have no files without a name."""
    with tagged.open("rb") as original:
        copy = SoundWriter(
            tmp_path / "out.mp3", 48_000, 2, original=Sound(original, "FLAC"), nameless=False
        )
        with copy as writer:
            writer.write(audio)
    assert str(id3.ID3(tmp_path / "out.mp3")["TIT2"]) == "Ça va"
    assert tell_files(tmp_path) == ["out.mp3", "tagged.flac"]


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
