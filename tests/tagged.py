"""Sound files with tags for tests: how they are made, and read without rtdenoise."""

from __future__ import annotations

import base64
import io
import re
import struct
from pathlib import Path

import mutagen
from mutagen import flac, id3

from rtdenoise.files.offline import process_file
from rtdenoise.sound.carry import Sound
from rtdenoise.sound.reader import SoundReader
from rtdenoise.sound.writer import SoundWriter

PAGE = (Path(__file__).parents[1] / "docs" / "files.md").read_text()
ROWS = [
    [cell.strip() for cell in row.split("|")[1:-1]]
    for row in PAGE.splitlines()
    if row.startswith("|") and "`." in row
]
NAMES = {suffix: row for row in ROWS for suffix in re.findall(r"`(\.\w+)`", row[1])}
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

    def rate_of_result(self, sample_rate):
        return sample_rate

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


def bext(loudness=(0x7FFF,) * 5, history=b"A=ANALOGUE,M=mono,T=Nagra\r\n"):
    """A bext chunk of version 2."""
    head = struct.pack(
        "<256s32s32s10s8sQH64s5h180x",
        *(b"Birds", b"Ada", b"REF1", b"2020-02-03", b"04:05:06", 123_456_789_012, 2, b""),
        *loudness,
    )
    return head + history
