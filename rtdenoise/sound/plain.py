"""Formats with a header and then samples: AU, AVR, NIST SPHERE, VOC, and those of old devices."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from .sized import WRAP, Sized
from .view import Source


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


def wve(source: Source, start: int) -> Sized | None:
    """Read the header of a Psion WVE file."""
    head = source.at(start, 32)
    size = int.from_bytes(head[18:22], "big")
    return Sized(start + 32, size, lambda there: head, _alone(source, head[:16]))


def mpc2k(source: Source, start: int) -> Sized | None:
    """Read the header of an Akai MPC 2000 file, whose count of samples stands last of three."""
    head = source.at(start, 42)
    if len(head) < 42:
        return None
    size = 2 * (1 + head[21]) * int.from_bytes(head[30:34], "little")
    return Sized(start + 42, size, lambda there: head, _alone(source, head[:19]))


def sds(source: Source, start: int) -> Sized | None:
    """Read the header of a MIDI sample dump, whose packets of 127 bytes hold 120 of samples."""
    head = source.at(start, 21)
    if len(head) < 21 or head[3] != 1 or head[6] < 8:
        return None
    each = 120 // -(-head[6] // 7)  # samples in a packet: bytes have 7 bits
    count = head[10] | head[11] << 7 | head[12] << 14

    def fix(there: int) -> bytes:
        true = min(count, there // 127 * each) if there < -(-count // each) * 127 else count
        return head[:10] + bytes((true & 127, true >> 7 & 127, true >> 14)) + head[13:]

    follows = _alone(source, head[:4])
    return Sized(start + 21, -(-count // each) * 127, fix, follows, block=127)
