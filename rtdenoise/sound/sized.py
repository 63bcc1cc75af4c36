"""Formats that write the size of their samples into a header, which may lie.

A recorder that dies leaves the size at 0 or at what it was at some point; a size of 32 bits is
counted modulo 4 GiB. What follows the samples tells whether a size is right: chunks of the format,
another file, or the end. If none of them follows, the samples go on to the end of the file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .view import CUT, Part, Piece, Source

WRAP = 1 << 32  # a size of 32 bits is counted modulo this
# Bytes of samples in a part, as some sizes are signed: a multiple of the frames of AIFF with up to
# 4 channels, and of the blocks of its codecs.
LARGEST = (1 << 31) // (12 * 33 * 34) * (12 * 33 * 34)


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
            if after is not None and (sized.size or not only_zeros(source, end)):
                return end, after
    return source.size, source.size


def only_zeros(source: Source, at: int) -> bool:
    """Return whether zeros follow up to the end of the file, at least one."""
    if at >= source.size:
        return False
    size = 1 << 20
    return not any(source.at(i, size).strip(b"\0") for i in range(at, source.size, size))
