"""Windows on a sound file: what libsndfile is to see of it, if its own header lies."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import IO

Piece = bytes | tuple[int, int]  # bytes that replace others, or (start, stop) in the file
CUT = "is cut off"
DAMAGED = "is damaged"


@dataclass(frozen=True)
class Part:
    """A recording in a file: a file that was joined of several has a part for each.

    Attributes:
        pieces: What libsndfile is to read, in order. Empty: the file as it is.
        loss: What is known to be lost, `CUT` or `DAMAGED`. Empty: nothing.
        promised: Promised length over what is there; less than 1 if the header promises too
            little, which is no loss. None: the file does not say.
    """

    pieces: tuple[Piece, ...] = ()
    loss: str = ""
    promised: float | None = 1.0


class Source:
    """The bytes of an open file, by offset.

    Args:
        file: The file, which must be able to seek.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.size = file.seek(0, 2)

    def at(self, offset: int, count: int) -> bytes:
        """Return *count* bytes from *offset*, or fewer at the end of the file."""
        self.file.seek(offset)
        return self.file.read(count)

    def find(self, texts: Sequence[bytes], start: int, stop: int | None = None) -> int:
        """Return the offset of the first of *texts* from *start* on, or the end of the file."""
        longest, size = max(map(len, texts)), 1 << 20
        stop = self.size if stop is None else stop
        for at in range(start, stop, size):
            data = self.at(at, min(size + longest - 1, stop - at))
            if found := [i for i in map(data.find, texts) if i >= 0]:
                return at + min(found)
        return stop


class View:
    """A file of its own, put together from pieces of another, as soundfile needs it.

    Args:
        source: The file.
        pieces: Its pieces, in order.
    """

    def __init__(self, source: Source, pieces: Sequence[Piece]) -> None:
        self._source, self._pieces, self._at = source, pieces, 0
        sizes = [len(p) if isinstance(p, bytes) else p[1] - p[0] for p in pieces]
        self._starts = list(accumulate(sizes, initial=0))

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to *offset* from the start, the position or the end; return the position."""
        self._at = max(0, offset + (0, self._at, self._starts[-1])[whence])
        return self._at

    def read(self, count: int = -1) -> bytes:
        """Return the next *count* bytes, or fewer at the end."""
        stop = self._starts[-1] if count < 0 else min(self._at + count, self._starts[-1])
        parts = []
        while self._at < stop:
            number = bisect_right(self._starts, self._at) - 1
            piece, inside = self._pieces[number], self._at - self._starts[number]
            wanted = min(stop, self._starts[number + 1]) - self._at
            if isinstance(piece, bytes):
                data = piece[inside : inside + wanted]
            else:
                data = self._source.at(piece[0] + inside, wanted)
            if not data:  # the file has become shorter
                break
            parts.append(data)
            self._at += len(data)
        return b"".join(parts)


def join(slices: list[tuple[int, int]], begin: int, end: int) -> None:
    """Append a slice of the file, joined to the last one if they touch."""
    if slices and slices[-1][1] == begin:
        slices[-1] = slices[-1][0], end
    else:
        slices.append((begin, end))
