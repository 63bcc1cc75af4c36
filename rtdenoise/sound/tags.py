"""The tags of sound files in one form: texts under the keys of Vorbis comments, and pictures.

Title, artist and the like have another name in each format; the table `NAMES` has them all. What
is in no row keeps its own name: Vorbis comments, ID3 (in TXXX frames), APEv2 and CAF have free
keys. A part of a tag that has no place in this form is named in `Tags.others`.
"""

from __future__ import annotations

import base64
import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mutagen import id3
from mutagen.apev2 import APEv2
from mutagen.flac import Picture

NAMES = [  # Vorbis comment, ID3v2.4, LIST INFO of WAV, AIFF, CAF, APEv2, MP4
    ("TITLE", "TIT2", "INAM", "NAME", "title", "Title", "©nam"),
    ("ARTIST", "TPE1", "IART", "AUTH", "artist", "Artist", "©ART"),
    ("ALBUM", "TALB", "IPRD", "", "album", "Album", "©alb"),
    ("ALBUMARTIST", "TPE2", "", "", "", "Album Artist", "aART"),
    ("TRACKNUMBER", "TRCK", "ITRK", "", "track number", "Track", "trkn"),
    ("DISCNUMBER", "TPOS", "", "", "", "Disc", "disk"),
    ("DATE", "TDRC", "ICRD", "", "recorded date", "Year", "©day"),
    ("GENRE", "TCON", "IGNR", "", "genre", "Genre", "©gen"),
    ("COMMENT", "COMM", "ICMT", "ANNO", "comments", "Comment", "©cmt"),
    ("COMPOSER", "TCOM", "IMUS", "", "composer", "Composer", "©wrt"),
    ("LYRICIST", "TEXT", "IWRI", "", "lyricist", "Lyricist", ""),
    ("LYRICS", "USLT", "", "", "", "Lyrics", "©lyr"),
    ("COPYRIGHT", "TCOP", "ICOP", "(c) ", "copyright", "Copyright", "cprt"),
    ("ISRC", "TSRC", "", "", "", "ISRC", ""),
    ("SOURCE", "", "ISRC", "", "", "", ""),  # who supplied the recording
    ("BPM", "TBPM", "", "", "tempo", "BPM", "tmpo"),
    ("KEY", "TKEY", "", "", "key signature", "Key", ""),
    ("LANGUAGE", "TLAN", "ILNG", "", "", "Language", ""),
    ("CONDUCTOR", "TPE3", "", "", "", "Conductor", ""),
    ("REMIXER", "TPE4", "", "", "", "MixArtist", ""),
    ("PUBLISHER", "TPUB", "IPUB", "", "", "Publisher", ""),
    ("SUBTITLE", "TIT3", "", "", "", "Subtitle", ""),
    ("GROUPING", "TIT1", "", "", "", "Grouping", "©grp"),
    ("MOOD", "TMOO", "", "", "", "Mood", ""),
    ("ENCODED-BY", "TENC", "ITCH", "", "", "EncodedBy", ""),
    ("TITLESORT", "TSOT", "", "", "", "TITLESORT", "sonm"),
    ("ARTISTSORT", "TSOP", "", "", "", "ARTISTSORT", "soar"),
    ("ALBUMSORT", "TSOA", "", "", "", "ALBUMSORT", "soal"),
    ("ALBUMARTISTSORT", "TSO2", "", "", "", "ALBUMARTISTSORT", "soaa"),
    ("ORIGINALDATE", "TDOR", "", "", "", "ORIGINALDATE", ""),
    ("COMPILATION", "TCMP", "", "", "", "Compilation", "cpil"),
]
ID3, INFO, AIFF, CAF, APE, MP4 = range(1, 7)  # columns of NAMES
_DESCRIPTIONS = {  # of TXXX frames, as MusicBrainz Picard writes them
    "MUSICBRAINZ_ARTISTID": "MusicBrainz Artist Id",
    "MUSICBRAINZ_ALBUMID": "MusicBrainz Album Id",
    "MUSICBRAINZ_ALBUMARTISTID": "MusicBrainz Album Artist Id",
    "MUSICBRAINZ_RELEASEGROUPID": "MusicBrainz Release Group Id",
    "MUSICBRAINZ_RELEASETRACKID": "MusicBrainz Release Track Id",
    "ACOUSTID_ID": "Acoustid Id",
}
_KEYS = {text.upper(): key for key, text in _DESCRIPTIONS.items()}
_MUSICBRAINZ = ("MUSICBRAINZ_TRACKID", "http://musicbrainz.org")  # an owner of a UFID frame
_COUNTS = {"TRACKNUMBER": "TRACKTOTAL", "DISCNUMBER": "DISCTOTAL"}  # 3 of 12; ID3: "3/12"
_WORDS = {
    "CHAP": "chapter",
    "CTOC": "table of chapters",
    "SYLT": "synchronised text",
    "POPM": "rating",
    "PCNT": "play counter",
    "PRIV": "private frame",
    "GEOB": "attached file",
}

