"""Everything in a file that is not samples stays: docs/files.md has the table that is tested."""

from __future__ import annotations

import io
import struct
import sys

import mutagen
import numpy as np
import pytest
from mutagen import flac, id3, mp4

from rtdenoise.cli import main
from rtdenoise.sound import carry as carrying
from rtdenoise.sound.carry import Sound, carry
from rtdenoise.sound.chunks import append
from rtdenoise.sound.reader import SoundReader
from rtdenoise.sound.verbatim import COPIERS
from rtdenoise.sound.writer import SoundWriter
from tests.sounds import read, tell_files
from tests.tagged import (
    NAMES,
    PNG,
    TEXTS,
    all_of,
    bext,
    copied,
    plain,
    through,
)


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
