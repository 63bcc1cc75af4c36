"""FLAC: frames with checksums, behind a count of samples that may lie or be missing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from .view import CUT, Part, Source

STARTS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")  # with the first block's head
NEAR_END = 1 << 18  # bytes in which the last frames of a stream are, at least
FAR = 1 << 22  # and at most, as the size of the largest frame may lie
FRAMES_TRIED = 12  # starts of frames that are tried before the end of a stream


def flac(source: Source, start: int) -> Iterator[Part]:
    """Yield the parts of a FLAC file: the streams that were joined."""
    while start < source.size:
        stop = source.find(STARTS, start + 8)
        yield _flac(source, start, stop)
        start = stop


def _flac(source: Source, start: int, stop: int) -> Part:
    """Return the part of a FLAC stream."""
    frames, last = start + 4, False
    while not last and frames + 4 < stop:
        head = source.at(frames, 4)
        last, frames = bool(head[0] & 0x80), frames + 4 + int.from_bytes(head[1:], "big")
    info = source.at(start + 8, 34)
    told = int.from_bytes(info[13:18], "big") & 0xF_FFFF_FFFF
    as_it_is = Part(() if start == 0 and stop == source.size else ((start, stop),))
    if frames >= stop or len(info) < 34:
        return as_it_is
    found = _last_frame(source, frames, stop, info)
    if found is None:
        return as_it_is
    count, end = found
    rest = source.at(end, 16) if end < stop else b""
    if told == count or (_is_frame(rest) and told == _samples(rest, info)):
        return as_it_is  # only tags follow, or a last frame that libFLAC finds whole or not
    loss = CUT if told > count or _is_frame(rest) else ""
    field_ = (int.from_bytes(info[13:18], "big") >> 36 << 36 | count).to_bytes(5, "big")
    pieces = ((start, start + 21), field_, (start + 26, end))
    return Part(pieces, loss, told / count if told and count else None if loss else 1.0)


def _last_frame(source: Source, frames: int, stop: int, info: bytes) -> tuple[int, int] | None:
    """Return the samples up to the last whole frame, and where it ends. None: none is found."""
    largest = int.from_bytes(info[7:10], "big")
    begin = max(frames, stop - min(max(3 * largest, NEAR_END), FAR))
    data = source.at(begin, stop - begin)
    starts = [i for i in _syncs(data) if _is_frame(data[i : i + 16])][:FRAMES_TRIED]
    for number, end in enumerate([len(data), *starts]):
        for at in starts[number:]:
            if at < end and _crc(data[at:end], 0x8005, 16) == 0:
                return _samples(data[at : at + 16], info), begin + end
    return None


def _syncs(data: bytes) -> Iterator[int]:
    """Yield the places of all sync codes, the last first."""
    at = len(data)
    while (at := data.rfind(b"\xff", 0, at)) >= 0:
        if data[at + 1 : at + 2] in (b"\xf8", b"\xf9"):
            yield at


def _frame_head(head: bytes) -> tuple[int, int, int]:
    """Return number, block size and length of the header of a FLAC frame, all 0 for none."""
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8 or head[3] & 1:
        return 0, 0, 0
    first, code, rate = head[4], head[2] >> 4, head[2] & 15
    more = 0 if first < 0x80 else next((n for n in range(1, 7) if not first << n & 0x40), 7)
    if more == 7 or (first & 0xC0) == 0x80 or code == 0 or rate == 15:
        return 0, 0, 0
    number = first if more == 0 else first & (0x3F >> more)
    for byte in head[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    at = 5 + more
    wide = {6: 1, 7: 2}.get(code, 0)
    block = int.from_bytes(head[at : at + wide], "big") + 1
    if not wide:
        block = 192 if code == 1 else 576 << code - 2 if code < 6 else 256 << code - 8
    return number, block, at + wide + {12: 1, 13: 2, 14: 2}.get(rate, 0)


def _is_frame(head: bytes) -> bool:
    """Return whether bytes begin with the header of a FLAC frame, by its checksum."""
    _, _, length = _frame_head(head)
    return 0 < length < len(head) and _crc(head[: length + 1], 0x07, 8) == 0


def _samples(head: bytes, info: bytes) -> int:
    """Return the samples of a FLAC stream up to the end of the frame with this header."""
    number, block, _ = _frame_head(head)
    if head[1] & 1:  # blocks vary, and frames are numbered by their first sample
        return number + block
    return number * int.from_bytes(info[2:4], "big") + block


@lru_cache
def _table(polynomial: int, bits: int) -> tuple[int, ...]:
    """Return the checksums of all single bytes."""
    top, mask, table = 1 << bits - 1, (1 << bits) - 1, []
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & mask
        table.append(value)
    return tuple(table)


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    """Return the checksum of *data*, most significant bit first; 0 if it ends with its own."""
    table, mask, crc = _table(polynomial, bits), (1 << bits) - 1, 0
    for byte in data:
        crc = (crc << 8 & mask) ^ table[(crc >> bits - 8) ^ byte]
    return crc
