"""What a sound file holds beside its samples, brought into a copy of the same length.

Between files of one family (`FAMILIES`), chunks, blocks and frames are copied as they are. Between
families, and to another rate, texts and pictures are (`tags.py`). What was measured on the samples
of the original is left out, because it is wrong for those of the copy.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import mutagen
from mutagen import flac, mp4
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggspeex import OggSpeex
from mutagen.oggvorbis import OggVorbis

from . import tags as words
from .chunks import AIFF, OF_SAMPLES, W64, Chunk, append, beside_samples, container, content
from .tags import Tags, in_words
from .verbatim import BEXT, COPIERS, fields, load_ape, load_id3, saved, title

FAMILIES = {"WAV": "riff", "WAVEX": "riff", "RF64": "riff", "W64": "riff", "AIFF": "aiff"}
FAMILIES |= {"CAF": "caf", "FLAC": "flac", "OGG": "ogg", "MP3": "mp3", "NIST": "nist", "AU": "au"}
_OGG = [OggVorbis, OggOpus, OggFLAC, OggSpeex]
_HEAD = 64  # bytes at the start of a file with chunks that change when a chunk is appended
_BEXT_NAMES = "DESCRIPTION ORIGINATOR ORIGINATOR_REFERENCE ORIGINATION_DATE ORIGINATION_TIME"
_TEXT_CHUNKS = (b"NAME", b"AUTH", b"(c) ", b"ANNO")  # of AIFF


@dataclass(frozen=True)
class Sound:
    """A sound file whose bytes are open.

    Attributes:
        file: The bytes.
        format: Format as libsndfile names it: "WAV", "FLAC", ...
        counts: Whether positions counted in its samples hold for the copy, which has its rate.
    """

    file: BinaryIO
    format: str
    counts: bool = True

    @property
    def family(self) -> str:
        """The family of the format; "" for one that holds nothing beside its samples."""
        return FAMILIES.get(self.format, "")


def carry(
    original: Sound, copy: Sound, coding: str, folder: Path, check: Callable[[], None]
) -> list[str]:
    """Bring what *original* holds beside its samples into *copy*, and return warnings for people.

    A failure is a warning as well, and leaves *copy* as it was.

    Args:
        original: The file with the tags.
        copy: A whole file without tags, open to read and write; its samples may differ, but not
            their number, unless *original* says that its own do not count.
        coding: How *copy* is encoded, as a line of the coding history of a bext chunk (EBU R 98).
        folder: Folder for a temporary file.
        check: Function that raises an error if the samples of *copy* cannot be read any more.
    """
    tags, warnings = Tags(counts=original.counts), list[str]()
    alike = original.counts and original.family == copy.family
    copier = COPIERS.get(copy.family) if alike else None
    left: list[str] = []
    try:
        for read in () if copier else _readers(original):
            warnings += _damage(read, tags)
        if copier or tags.filled:
            with _undone_by_errors(copy, folder):
                if copier:
                    left = copier(original.file, copy.file, tags, coding)
                else:
                    left = [*_WRITERS.get(copy.family, _write_none)(copy.file, tags), *tags.others]
                check()
    except Exception as error:  # a tag that cannot be written must not cost the sound
        warnings.append(f"the tags of the input were left out of the output ({_reason(error)})")
    if left:
        warnings.append(
            f"{copy.format} cannot hold what the input has beside its samples: {in_words(left)}"
        )
    if tags.measured:
        warnings.append(
            "left out, because it was measured on the samples of the input: "
            + in_words(dict.fromkeys(tags.measured))
        )
    return warnings


def _damage(read: Callable[[Tags], None], tags: Tags) -> list[str]:
    """Read a part of the tags, and return a warning if it is damaged."""
    try:
        read(tags)
    except Exception as error:  # damaged tags raise anything
        return [f"damaged tags of the input were left out ({_reason(error)})"]
    return []


def _reason(error: Exception) -> str:
    """Return *error* in words that a terminal can show."""
    return in_words([f"{type(error).__name__} {error}".strip()])


@contextmanager
def _undone_by_errors(copy: Sound, folder: Path) -> Iterator[None]:
    """Restore the bytes of *copy* if the block raises."""
    size = copy.file.seek(0, os.SEEK_END)
    with tempfile.TemporaryFile(dir=folder if os.access(folder, os.W_OK) else None) as spare:
        copy.file.seek(0)
        spare.write(copy.file.read(_HEAD))
        if copy.family not in OF_SAMPLES or copy.format == "W64":  # more than the end changes
            shutil.copyfileobj(copy.file, spare)
        try:
            yield
        except BaseException:
            spare.seek(0)
            copy.file.seek(0)
            shutil.copyfileobj(spare, copy.file)
            copy.file.truncate(size)
            copy.file.flush()
            raise


def _names(pictures: Iterable[flac.Picture]) -> list[str]:
    """Return *pictures* in words."""
    return ["cover picture" if picture.type == 3 else "picture" for picture in pictures]


# From one family to another: the readers fill `Tags`, and the writers return what they left.


def _readers(original: Sound) -> Iterator[Callable[[Tags], None]]:
    """Yield functions that read a part of the tags each, the more detailed part first."""
    file, family = original.file, original.family
    if family in OF_SAMPLES:
        known = beside_samples(file)
        for chunk in sorted(known, key=lambda chunk: chunk.name.lower() != b"id3 "):
            if chunk.name not in _TEXT_CHUNKS:
                yield partial(_read_chunk, file, chunk)
        yield partial(_read_texts, file, [c for c in known if c.name in _TEXT_CHUNKS])
    elif family == "flac":
        yield partial(_read_flac, file)
    elif family == "ogg":
        yield partial(_read_ogg, file)
    elif family == "mp3":
        yield lambda tags: words.read_id3(load_id3(file), tags)
        yield lambda tags: words.read_ape(load_ape(file), tags)
    elif family == "au":
        yield partial(_read_au, file)
    elif family == "nist":
        yield lambda tags: tags.add((name, value) for name, value, _ in fields(file))
    else:
        yield partial(_read_mp4, file)


def _read_chunk(file: BinaryIO, chunk: Chunk, tags: Tags) -> None:
    """Add what a chunk of WAV, AIFF or CAF says to *tags*."""
    if not chunk.whole:
        raise EOFError(f"the {title(file, chunk)} is cut off")
    if chunk.name.lower() == b"id3 ":
        words.read_id3(load_id3(BytesIO(content(file, chunk))), tags)
    elif title(file, chunk) == "LIST INFO chunk":
        words.read_info(content(file, chunk), tags)
    elif chunk.name == b"bext":
        _read_bext(content(file, chunk), tags)
    elif chunk.name == b"info":
        words.read_caf_info(content(file, chunk), tags)
    else:
        tags.others.append(title(file, chunk))


def _read_texts(file: BinaryIO, texts: Iterable[Chunk], tags: Tags) -> None:
    """Add the text chunks of AIFF to *tags*."""
    tags.add(
        (words.key_of(chunk.name.decode(), words.AIFF), words.decoded(content(file, chunk)))
        for chunk in texts
    )


def _read_bext(bext: bytes, tags: Tags) -> None:
    """Add a bext chunk of WAV to *tags*, under the keys that ffmpeg gives."""
    *texts, time, version, umid, _ = BEXT.unpack_from(bext)
    pairs = list(zip(_BEXT_NAMES.split(), map(words.decoded, texts), strict=True))
    history = words.decoded(bext[BEXT.size :]).strip()
    tags.add([*pairs, ("TIME_REFERENCE", str(time or "")), ("CODING_HISTORY", history)])
    if version and any(umid):
        tags.others.append("UMID")


def _read_flac(file: BinaryIO, tags: Tags) -> None:
    """Add the blocks of FLAC to *tags*."""
    file.seek(0)
    source = flac.FLAC(file)
    tags.pictures += source.pictures
    words.read_comments(source.tags or (), tags)
    tags.others += ["cue sheet"] * (source.cuesheet is not None)
    tags.others += ["APPLICATION block" for block in source.metadata_blocks if block.code == 2]


def _read_ogg(file: BinaryIO, tags: Tags) -> None:
    """Add the comments of Ogg to *tags*."""
    file.seek(0)
    words.read_comments(mutagen.File(file, _OGG).tags or (), tags)


def _read_mp4(file: BinaryIO, tags: Tags) -> None:
    """Add the atoms of MP4 (m4a, mp4, mov) to *tags*; a file of another format has none."""
    file.seek(4)
    if file.read(4) != b"ftyp":
        return
    file.seek(0)
    words.read_mp4(mp4.MP4(file).tags or {}, tags)


def _read_au(file: BinaryIO, tags: Tags) -> None:
    """Add the annotation in the head of an AU file to *tags*."""
    file.seek(4)
    start = int.from_bytes(file.read(4), "big")
    file.seek(24)
    tags.add([("COMMENT", words.decoded(file.read(min(start, 1 << 20) - 24)))])


def _write_none(file: BinaryIO, tags: Tags) -> list[str]:
    """Write nothing."""
    return [*(key.lower() for key in tags.grouped()), *_names(tags.pictures), *tags.framed]


def _write_chunks(file: BinaryIO, tags: Tags) -> list[str]:
    """Write LIST INFO or the text chunks of AIFF, and all of it as ID3."""
    riff, left = container(file) is not AIFF, list[str]()
    if container(file) is W64:
        left, tags.pictures = _names(tags.pictures), []
        tags.frames.delall("APIC")
    more = [(b"LIST", [words.info(tags)])] if riff and words.info(tags) else []
    for name, values in () if riff else tags.named(words.AIFF):
        texts = values if name == "ANNO" else ["; ".join(values)]  # there is one of the others
        more += [(name.encode(), [text.encode()]) for text in texts]
    if tags.texts or tags.pictures or tags.framed:
        more.append((b"id3 " if riff else b"ID3 ", [saved(words.as_id3(tags), 4)]))
    append(file, more)
    return left


def _write_caf(file: BinaryIO, tags: Tags) -> list[str]:
    """Write an info chunk."""
    if tags.texts:
        append(file, [(b"info", [words.caf_info(tags)])])
    return [*_names(tags.pictures), *tags.framed]


def _write_flac(file: BinaryIO, tags: Tags) -> list[str]:
    """Write comments and pictures."""
    file.seek(0)
    target = flac.FLAC(file)
    held, left = words.comments(tags)
    target.tags[:] = held
    large = [picture for picture in tags.pictures if len(picture.write()) >= 1 << 24]
    for picture in tags.pictures:
        if picture not in large:
            target.add_picture(picture)
    file.seek(0)
    target.save(file)
    return [*left, *_names(large), *tags.framed]


def _write_ogg(file: BinaryIO, tags: Tags) -> list[str]:
    """Write comments, with the pictures among them."""
    file.seek(0)
    target = mutagen.File(file, _OGG)
    held, left = words.comments(tags)
    target.tags[:] = held + words.pictures_as_comments(tags.pictures)
    file.seek(0)
    target.save(file)
    return [*left, *tags.framed]


def _write_mp3(file: BinaryIO, tags: Tags) -> list[str]:
    """Write ID3v2.4."""
    file.seek(0)
    words.as_id3(tags).save(file, v1=0)
    return []


_WRITERS = {"riff": _write_chunks, "aiff": _write_chunks, "caf": _write_caf}
_WRITERS |= {"flac": _write_flac, "ogg": _write_ogg, "mp3": _write_mp3}
