"""Formats that write the size of their samples into a header, which may lie.

A recorder that dies leaves the size at 0 or at what it was at some point; a size of 32 bits is
counted modulo 4 GiB. What follows the samples tells whether a size is right: chunks of the format,
another file, or the end. If none of them follows, the samples go on to the end of the file.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .view import CUT, Part, Piece, Source

WRAP = 1 << 32  # a size of 32 bits is counted modulo this
# Bytes of samples in a part, as some sizes are signed: a multiple of the frames of AIFF with up to
# 4 channels, and of the blocks of its codecs.
LARGEST = (1 << 31) // (12 * 33 * 34) * (12 * 33 * 34)
GUID = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"  # end of the names of W64's chunks
W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
# Chunks and tags that follow samples, and may themselves be cut off.
TRAILERS = {b"LIST", b"bext", b"iXML", b"id3 ", b"ID3 ", b"cue ", b"smpl", b"inst", b"JUNK"}
TRAILERS |= {b"junk", b"PAD ", b"fact", b"PEAK", b"_PMX", b"axml", b"chna", b"umid", b"info"}
TRAILERS |= {b"MARK", b"INST", b"COMT", b"NAME", b"AUTH", b"ANNO", b"(c) ", b"APPL", b"free"}
TAGS = (b"TAG", b"ID3", b"APETAGEX")  # as programs for MP3 append them to any file


@dataclass(frozen=True)
class Sized:
    """What a header says about the samples.

    Attributes:
        begin: Offset of the first sample.
        size: Bytes of samples. None: the header does not know.
        fix: Function that returns the header with another size.
        follows: Function that returns where the chunks from an offset on end. None: there are none.
        wrap: The size is counted modulo this. 0: it is not.
        block: Bytes that belong together, as a block of ADPCM. 1: it does not matter.
        largest: Bytes that a part may have. 0: any.
        clip: Whether libsndfile would take what follows for samples.
        tail: Bytes that must follow the samples.
        distrusted: Whether the header must be fixed even if its size is right.
    """

    begin: int
    size: int | None
    fix: Callable[[int], bytes]
    follows: Callable[[int], int | None]
    wrap: int = 0
    block: int = 1
    largest: int = 0
    clip: bool = True
    tail: bytes = b""
    distrusted: bool = False


def parts(source: Source, start: int, sized: Sized) -> tuple[list[Part], int]:
    """Return the parts that hold the samples of one header, and the offset after them."""
    end, after = _end(source, sized)
    there = end - sized.begin
    told = there if sized.size is None else sized.size
    loss, promised = CUT if told > there else "", told / max(there, 1) if told != there else 1.0
    alone = start == 0 and after == source.size and (end == after or not sized.clip)
    if alone and there == sized.size and not sized.distrusted:
        return [Part()], after
    if there != sized.size:  # libsndfile fills up a block that is cut off with noise
        end -= there % sized.block
    most = sized.largest // sized.block * sized.block or max(there, 1)
    made = []
    for at in range(sized.begin, max(end, sized.begin + 1), most):
        stop = min(at + most, end)
        rest: Piece = (end, after) if stop == end and not sized.clip else sized.tail
        made.append(Part((sized.fix(stop - at), (at, stop), rest), loss, promised))
    return made, after


def _end(source: Source, sized: Sized) -> tuple[int, int]:
    """Return where the samples end, and what follows them."""
    if sized.size is not None:
        first = sized.begin + sized.size
        for end in range(first, source.size + 1, sized.wrap or source.size + 1):
            after = sized.follows(end)
            if after is not None and (sized.size or not _zeros(source, end)):
                return end, after
    return source.size, source.size


def _zeros(source: Source, at: int) -> bool:
    """Return whether zeros follow up to the end of the file, at least one."""
    if at >= source.size:
        return False
    size = 1 << 20
    return not any(source.at(i, size).strip(b"\0") for i in range(at, source.size, size))


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
            if begin + struct.calcsize(self.head) > source.size or _zeros(source, begin):
                return source.size
            here, known = source.size, False  # whether what follows can only be chunks
            for name, body, size in self.walk(source, begin):
                here = body - struct.calcsize(self.head)
                if source.at(here, len(magic)) == magic:
                    return here
                if source.at(here, 8).startswith(TAGS):
                    return source.size
                known = known or name in TRAILERS or name.endswith(GUID)
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
    found = chunks.until(source, b"data" + GUID)
    if not found:
        return None
    begin, size = found[b"data" + GUID]
    head = source.at(start, begin - 8 - start)
    sound = next((body for name, (body, _) in found.items() if name.startswith(b"fmt ")), begin)
    return Sized(
        begin,
        None if size >> 62 == 1 else max(0, size),
        lambda there: head + struct.pack("<q", there + 24),
        lambda at: chunks.follows(source, at, W64),
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


def _alone(source: Source, magic: bytes) -> Callable[[int], int | None]:
    """Return `follows` of a format without chunks: only another file can follow."""
    return lambda at: at if at == source.size or source.at(at, len(magic)) == magic else None


def au(source: Source, start: int) -> Sized | None:
    """Read the header of an AU file."""
    magic = source.at(start, 4)
    order = ">" if magic == b".snd" else "<"
    begin, size = struct.unpack(order + "II", source.at(start + 4, 8).ljust(8, b"\0"))
    head = source.at(start, begin)
    if begin < 24 or len(head) < begin:
        return None
    return Sized(
        start + begin,
        None if size == 0xFFFF_FFFF else size,
        lambda there: head[:8] + b"\xff\xff\xff\xff" + head[12:],
        _alone(source, magic),
        WRAP,
        distrusted=size >= 1 << 31,
    )


def avr(source: Source, start: int) -> Sized | None:
    """Read the header of an AVR file."""
    head = source.at(start, 128)
    if len(head) < 128:
        return None
    mono, bits = struct.unpack(">HH", head[12:16])
    count = struct.unpack(">I", head[26:30])[0]
    size = count * (bits // 8) * (2 if mono else 1)
    return Sized(start + 128, size, lambda there: head, _alone(source, b"2BIT"))


def nist(source: Source, start: int) -> Sized | None:
    """Read the header of a NIST SPHERE file."""
    length = source.at(start + 8, 8).strip()
    begin = int(length) if length.isdigit() else 1024
    head = source.at(start, begin)
    told = {k: int(v) for k, v in re.findall(rb"(\w+) -i (\d+)", head)}
    count = told.get(b"sample_count")
    each = told.get(b"sample_n_bytes", 1) * told.get(b"channel_count", 1)
    size = None if count is None else count * each
    return Sized(start + begin, size, lambda there: head, _alone(source, b"NIST_1A"))


def voc(source: Source, start: int) -> Sized | None:
    """Read the header of a VOC file up to its first block of samples."""
    at = start + struct.unpack("<H", source.at(start + 20, 2).ljust(2, b"\0"))[0]
    skips = {1: 2, 9: 12}  # bytes of a block before its samples
    while at + 4 <= source.size:
        kind, size = source.at(at, 1)[0], int.from_bytes(source.at(at + 1, 3), "little")
        if kind in skips:
            break
        if kind == 0:
            return None
        at += 4 + size
    else:
        return None
    skip, begin = skips[kind], at + 4 + skips[kind]
    head = source.at(start, begin - start)
    place = at + 1 - start

    def fix(there: int) -> bytes:
        told = ((there + skip) & 0xFF_FFFF).to_bytes(3, "little")
        return head[:place] + told + head[place + 3 :]

    def follows(here: int) -> int | None:
        while here < source.size:
            block = source.at(here, 4)
            if block[0] == 0:
                return here + 1 if _alone(source, head[:19])(here + 1) is not None else None
            if block[0] > 9:
                return None
            here += 4 + int.from_bytes(block[1:], "little")
        return source.size if here == source.size else None

    # libsndfile takes the last byte for the end mark of blocks of the old kind alone.
    tail = b"\0" if kind == 1 else b""
    return Sized(begin, max(0, size - skip), fix, follows, 1 << 24, tail=tail)


HEADERS: dict[bytes, Callable[[Source, int], Sized | None]] = {
    b"RIFF": riff,
    b"RIFX": riff,
    b"RF64": riff,
    b"BW64": riff,
    W64: w64,
    b"FORM": form,
    b"caff": caf,
    b".snd": au,
    b"dns.": au,
    b"2BIT": avr,
    b"NIST_1A": nist,
    b"Creative Voice File": voc,
}
