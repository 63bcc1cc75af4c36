"""What is not samples, from one file to another of the same family: copied as it is.

Only what was measured on the samples of the original is left out, because it is wrong for those of
the copy, and what says how they were encoded. Each function that copies returns the names of what
has no place in the copy.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import BytesIO
from typing import BinaryIO

import mutagen
from mutagen import flac, id3
from mutagen.apev2 import APENoHeaderError, APEv2

from . import tags as words
from .chunks import W64, W64_ROOM, Chunk, append, beside_samples, container, content, pieces
from .tags import Tags

BEXT = struct.Struct("<256s32s32s10s8sQH64s10s180x")  # EBU Tech 3285 v2, before coding history
_UNSET = struct.pack("<5h", *[0x7FFF] * 5)  # the five loudness values of bext, unset
_NIST_OF_SAMPLES = {"channel_count", "sample_rate", "sample_n_bytes", "sample_sig_bits"}
_NIST_OF_SAMPLES |= {"sample_coding", "sample_byte_format", "sample_count"}
_NIST_OF_SAMPLES |= {"sample_min", "sample_max", "sample_checksum"}


def title(file: BinaryIO, chunk: Chunk) -> str:
    """Return the name of a chunk for people."""
    if chunk.name == b"LIST":
        return f"LIST {content(file, chunk)[:4].decode('latin1')} chunk"
    return f"{chunk.name[:4].decode('latin1').strip()} chunk"


def _copy_chunks(source: BinaryIO, target: BinaryIO, tags: Tags, coding: str) -> list[str]:
    """Copy all chunks that are not of the samples."""
    left, room = list[str](), W64_ROOM if container(target) is W64 else math.inf
    more: list[tuple[bytes, Iterable[bytes]]] = []
    for chunk in beside_samples(source):
        if chunk.size > room or (len(chunk.name) > 4 and container(target) is not W64):
            left.append(title(source, chunk))
            continue
        room -= chunk.size
        if not chunk.whole:
            left.append(f"{title(source, chunk)} (cut off)")
        elif chunk.name == b"bext":
            more.append((chunk.name, [_bext(content(source, chunk), tags, coding)]))
        elif chunk.name.lower() == b"id3 ":
            more.append((chunk.name, [_id3(content(source, chunk), tags)]))
        else:
            more.append((chunk.name, pieces(source, chunk)))
    append(target, more)
    return left


def _bext(bext: bytes, tags: Tags, coding: str) -> bytes:
    """Return a bext chunk without measured loudness, and with *coding* in its history."""
    if len(bext) < BEXT.size:
        return bext
    head, history = bext[: BEXT.size], bext[BEXT.size :].rstrip(b"\0")
    loudness = BEXT.unpack(head)[-1]
    if loudness not in (_UNSET, bytes(10)):
        tags.measured.append("loudness of bext")
        head = head[:412] + _UNSET + head[422:]
    if history and not history.endswith(b"\r\n"):
        history += b"\r\n"
    return head + history + coding.encode()


def _id3(data: bytes, tags: Tags) -> bytes:
    """Return an ID3 chunk, as it is if nothing in it was measured on the samples."""
    with suppress(mutagen.MutagenError):
        frames = load_id3(BytesIO(data), as_is=True)
        count = len(frames)
        if len(words.without_stale(frames, tags)) < count:
            return saved(frames, _version(frames))
    return data


def _copy_flac(source: BinaryIO, target: BinaryIO, tags: Tags, coding: str) -> list[str]:
    """Copy comments, pictures, cue sheet and the blocks of applications."""
    source.seek(0)
    target.seek(0)
    original, copy = flac.FLAC(source), flac.FLAC(target)
    blocks = [block for block in original.metadata_blocks if block.code in (2, 4, 5, 6)]
    if original.tags is not None:
        original.tags[:] = [pair for pair in original.tags if not tags.stale(pair[0])]
        original.tags.vendor = copy.tags.vendor
    copy.metadata_blocks = [block for block in copy.metadata_blocks if block.code in (0, 3)]
    copy.metadata_blocks += blocks
    target.seek(0)
    copy.save(target)
    return []


def _copy_mp3(source: BinaryIO, target: BinaryIO, tags: Tags, coding: str) -> list[str]:
    """Copy ID3v2 in its version (2.2 becomes 2.3), ID3v1 and APEv2."""
    left, items = list[str](), load_ape(source)
    for name in [name for name in items if tags.stale(name)]:
        del items[name]
    if items:
        items.save(target)
    frames = words.without_stale(load_id3(source, as_is=True), tags)
    if frames.version < (2, 3):
        left = [f"{data[:3].decode('latin1')} frame" for data in frames.unknown_frames]
    if frames or frames.unknown_frames:
        source.seek(-128, os.SEEK_END)
        v1 = 2 if source.read(3) == b"TAG" else 0
        target.seek(0)
        frames.save(target, v1=v1, v2_version=_version(frames), v23_sep=None)
    return left


def _copy_nist(source: BinaryIO, target: BinaryIO, tags: Tags, coding: str) -> list[str]:
    """Copy the fields of the header that libsndfile did not write, as far as they fit."""
    target.seek(0)
    lines = target.read(1024).partition(b"end_head")[0].rstrip(b"\n").split(b"\n")[2:]
    left = []
    target.seek(8)
    size = int(target.read(8)) - 16
    for name, _, line in fields(source):
        if sum(map(len, lines)) + len(lines) + len(line) + len(b"\nend_head\n") > size:
            left.append(name)
        else:
            lines.append(line)
    target.seek(16)
    target.write(b"\n".join([*lines, b"end_head\n"]).ljust(size))
    target.flush()
    return left


def fields(file: BinaryIO) -> list[tuple[str, str, bytes]]:
    """Return (name, value, line) of each field of a NIST file that says not how it is stored."""
    file.seek(8)
    size = int(file.read(8))
    lines = file.read(size - 16).partition(b"end_head")[0].split(b"\n")
    found = [(*line.split(None, 2), line) for line in lines if line.count(b" ") > 1]
    named = [(name.decode("latin1"), words.decoded(value), line) for name, _, value, line in found]
    return [row for row in named if row[0] not in _NIST_OF_SAMPLES]


def load_id3(file: BinaryIO, as_is: bool = False) -> id3.ID3:
    """Return the frames of ID3, as those of ID3v2.4, or as they are where that can be written."""
    file.seek(0)
    try:
        frames = id3.ID3(file, translate=not as_is)
    except id3.ID3NoHeaderError:
        return id3.ID3()
    if as_is and frames.version < (2, 3):
        file.seek(0)
        return id3.ID3(file, v2_version=3)
    return frames


def _version(frames: id3.ID3) -> int:
    """Return the version of ID3v2 in which frames that were loaded as they are can be saved."""
    return 4 if frames.version >= (2, 4) else 3


def saved(frames: id3.ID3, version: int) -> bytes:
    """Return frames as the bytes of a chunk, as ID3v2.*version*."""
    file = BytesIO()
    frames.save(file, v1=0, v2_version=version, v23_sep=None, padding=lambda info: 0)
    return file.getvalue()


def load_ape(file: BinaryIO) -> APEv2:
    """Return the items of APEv2."""
    file.seek(0)
    try:
        return APEv2(file)
    except APENoHeaderError:
        return APEv2()


COPIERS: dict[str, Callable[[BinaryIO, BinaryIO, Tags, str], list[str]]] = {
    "riff": _copy_chunks,
    "aiff": _copy_chunks,
    "caf": _copy_chunks,
    "flac": _copy_flac,
    "mp3": _copy_mp3,
    "nist": _copy_nist,
}