# What was measured on samples that are replaced, or says how they were encoded. A player that
# believed it would play the output too loud, or leave out its first or last samples.
_MEASURED = re.compile(
    r"(TXXX:|COMM:)?(replaygain_.*|r128_.*|mp3gain_.*|itunnorm|itunsmpb"
    r"|acoustid[ _]fingerprint)(:.*)?|(RVA2|RVAD|XRVA|RGAD)(:.*)?",
    re.IGNORECASE,
)
_ENCODING = re.compile(
    r"(TXXX:)?(encoder|encoder[ _]?(options|settings))|TSSE|ISFT|MLLT|ASPI|SEEK|TSIZ", re.IGNORECASE
)


@dataclass
class Tags:
    """What a file says about its sound.

    Attributes:
        texts: Pairs (key, value) in their order; a key can come several times.
        pictures: The cover and other pictures.
        frames: Frames of ID3v2.4, if the file has any; those with texts and pictures as well.
        framed: Names of what only *frames* hold, each as often as it is there.
        others: Names of what has no place here, each as often as it is there.
        measured: Names of what was left out because it was measured on the samples.
        counts: Whether places counted in samples hold for the copy.
    """

    texts: list[tuple[str, str]] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    frames: id3.ID3 = field(default_factory=id3.ID3)
    framed: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    measured: list[str] = field(default_factory=list)
    counts: bool = True

    @property
    def filled(self) -> bool:
        """Whether there is anything to carry, or to name."""
        return bool(self.texts or self.pictures or self.framed or self.others)

    def add(self, texts: Iterable[tuple[str, str]]) -> None:
        """Add texts, except under keys that are there already, and what `stale` names."""
        there = {key.upper() for key, _ in self.texts}
        for key, value in texts:
            if key.upper() not in there and value.strip("\0 ") and not self.stale(key):
                self.texts.append((key, value))

    def stale(self, name: str) -> bool:
        """Return whether *name* is of the old samples or their encoding; the former is noted."""
        if _MEASURED.fullmatch(name) or (name == "TIME_REFERENCE" and not self.counts):
            self.measured.append(name.removeprefix("TXXX:").removeprefix("COMM:").split(":")[0])
            return True
        return bool(_ENCODING.fullmatch(name))

    def named(self, column: int) -> Iterator[tuple[str, list[str]]]:
        """Yield (name, values) of the texts that have a name in *column* of NAMES."""
        groups = self.grouped()
        for row in NAMES:
            if row[column] and row[0] in groups:
                yield row[column], groups[row[0]]

    def grouped(self) -> dict[str, list[str]]:
        """Return the values by their key, in capitals if it is one that this file knows."""
        known = {row[0] for row in NAMES} | {*_COUNTS.values(), *_DESCRIPTIONS, _MUSICBRAINZ[0]}
        groups: dict[str, tuple[str, list[str]]] = {}
        for key, value in self.texts:
            capital = key.upper()
            groups.setdefault(capital, (capital if capital in known else key, []))[1].append(value)
        return dict(groups.values())


def key_of(name: str, column: int) -> str:
    """Return the key of Vorbis comments for *name*, which is *name* itself if it has no row."""
    named = (row[0] for row in NAMES if name and row[column].upper() == name.upper())
    return next(named, name)


def in_words(names: Iterable[str], most: int = 6) -> str:
    """Return *names* for people, equal ones counted, without control characters.

    >>> in_words(["chapter", "chapter", "cue"])
    '2 chapters and cue'
    """
    counted = [
        f"{count} {name}s" if count > 1 else name for name, count in Counter(iter(names)).items()
    ]
    shown = ["".join(c if c.isprintable() else "?" for c in name)[:80] for name in counted]
    if len(shown) > most:
        shown = [*shown[: most - 1], f"{len(shown) - most + 1} more"]
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))


# Vorbis comments, which FLAC and Ogg have.


def read_comments(pairs: Iterable[tuple[str, str]], tags: Tags) -> None:
    """Add Vorbis comments to *tags*; in Ogg, pictures are among them, in base64."""
    texts, coded = [], []
    for key, value in pairs:
        if key.upper() == "METADATA_BLOCK_PICTURE":
            coded.append(value)
        else:
            texts.append((key, value))
    tags.add(texts)  # first, so that a damaged picture costs no text
    tags.pictures += [Picture(base64.b64decode(value)) for value in coded]


