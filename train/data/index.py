"""The index of a cache: a row for each recording, in columns that all processes map and share.

    CACHE/index.json                names the folder of the columns; it is replaced in one step
    CACHE/index-0123456789abcdef/   header.json, and a file of plain numbers for each column

A column of text holds a number for each row. The different texts are stored once, in the order of
their keys (8 bytes of BLAKE2b), so that a text is found by bisection. Nothing here is a Python
object for each recording: with ten million of them these would fill the memory of every process.
indexer.py writes such folders.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path, PureWindowsPath
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError
from .layouts import KINDS, SPLITS

INDEX = "index.json"
DEGRADED = ".degraded.i16"  # suffix, after the kind, of the file with the degraded twins
HEADER = "header.json"
ROOMS = "rir"  # kind of the measured rooms
ALL_KINDS = (*KINDS, ROOMS)  # the column "kind" holds places in this,
ALL_SPLITS = ("", *SPLITS)  # and the column "split" places in this
NUMBERS = {
    "start": "<i8", "stop": "<i8", "bandwidth_hz": "<f8", "digest": "<u4", "paired": "?",
    "kind": "u1", "split": "u1",
}  # fmt: skip
TEXTS = ("source", "origin", "licence", "part")
TEXT = {"codes": "<u4", "keys": "<u8", "at": "<i8", "text": "u1", "places": "<u2"}
PLACES = 10_000  # places of a source, by which a split is made
PIECE = 1 << 20  # bytes or rows that are looked at together
BLOCKS, BLOCK = 64, 4096  # blocks of each file that are part of a cache's digest, and their bytes

Column = NDArray[Any]


class Digest(Protocol):
    """A digest of hashlib."""

    def update(self, data: bytes, /) -> object:
        """Take more bytes."""


@dataclass(frozen=True)
class Recording:
    """A recording in the cache: samples start..stop of the file of its kind.

    Attributes:
        kind: Kind of sound: speech, noise or music; rir for a measured room.
        source: Speaker, performance or place.
        origin: Name of the data set.
        licence: Licence of the recording.
        start: Index of the first sample.
        stop: Index after the last sample.
        bandwidth_hz: Highest frequency in it.
        split: train, dev or test where the data set defines it; empty: by hash of the source.
        paired: Whether the cache also holds a degraded twin.
        digest: CRC-32 of the samples, which finds one recording under two names; 0 if absent.
        part: Folder below the cache with the file that holds its samples; empty: the cache itself.
    """

    kind: str
    source: str
    origin: str
    licence: str
    start: int
    stop: int
    bandwidth_hz: float
    split: str = ""
    paired: bool = False
    digest: int = 0
    part: str = ""

    def check(self) -> None:
        """Check that the values make sense, whatever an index says.

        Raises:
            ValueError: a value makes no sense.
        """
        for name, right in (
            ("kind", self.kind in ALL_KINDS),
            ("split", self.split in ALL_SPLITS),
            ("start", type(self.start) is int and self.start >= 0),
            ("stop", type(self.stop) is int and self.start < self.stop < 1 << 63),
            ("bandwidth_hz", self.bandwidth_hz > 0),
            ("digest", type(self.digest) is int and 0 <= self.digest < 1 << 32),
            ("part", not self.part or _is_below(self.part)),
            *((name, type(getattr(self, name)) is str) for name in TEXTS),
        ):
            if not right:
                raise ValueError(f"{self.source}: {name} = {getattr(self, name)!r}")


@lru_cache
def _is_below(part: str) -> bool:
    """Whether a folder is named that lies below the cache, whoever wrote its name."""
    path = PureWindowsPath(part)  # it knows every way to leave a folder
    inside = not path.anchor and ".." not in path.parts and "\0" not in part
    return inside and path.as_posix() == part != "."


def encoded(text: str) -> bytes:
    """Return the bytes of a text; a name that is no UTF-8 on the disk is one, too."""
    return text.encode("utf-8", "surrogatepass")


def key_of(text: str) -> int:
    """Return the key of a text: 8 bytes of its digest, so that equal keys mean equal texts."""
    return int.from_bytes(blake2b(encoded(text), digest_size=8).digest(), "little")


def place_of(source: str) -> int:
    """Return the place of a source, 0..PLACES - 1, which depends on its name alone."""
    return zlib.crc32(encoded(source)) % PLACES


@dataclass(frozen=True)
class Texts:
    """A column of text.

    Attributes:
        codes: Number of the text of each row, (rows,).
        keys: Keys of the different texts in ascending order, (texts,).
        at: First byte of each text, and the end of the last, (texts + 1,).
        text: UTF-8 of all texts, (bytes,).
        places: Place of each text by its check sum, (texts,); see `place_of`.
    """

    codes: Column
    keys: Column
    at: Column
    text: Column
    places: Column

    def __len__(self) -> int:
        """Number of different texts."""
        return len(self.keys)

    def name(self, code: int) -> str:
        """Return the text of a number."""
        return (
            self.text[self.at[code] : self.at[code + 1]].tobytes().decode("utf-8", "surrogatepass")
        )

    def of(self, row: int) -> str:
        """Return the text of a row."""
        return self.name(int(self.codes[row]))

    def code(self, text: str) -> int:
        """Return the number of a text; -1 if no row has it."""
        key = np.uint64(key_of(text))
        code = int(np.searchsorted(self.keys, key))
        return code if code < len(self.keys) and self.keys[code] == key else -1

    def among(self, names: Collection[str]) -> NDArray[np.bool_]:
        """Return which of the texts are among *names*, (texts,)."""
        found = np.zeros(len(self), bool)
        codes = np.array([self.code(name) for name in names], int)
        found[codes[codes >= 0]] = True
        return found


@dataclass(frozen=True)
class Index:
    """The index of a cache, mapped from the disk.

    Attributes:
        rate_hz: Sample rate of the cache.
        rows: Number of recordings, rooms included.
        digest: Digest of the cache when its index was written.
        files_digest: What this says of the files alone; see `tell_files`.
        sizes: Bytes that each file has to have at least, by name.
        column: Columns by name: `NUMBERS`; `by_source`, the rows in the order of their sources, and
            the `first` of each source in it, (sources + 1,); `copies`, the rows whose check sum and
            length are also those of others, in the order of these.
        texts: Columns of text by name: `TEXTS`.
    """

    rate_hz: int
    rows: int
    digest: str
    files_digest: str
    sizes: dict[str, int]
    column: dict[str, Column]
    texts: dict[str, Texts]

    def recording(self, row: int) -> Recording:
        """Return the recording of a row."""
        values: dict[str, Any] = {name: self.column[name][row].item() for name in NUMBERS}
        values["kind"], values["split"] = ALL_KINDS[values["kind"]], ALL_SPLITS[values["split"]]
        return Recording(**values | {name: self.texts[name].of(row) for name in TEXTS})

    def rows_of(self, source: str) -> Column:
        """Return the rows of a source, in ascending order."""
        code = self.texts["source"].code(source)
        if code < 0:
            return self.column["by_source"][:0]
        first = self.column["first"]
        return self.column["by_source"][first[code] : first[code + 1]]

    def pieces(self) -> Iterator[slice]:
        """Yield slices of rows that together are all, so that no column is in memory as a whole."""
        for at in range(0, self.rows, PIECE):
            yield slice(at, min(at + PIECE, self.rows))


def files_of(recording: Recording) -> list[str]:
    """Return the names of the files with the samples of a recording."""
    name = f"{recording.part}/{recording.kind}" if recording.part else recording.kind
    return [f"{name}.i16", f"{name}{DEGRADED}"][: 1 + bool(recording.paired)]


def link_files(cache: Path, out: Path, recordings: Iterable[Recording]) -> None:
    """Link the files that *recordings* of *cache* are in into the folder *out*."""
    for name in {file for recording in recordings for file in files_of(recording)}:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).symlink_to((cache / name).resolve())


def tell_files(cache: Path, sizes: dict[str, int], *digests: Digest) -> None:
    """Tell digests the sizes of files and some blocks of each.

    The index has a check sum of every recording, so nothing has to read 100 GB at every start.
    """
    for name, size in sorted(sizes.items()):
        pieces = [f"{name} {size}".encode()]
        if (cache / name).is_file():
            with (cache / name).open("rb") as file:
                for block in range(BLOCKS):
                    file.seek(max(0, size - BLOCK) * block // (BLOCKS - 1))
                    pieces.append(file.read(BLOCK))
        for digest in digests:
            digest.update(b"".join(pieces))


def mapped(folder: Path) -> Index:
    """Map the columns in a folder, after all their sizes and check sums were compared.

    Raises:
        ArgumentError: a file is missing, cut or damaged; the message names it.
    """
    try:
        header = json.loads((folder / HEADER).read_text())
        read = {
            name: _column(folder / name, str(kind), int(count), int(check_sum))
            for name, (kind, count, check_sum) in header.pop("columns").items()
        }
        texts = {
            name: Texts(**{piece: read.pop(f"{name}.{piece}") for piece in TEXT}) for name in TEXTS
        }
        return Index(**header, column=read, texts=texts)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArgumentError(
            f"{folder / HEADER} is damaged ({type(error).__name__}: {error}); make the cache again",
            "cache",
        ) from None


def _column(path: Path, kind: str, count: int, check_sum: int) -> Column:
    """Map a column, after its size and check sum were compared.

    The file is read, rather than mapped, for its check sum: what a process has touched of a mapped
    file counts as its memory.
    """
    wanted, there = count * np.dtype(kind).itemsize, path.stat().st_size if path.is_file() else -1
    found = 0
    if there == wanted:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                found = zlib.crc32(piece, found)
    if there != wanted or found != check_sum:
        what = "missing" if there < 0 else "cut" if there < wanted else "damaged"
        raise ArgumentError(
            f"{path} is {what}: it has {max(there, 0)} bytes of {wanted}, check sum {found:08x} "
            f"instead of {check_sum:08x}; make the cache again",
            "cache",
        )
    return np.asarray(np.memmap(path, kind, "r")) if count else np.zeros(0, kind)
