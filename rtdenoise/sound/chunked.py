"""Formats of chunks, each with a name and a size: WAV and its kin, W64, AIFF, 8SVX and CAF."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from .chunks import RIFF_GUID, WAVE_GUID
from .sized import LARGEST, WRAP, Sized, only_zeros
from .view import Source

# Chunks and tags that follow samples, and may themselves be cut off.
TRAILERS = {b"LIST", b"bext", b"iXML", b"id3 ", b"ID3 ", b"cue ", b"smpl", b"inst", b"JUNK"}
TRAILERS |= {b"junk", b"PAD ", b"fact", b"PEAK", b"_PMX", b"axml", b"chna", b"umid", b"info"}
TRAILERS |= {b"MARK", b"INST", b"COMT", b"NAME", b"AUTH", b"ANNO", b"(c) ", b"APPL", b"free"}
TAGS = (b"TAG", b"ID3", b"APETAGEX")  # as programs for MP3 append them to any file


@dataclass(frozen=True)
class Chunks:
    """How a format writes its chunks.

    Attributes:
        head: Name and size before a chunk, for `struct`.
        first: Offset of the first chunk.
        start: Offset of the file's first byte.
        align: Bytes that a chunk is a multiple of.
        counted: Bytes of the head that the size counts.
    """

    head: str
    first: int
    start: int
    align: int = 2
    counted: int = 0

    def walk(self, source: Source, at: int) -> Iterator[tuple[bytes, int, int]]:
        """Yield name, offset and size of the content of each chunk from offset *at* on."""
        length = struct.calcsize(self.head)
        while at + length <= source.size:
            name, size = struct.unpack(self.head, source.at(at, length))
            size -= self.counted
            yield name, at + length, size
            if size < 0:
                return
            at += length + size
            at += -(at - self.start) % self.align

    def until(self, source: Source, *last: bytes) -> dict[bytes, tuple[int, int]]:
        """Return offset and size of the chunks up to one of the *last*; {} if there is none."""
        found = {}
        for name, body, size in self.walk(source, self.first):
            found[name] = body, size
            if name in last:
                return found
        return {}

    def follows(self, source: Source, at: int, magic: bytes) -> int | None:
        """Return where the chunks from *at* on end, at another file or the end. None: no chunks."""
        padded = at + -(at - self.start) % self.align
        for begin in {padded: 0, at: 0}:  # not every writer pads
            if begin + struct.calcsize(self.head) > source.size or only_zeros(source, begin):
                return source.size
            here, known = source.size, False  # whether what follows can only be chunks
            for name, body, size in self.walk(source, begin):
                here = body - struct.calcsize(self.head)
                if source.at(here, len(magic)) == magic:
                    return here
                if source.at(here, 8).startswith(TAGS):
                    return source.size
                known = known or name in TRAILERS or name.endswith(WAVE_GUID)
                if not (known or re.fullmatch(rb"[ -~]{4}", name)) or size < 0:
                    break
                if body + size >= source.size - 1:
                    if known or body + size <= source.size + 1:
                        return source.size
                    break
            else:
                if here < source.size:
                    return source.size
        return None


def _unless_unknown(size: int) -> int | None:
    """Return a size of 32 bits; None if it is one that ffmpeg, sox or arecord write into pipes."""
    return None if size >= 0xFFFF_FF00 or 0x7FFF_0000 <= size <= 0x8000_0000 else size


def _block(source: Source, sound: int, order: str) -> int:
    """Return the bytes of a block of samples, which the chunk `fmt ` at an offset tells."""
    return max(1, int.from_bytes(source.at(sound + 12, 2), "little" if order == "<" else "big"))


def riff(source: Source, start: int) -> Sized | None:
    """Read the header of a WAV or RF64 file."""
    magic = source.at(start, 4)
    order = ">" if magic == b"RIFX" else "<"
    chunks = Chunks(order + "4sI", start + 12, start)
    found = chunks.until(source, b"data")
    if b"fmt " not in found:
        return None
    begin, size = found[b"data"]
    head = source.at(start, begin - start)
    told = _unless_unknown(size)
    wide_at = found[b"ds64"][0] + 8 - start if b"ds64" in found else 0
    distrusted = magic == b"BW64"  # libsndfile knows it under its older name alone
    if wide_at:
        wide = struct.unpack("<Q", head[wide_at : wide_at + 8])[0]
        told = size if size < 0xFFFF_FFFF else None if wide >> 62 else wide
        distrusted = distrusted or told != wide  # libsndfile believes ds64 alone

    def fix(there: int) -> bytes:
        if wide_at:
            count = struct.pack("<Q", there)
            return b"RF64" + head[4:wide_at] + count + head[wide_at + 8 : -4] + b"\xff" * 4
        return (
            (magic if magic == b"RIFX" else b"RIFF") + head[4:-4] + struct.pack(order + "I", there)
        )

    return Sized(
        begin,
        told,
        fix,
        lambda at: chunks.follows(source, at, magic),
        0 if wide_at else WRAP,
        _block(source, found[b"fmt "][0], order),
        0 if wide_at else LARGEST,
        clip=False,
        distrusted=distrusted,
    )


def w64(source: Source, start: int) -> Sized | None:
    """Read the header of a W64 file."""
    chunks = Chunks("<16sq", start + 40, start, 8, 24)
    found = chunks.until(source, b"data" + WAVE_GUID)
    if not found:
        return None
    begin, size = found[b"data" + WAVE_GUID]
    head = source.at(start, begin - 8 - start)
    sound = next((body for name, (body, _) in found.items() if name.startswith(b"fmt ")), begin)
    return Sized(
        begin,
        None if size >> 62 == 1 else max(0, size),
        lambda there: head + struct.pack("<q", there + 24),
        lambda at: chunks.follows(source, at, RIFF_GUID),
        block=_block(source, sound, "<"),
    )


def form(source: Source, start: int) -> Sized | None:
    """Read the header of an AIFF, AIFC or 8SVX file."""
    chunks = Chunks(">4sI", start + 12, start)
    found = chunks.until(source, b"SSND", b"BODY")
    if not found:
        return None
    body, size = found.get(b"SSND") or found[b"BODY"]
    skip = 8 + int.from_bytes(source.at(body, 4), "big") if b"SSND" in found else 0
    begin, place = body + skip, body - start - 4
    if begin > source.size:
        return None
    head = source.at(start, begin - start)
    counts = found[b"COMM"][0] + 2 - start if b"COMM" in found else 0

    def fix(there: int) -> bytes:
        fixed = head[:place] + struct.pack(">I", there + skip) + head[place + 4 :]
        # GSM and DWVW stop at the count of samples, which is as wrong as the size.
        return fixed[:counts] + b"\x7f\xff\xff\xff" + fixed[counts + 4 :] if counts else fixed

    return Sized(
        begin,
        None if _unless_unknown(size) is None else max(0, size - skip),
        fix,
        lambda at: chunks.follows(source, at, b"FORM"),
        WRAP,
        largest=LARGEST,
        clip=False,
        distrusted=counts > 0 and size > skip and not any(head[counts : counts + 4]),
    )


def caf(source: Source, start: int) -> Sized | None:
    """Read the header of a CAF file."""
    chunks = Chunks(">4sq", start + 8, start, 1)
    found = chunks.until(source, b"data")
    if not found:
        return None
    body, size = found[b"data"]
    head, edits = source.at(start, body - 8 - start), source.at(body, 4)

    def follows(at: int) -> int | None:
        after = chunks.follows(source, at, b"caff")
        return chunks.follows(source, at + 1, b"caff") if after is None else after  # a pad byte

    return Sized(
        body + 4,
        None if size < 0 or size >> 62 else max(0, size - 4),
        lambda there: head + struct.pack(">q", there + 4) + edits,
        follows,
        clip=False,
    )