def comments(tags: Tags) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the texts that Vorbis comments can hold, and the keys that they cannot."""
    fits = re.compile(r"[\x20-\x3c\x3e-\x7d]+")
    held = [(key, value) for key, value in tags.texts if fits.fullmatch(key)]
    return held, [key for key, _ in tags.texts if not fits.fullmatch(key)]


def pictures_as_comments(pictures: Iterable[Picture]) -> list[tuple[str, str]]:
    """Return the comments by which Ogg holds pictures."""
    return [
        ("METADATA_BLOCK_PICTURE", base64.b64encode(picture.write()).decode())
        for picture in pictures
    ]


# ID3v2, which MP3, WAV and AIFF have.


def read_id3(frames: id3.ID3, tags: Tags) -> None:
    """Add the frames of ID3v2.4 to *tags*."""
    texts: list[tuple[str, str]] = []
    for frame in without_stale(frames, tags).values():
        if isinstance(frame, id3.APIC):
            tags.pictures.append(_picture(frame.data, frame.type, frame.mime, frame.desc))
            continue
        found = list(_texts(frame))
        texts += found
        if not found:
            tags.framed.append(_WORDS.get(frame.FrameID, f"{frame.FrameID} frame"))
    unknown = [f"{data[:4].decode('latin1')} frame" for data in frames.unknown_frames]
    (tags.framed if frames.version >= (2, 4) else tags.others).extend(unknown)
    tags.add(texts)
    tags.frames = frames


def without_stale(frames: id3.ID3, tags: Tags) -> id3.ID3:
    """Remove the frames that `Tags.stale` names, and return *frames*."""
    for name in [name for name in frames if tags.stale(name)]:
        del frames[name]
    return frames


def _texts(frame: Any) -> Iterator[tuple[str, str]]:
    """Yield the texts of a frame of ID3v2.4; none if it is of another kind."""
    name = frame.FrameID
    if isinstance(frame, id3.TCON):
        yield from (("GENRE", genre) for genre in frame.genres)
    elif isinstance(frame, id3.TXXX):
        key = _KEYS.get(frame.desc.upper(), frame.desc) or name
        yield from ((key, text) for text in frame.text)
    elif isinstance(frame, id3.COMM):
        key = "COMMENT" if frame.desc in ("", "ID3v1 Comment") else f"COMMENT:{frame.desc}"
        yield from ((key, text) for text in frame.text)
    elif isinstance(frame, id3.USLT):
        yield "LYRICS", frame.text
    elif isinstance(frame, id3.PairedTextFrame):
        yield from (("PERFORMER", f"{who} ({role})") for role, who in frame.people)
    elif isinstance(frame, id3.TextFrame):
        for value in frame.text:
            yield from _of_total(key_of(name, ID3), str(value))
    elif isinstance(frame, id3.UrlFrame):
        yield ("WEBSITE" if name == "WXXX" else name), frame.url
    elif isinstance(frame, id3.UFID) and frame.owner == _MUSICBRAINZ[1]:
        yield _MUSICBRAINZ[0], frame.data.decode("ascii", "replace")


def _of_total(key: str, value: str) -> Iterator[tuple[str, str]]:
    """Yield a number of a track or a disc, and their total: 3/12 is two comments."""
    number, slash, total = value.partition("/")
    if key in _COUNTS and slash:
        yield key, number
        yield _COUNTS[key], total
    else:
        yield key, value


def as_id3(tags: Tags) -> id3.ID3:
    """Return all texts and pictures as frames of ID3v2.4, with the frames that the file had."""
    frames, grouped = tags.frames, tags.grouped()
    known = {key.upper() for frame in frames.values() for key, _ in _texts(frame)}
    for key, of in _COUNTS.items():
        if key in grouped and of in grouped and "/" not in grouped[key][0]:
            grouped[key] = [f"{grouped[key][0]}/{grouped.pop(of)[0]}"]
    for key, values in grouped.items():
        if key.upper() not in known:
            _add_frame(frames, _frame(key, values))
    there = {frame.data for frame in frames.getall("APIC")}
    for picture in tags.pictures:
        if picture.data not in there:
            frame = id3.APIC(3, picture.mime, picture.type, picture.desc, picture.data)
            _add_frame(frames, frame)
    return frames


def _frame(key: str, values: list[str]) -> Any:
    """Return the frame of ID3v2.4 that holds *values* under *key*."""
    if key.upper().partition(":")[0] == "COMMENT":
        return id3.COMM(3, "XXX", key.partition(":")[2], values)
    if key.upper() in ("LYRICS", "UNSYNCEDLYRICS"):
        return id3.USLT(3, "XXX", "", "\n".join(values))
    if key == _MUSICBRAINZ[0]:
        return id3.UFID(_MUSICBRAINZ[1], values[0].encode("ascii", "replace"))
    name = next((row[ID3] for row in NAMES if row[0] == key), key)
    kind = id3.Frames.get(name)
    if kind is None or name == "TXXX":
        return id3.TXXX(3, _DESCRIPTIONS.get(key, key), values)
    if issubclass(kind, id3.UrlFrame) and name != "WXXX":
        return kind(values[0])
    plain = issubclass(kind, id3.TextFrame) and not issubclass(kind, id3.PairedTextFrame)
    return kind(3, values) if plain else id3.TXXX(3, key, values)


def _add_frame(frames: id3.ID3, frame: Any) -> None:
    """Add *frame*; one of the same name stays, and the new one gets another description."""
    while frame.HashKey in frames and hasattr(frame, "desc"):
        frame.desc += " "
    frames.add(frame)


def _picture(data: bytes, kind: int, mime: str, text: str) -> Picture:
    """Return a picture as FLAC has it."""
    picture = Picture()
    picture.data, picture.type, picture.mime, picture.desc = data, int(kind), mime, text
    return picture


def read_ape(ape: APEv2, tags: Tags) -> None:
    """Add the items of APEv2 to *tags*."""
    texts: list[tuple[str, str]] = []
    for name, item in ape.items():
        if name.lower().startswith("cover art") and item.kind == 1:
            data = bytes(item).partition(b"\0")[2]
            mime = "image/png" if data[:4] == b"\x89PNG" else "image/jpeg"
            tags.pictures.append(_picture(data, 3, mime, ""))
        elif item.kind == 0:
            key = key_of(name, APE)
            for value in item:
                texts += _of_total(key, value)
        else:
            tags.others.append(f"APEv2 item {name}")
    tags.add(texts)


def read_mp4(atoms: Mapping[str, Any], tags: Tags) -> None:
    """Add the atoms of MP4 to *tags*."""
    texts: list[tuple[str, str]] = []
    for name, values in atoms.items():
        if name == "covr":
            for data in values:
                mime = "image/png" if data.imageformat == data.FORMAT_PNG else "image/jpeg"
                tags.pictures.append(_picture(bytes(data), 3, mime, ""))
            continue
        for value in [int(values)] if isinstance(values, bool) else values:
            text = value.decode("utf8", "replace") if isinstance(value, bytes) else str(value)
            if isinstance(value, tuple):  # the number of a track or disc, and of all
                text = "/".join(str(number) for number in value if number)
            key = _KEYS.get(name.split(":")[-1].upper(), name.split(":")[-1])
            texts += _of_total(key_of(key, MP4), text)
    tags.add((key, text) for key, text in texts if key != "©too")  # the old encoder


# Texts in chunks: LIST INFO of WAV, the text chunks of AIFF, the info chunk of CAF.


def read_info(content: bytes, tags: Tags) -> None:
    """Add a LIST chunk of WAV to *tags*, whose content starts with INFO."""
    texts, at = [], 4
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        text = content[at + 8 : at + 8 + size]
        texts.append((key_of(name.decode("latin1"), INFO), decoded(text)))
        at += 8 + size + size % 2
    tags.add(texts)


def info(tags: Tags) -> bytes:
    """Return the content of a LIST INFO chunk, or nothing if no text has a name in it."""
    parts = []
    for name, values in tags.named(INFO):
        text = "; ".join(values).encode() + b"\0"
        parts.append(name.encode() + struct.pack("<I", len(text)) + text + bytes(len(text) % 2))
    return b"INFO" + b"".join(parts) if parts else b""


def read_caf_info(content: bytes, tags: Tags) -> None:
    """Add an info chunk of CAF to *tags*."""
    strings = [decoded(text) for text in content[4:].split(b"\0")]
    pairs = zip(strings[::2], strings[1::2], strict=False)
    texts: list[tuple[str, str]] = []
    for name, value in pairs:
        if name not in ("encoding application", "source application"):
            texts += _of_total(key_of(name, CAF), value)
    tags.add(texts)


def caf_info(tags: Tags) -> bytes:
    """Return the content of an info chunk, whose own keys are in small letters, others not."""
    column = {row[0]: row[CAF] for row in NAMES if row[CAF]}
    pairs = [
        (column.get(key, key), "; ".join(values).replace("\0", " "))
        for key, values in tags.grouped().items()
    ]
    return struct.pack(">I", len(pairs)) + "".join(f"{k}\0{v}\0" for k, v in pairs).encode()


def decoded(text: bytes) -> str:
    """Return a text of unstated encoding, up to its first NUL."""
    text = text.partition(b"\0")[0]
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("cp1252", "replace")
