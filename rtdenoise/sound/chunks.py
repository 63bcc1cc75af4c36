"""The chunks of WAV, RF64, W64, AIFF and CAF files: which there are, and how to append others.

All these files are a short head and then chunks: a name, a size, and as many bytes. A chunk of W64
is named by a GUID; the GUIDs that stand for the four letters of a WAV chunk are given as these.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

PIECE = 1 << 20  # bytes that are copied at a time
WAVE_GUID = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # after four letters, as in "wave", "fmt "
_LIST_GUID = bytes.fromhex("2f91cf11a5d628db04c10000")
RIFF_GUID = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
W64_ROOM = 64 << 10  # bytes that all chunks together may have which are appended to a W64 file
_IN_DS64 = 0xFFFF_FFFF  # the size of a chunk whose true size, of 64 bits, is in the ds64 chunk

# The chunks that hold the samples, describe how they are stored, were measured on them, or fill.
OF_SAMPLES = {
    "riff": {
        *(b"fmt ", b"data", b"fact", b"ds64", b"PEAK", b"levl", b"MD5 ", b"mext", b"LGWV", b"ovwf"),
        *(b"slnt", b"JUNK", b"junk", b"PAD ", b"FLLR"),
    },
    "aiff": {b"COMM", b"SSND", b"FVER", b"PEAK", b"SAXL", b"LGWV", b"JUNK", b"FLLR"},
    "caf": {b"desc", b"data", b"kuki", b"pakt", b"peak", b"ovvw", b"free", b"ldat"},
}


@dataclass(frozen=True)
class Chunk:
    """A chunk of a file.

    Attributes:
        name: Four letters, or 16 bytes where a GUID of W64 stands for no letters.
        at: Place of its first byte in the file.
        size: Number of its bytes that are there.
        whole: Whether all the bytes are there that its size promises.
    """

    name: bytes
    at: int
    size: int
    whole: bool = True


@dataclass(frozen=True)
class Container:
    """How the chunks of a file are written down.

    Attributes:
        family: "riff", "aiff" or "caf"; the chunks of one family mean the same.
        start: Place of the first chunk.
        head: Name and size of a chunk.
        align: Chunks start at multiples of this many bytes.
        counted: Bytes of the head that a chunk's size counts.
        total: Form and place of the size of the whole file, and what it does not count.
    """

    family: str
    start: int
    head: struct.Struct
    align: int
    counted: int = 0
    total: tuple[str, int, int] | None = None


RIFF = Container("riff", 12, struct.Struct("<4sI"), 2, total=("<I", 4, 8))
RF64 = Container("riff", 12, struct.Struct("<4sI"), 2, total=("<Q", 20, 8))  # in its ds64 chunk
W64 = Container("riff", 40, struct.Struct("<16sQ"), 8, counted=24, total=("<Q", 16, 0))
AIFF = Container("aiff", 12, struct.Struct(">4sI"), 2, total=(">I", 4, 8))
CAF = Container("caf", 8, struct.Struct(">4sq"), 1)


def container(file: BinaryIO) -> Container | None:
    """Return how the chunks of *file* are written down, or None if it has no chunks."""
    file.seek(0)
    head = file.read(40)
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return RF64 if head[12:16] == b"ds64" else RIFF
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return AIFF
    if head[:16] == RIFF_GUID:
        return W64
    return CAF if head[:4] == b"caff" else None


def chunks(file: BinaryIO) -> Iterator[Chunk]:
    """Yield the chunks of *file*, until it ends or something else than a chunk follows."""
    kind = container(file)
    end = file.seek(0, os.SEEK_END)
    at, sizes = (kind.start, dict[bytes, int]()) if kind else (end, {})
    while kind and at + kind.head.size <= end:
        file.seek(at)
        name, size = kind.head.unpack(file.read(kind.head.size))
        at += kind.head.size
        if kind is RF64 and size == _IN_DS64:
            size = sizes.get(name, size)
        elif kind is CAF and name == b"data" and size == -1:
            size = end - at  # a recorder writes -1, and the right size when it ends
        size -= kind.counted
        if size < 0 or (not all(32 <= byte < 127 for byte in name[:4]) and kind is not W64):
            return
        yield Chunk(_letters(name), at, min(size, end - at), size <= end - at)
        if name == b"ds64":
            file.seek(at)
            sizes = _long_sizes(file.read(min(size, end - at)))
        at += size + -size % kind.align


def beside_samples(file: BinaryIO) -> list[Chunk]:
    """Return the chunks of *file* that are not in `OF_SAMPLES`."""
    kind = container(file)
    return [chunk for chunk in chunks(file) if kind and chunk.name not in OF_SAMPLES[kind.family]]


def _long_sizes(ds64: bytes) -> dict[bytes, int]:
    """Return the true sizes of the chunks that a ds64 chunk lists."""
    if len(ds64) < 28:
        return {}
    _, data, _, count = struct.unpack_from("<QQQI", ds64)
    table = ds64[28 : 28 + 12 * count]
    rows = struct.iter_unpack("<4sQ", table[: len(table) // 12 * 12])
    return {b"data": data, **dict(rows)}


def _letters(name: bytes) -> bytes:
    """Return the four letters that *name* stands for, if it is such a GUID of W64."""
    if name[4:] == WAVE_GUID:
        return name[:4]
    return b"LIST" if name == b"list" + _LIST_GUID else name


def _guid(name: bytes) -> bytes:
    """Return the GUID of W64 for a chunk."""
    if len(name) == 16:
        return name
    return b"list" + _LIST_GUID if name == b"LIST" else name + WAVE_GUID


def content(file: BinaryIO, chunk: Chunk) -> bytes:
    """Return the bytes of a chunk."""
    file.seek(chunk.at)
    return file.read(chunk.size)


def pieces(file: BinaryIO, chunk: Chunk) -> Iterator[bytes]:
    """Yield the bytes of a chunk of any size, in pieces that fit into memory."""
    for done in range(0, chunk.size, PIECE):
        file.seek(chunk.at + done)
        yield file.read(min(PIECE, chunk.size - done))


def append(file: BinaryIO, more: Iterable[tuple[bytes, Iterable[bytes]]]) -> None:
    """Append chunks to a whole *file*, and correct the size that its head states.

    In W64 they come before the samples: libsndfile 1.2.2 takes the first 24 bytes of what follows
    the samples for samples. It reads no more than 100 KiB before the samples (`W64_ROOM`).

    Args:
        file: File to read and write.
        more: The name of each chunk, and its bytes in pieces.

    Raises:
        ValueError: If *file* has no chunks, or has no place for one with such a name.
        OverflowError: If the file would be longer than its head can state.
    """
    kind = container(file)
    if kind is None:
        raise ValueError("the file has no chunks")
    last = list(chunks(file))[-1]
    end = last.at + last.size
    at = first = _padded(file, end, kind)
    for name, parts in more:
        if len(name) != 4 and kind is not W64:
            raise ValueError("a chunk that only W64 can hold")
        label = _guid(name) if kind is W64 else name
        size = 0
        file.seek(at + kind.head.size)
        for part in parts:
            size += file.write(part)
        file.seek(at)
        file.write(_fitting(kind.head, label, size + kind.counted))
        at = _padded(file, at + kind.head.size + size, kind)
    if kind is W64:
        at = _swap(file, last.at - kind.head.size, end, first)
    if kind.total:
        form, place, uncounted = kind.total
        file.seek(place)
        file.write(_fitting(struct.Struct(form), at - uncounted))
    file.flush()


def _swap(file: BinaryIO, start: int, end: int, behind: int) -> int:
    """Bring the bytes after *behind* before those from *start* to *end*; return where it ends."""
    file.seek(behind)
    more = file.read()
    for at in reversed(range(start, end, PIECE)):
        piece = content(file, Chunk(b"", at, min(PIECE, end - at)))
        file.seek(at + len(more))
        file.write(piece)
    file.seek(start)
    file.write(more)
    return file.truncate(end + len(more))


def _padded(file: BinaryIO, end: int, kind: Container) -> int:
    """Fill *file* with zeros from *end* to where a chunk can start, and return that place."""
    file.seek(end)
    file.write(bytes(-end % kind.align))
    return file.tell()


def _fitting(form: struct.Struct, *values: object) -> bytes:
    """Return *values* as bytes, or raise an error if they are too large."""
    try:
        return form.pack(*values)
    except struct.error:
        raise OverflowError("the file would be longer than its format can state") from None
