"""A finished file without what its encoder wrote by the clock or by chance.

Equal samples then make equal bytes, on whatever machine and day, so that files can be compared.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from .chunks import chunks
from .ogg import checksum


def settle(file: BinaryIO) -> None:
    """Rewrite what is not the same in every run, in a whole file that is open to read and write.

    That is the time of writing in the PEAK chunk of WAV and AIFF files of floats, and the serial
    number of an Ogg stream. A serial number must be another one in each link of a chain, so it is
    made of what the pages hold.
    """
    for peaks in [chunk for chunk in chunks(file) if chunk.name == b"PEAK"]:
        file.seek(peaks.at + 4)
        file.write(bytes(4))
    serial = 0
    for _, page in _pages(file):
        serial = zlib.crc32(page[26:], serial)
    for at, page in _pages(file):
        page = page[:14] + struct.pack("<I", serial) + page[18:]
        file.seek(at)
        file.write(page[:22] + checksum(page) + page[26:])


def _pages(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the place and the bytes of each page of an Ogg file; none of another file."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(27 + 255)
        if head[:4] != b"OggS":
            return
        size = 27 + head[26] + sum(head[27 : 27 + head[26]])
        file.seek(at)
        yield at, file.read(size)
        at += size
