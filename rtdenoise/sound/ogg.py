"""Ogg: pages with numbers and checksums, which can be joined to a chain of links."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from .view import CUT, DAMAGED, Part, Source, join


@dataclass
class _Link:
    """The pages of a link of a chain, or of what follows a hole in it.

    Attributes:
        slices: The pages' places in the file, joined where they touch.
        headers: Places of the pages without sound that the link begins with.
        numbers: Number of the last page of each stream.
        ended: Whether each stream has ended.
        loss: As in `Part`.
    """

    slices: list[tuple[int, int]] = field(default_factory=list)
    headers: list[tuple[int, int]] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)
    ended: dict[int, bool] = field(default_factory=dict)
    loss: str = ""
    sounds: bool = False

    def part(self, size: int) -> Part:
        """Return the part that this is of a file of *size* bytes."""
        loss = self.loss or ("" if all(self.ended.values()) else CUT)
        whole = self.slices == [(0, size)]
        return Part(() if whole else tuple(self.slices), loss, None if loss else 1.0)


def ogg(source: Source, start: int) -> Iterator[Part]:
    """Yield the parts of an Ogg file: the links of a chain, divided at holes.

    libsndfile reads the first link alone, and some of its decoders stop at a hole.
    """
    at, link = start, _Link()
    while at < source.size:
        head = source.at(at, 27 + 255)
        if head[:4] != b"OggS" or len(head) < 27:
            at = source.find([b"OggS"], at + 1)
            continue
        size = 27 + head[26] + sum(head[27 : 27 + head[26]])
        if at + size > source.size:
            link.loss = link.loss or CUT
            break
        page = source.at(at, size)
        at += size
        if not _page_is_whole(page):
            continue  # the next one's number tells
        flags, granule, serial, number = struct.unpack("<xBqII", page[4:22])
        if flags & 2 and max(link.numbers.values(), default=0) > 0:
            yield link.part(source.size)
            link = _Link()
        elif link.numbers.get(serial, number - 1) != number - 1:
            if link.sounds:
                yield Part(tuple(link.slices), DAMAGED, None)
            loss = "" if link.sounds else DAMAGED
            link = _Link([*link.headers], link.headers, link.numbers, link.ended, loss)
        link.numbers[serial], link.ended[serial] = number, bool(flags & 4)
        link.sounds = link.sounds or granule > 0
        join(link.slices, at - size, at)
        if not link.sounds:
            join(link.headers, at - size, at)
    yield link.part(source.size)


REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))  # bits the other way round


def _page_is_whole(page: bytes) -> bool:
    """Return whether the checksum of an Ogg page is right."""
    return checksum(page) == page[22:26]


def checksum(page: bytes) -> bytes:
    """Return the checksum of an Ogg page, as the page holds it.

    zlib's checksum has the same polynomial, but counts the bits of a byte, and of the result, the
    other way round, and inverts the result before and after.
    """
    blank = page[:22] + bytes(4) + page[26:]
    crc = zlib.crc32(blank.translate(REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return crc.to_bytes(4, "big").translate(REVERSED)
