"""Writing of an index, row by row in bounded memory, and reading of one, also of an older cache.

Caches from before November 2026 list their recordings in index.json itself. Such an index is
converted once, into a folder beside it, and stays as it is.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import zlib
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b, file_digest
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ArgumentError
from .index import (
    ALL_KINDS,
    ALL_SPLITS,
    HEADER,
    INDEX,
    NUMBERS,
    PIECE,
    ROOMS,
    TEXT,
    TEXTS,
    Column,
    Digest,
    Index,
    Recording,
    encoded,
    files_of,
    key_of,
    mapped,
    place_of,
    tell_files,
)

FOLDER = re.compile(r"index-[0-9a-f]{16}")  # a folder of columns
BATCH = 1 << 16  # recordings that are Python objects at a time
LONGEST = 4096  # bytes of an index.json that may be more than the list of an older cache
KNOWN = 1 << 20  # different texts of a column that are remembered at a time


def write_index(cache: Path, rate_hz: int, recordings: Iterable[Recording]) -> None:
    """Write the index of a cache; a reader finds the one before or this one, and no half of it.

    The recordings are taken one by one, and are in no list. The files with their samples have to be
    there, because the digest of the cache is about them, too.

    Args:
        cache: Folder of the cache, with the samples in PART/KIND.i16 below it.
        rate_hz: Sample rate of the cache.
        recordings: All recordings and measured rooms, in the order of the index.

    Raises:
        ValueError: a recording makes no sense.
        OSError: the index cannot be written.
    """
    with _fresh(cache) as new:
        folder = cache / f"index-{_write(new, cache, rate_hz, recordings)[:16]}"
        if not _found(folder):
            shutil.rmtree(folder, ignore_errors=True)
            new.rename(folder)
    part = cache / (INDEX + ".part")
    part.write_text(json.dumps({"columns": folder.name}))
    part.replace(cache / INDEX)
    for path in cache.glob("index[-.]*"):
        if path.is_dir() and path != folder:
            shutil.rmtree(path, ignore_errors=True)


def open_index(cache: Path) -> Index:
    """Map the index of a cache.

    Raises:
        ArgumentError: the folder is no cache, or its index is damaged; the message names the file.
    """
    path = cache / INDEX
    if not path.is_file():
        raise ArgumentError(f"there is no cache in {cache}", "cache")
    try:
        if path.stat().st_size > LONGEST or "columns" not in (head := json.loads(path.read_text())):
            return _older(cache)
        if not FOLDER.fullmatch(head["columns"]):
            raise ValueError(f"columns = {head['columns']!r}")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArgumentError(
            f"{path} is damaged ({type(error).__name__}: {error}); make the cache again", "cache"
        ) from None
    return mapped(cache / head["columns"])


def _older(cache: Path) -> Index:
    """Map the index of an older cache, which is converted if it was not yet.

    The folder carries the digest of index.json, so another index.json is converted again. If the
    cache cannot be written to, this process alone has the columns, in files without a name.

    Raises:
        ValueError: index.json makes no sense.
    """
    with (cache / INDEX).open("rb") as file:
        digest = file_digest(file, lambda: blake2b(digest_size=8)).hexdigest()
    folder = cache / f"index-{digest}"
    if there := _found(folder):
        return there
    index: Any = json.loads((cache / INDEX).read_text())
    rate_hz, rows = index["rate_hz"], (*index["recordings"], *index.get("rooms", []))
    if not isinstance(rate_hz, int) or rate_hz <= 0:
        raise ValueError(f"rate_hz = {rate_hz!r}")
    try:
        with _fresh(cache) as new:
            _write(new, cache, rate_hz, (Recording(**row) for row in rows))
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # another process was faster
                new.rename(folder)
            return mapped(folder)
    except OSError:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as own:
            _write(Path(own), cache, rate_hz, (Recording(**row) for row in rows))
            return mapped(Path(own))


@contextmanager
def _fresh(cache: Path) -> Iterator[Path]:
    """Make a folder for new columns; it is removed unless it was renamed."""
    new = cache / f"index.{token_hex(4)}.part"
    new.mkdir()
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _found(folder: Path) -> Index | None:
    """Map the columns in a folder, if it has them all and undamaged."""
    try:
        return mapped(folder)
    except (OSError, ArgumentError):
        return None


def _write(folder: Path, cache: Path, rate_hz: int, recordings: Iterable[Recording]) -> str:
    """Write all columns and the header; returns the digest of the cache."""
    sizes: dict[str, int] = {}
    left, listed = iter(recordings), _List(rate_hz)
    with _Files(folder) as out:
        numbers = {name: out.make(name, kind) for name, kind in NUMBERS.items()}
        texts = {name: _TextWriter(out, name) for name in TEXTS}
        while batch := list(islice(left, BATCH)):
            for r in batch:
                r.check()
                for name in files_of(r):
                    sizes[name] = max(sizes.get(name, 0), 2 * r.stop)
            listed.add(batch)
            for name, file in numbers.items():
                file.add([_number(r, name) for r in batch])
            for name, text in texts.items():
                text.add([getattr(r, name) for r in batch])
        for text in texts.values():
            text.finish()
        _write_orders(out)
        files = blake2b(digest_size=16)
        digest = listed.digest(cache, sizes, files)
        columns = {name: [file.kind, file.count, file.sum] for name, file in out.files.items()}
    header = {"rate_hz": rate_hz, "rows": out.files["start"].count, "digest": digest}
    header |= {"files_digest": files.hexdigest(), "sizes": sizes, "columns": columns}
    (folder / HEADER).write_text(json.dumps(header))
    return digest


def _number(recording: Recording, name: str) -> Any:
    """Return the number that stands for a value of a recording."""
    value = getattr(recording, name)
    places = {"kind": ALL_KINDS, "split": ALL_SPLITS}.get(name)
    return places.index(value) if places else value


class _List:
    """The digest of a cache as earlier versions have it, so that a run that continues knows it.

    It is that of rate, recordings and rooms as JSON, then of sizes and blocks of the files.
    """

    def __init__(self, rate_hz: int) -> None:
        self.told = blake2b(f"[{rate_hz}, [[".encode(), digest_size=16)
        self.rooms: list[str] = []
        self.between = ""

    def add(self, batch: list[Recording]) -> None:
        """Add some recordings; rooms come last, and are few."""
        lines: list[str] = []
        for r in batch:
            values = {name: value for name, value in vars(r).items() if value or name != "part"}
            (self.rooms if r.kind == ROOMS else lines).append(json.dumps(values, sort_keys=True))
        if lines:
            self.told.update((self.between + ", ".join(lines)).encode())
            self.between = ", "

    def digest(self, cache: Path, sizes: dict[str, int], files: Digest) -> str:
        """Return the digest; *files* gets what it says of the files alone."""
        self.told.update(f"], [{', '.join(self.rooms)}]]]".encode())
        tell_files(cache, sizes, self.told, files)
        return self.told.hexdigest()


class _File:
    """A column that is being written: its file, the number of its values and their check sum."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path, self.kind, self.count, self.sum = path, kind, 0, 0
        self.file = path.open("wb")

    def add(self, values: ArrayLike) -> None:
        """Add values."""
        data = np.ascontiguousarray(values, self.kind)
        self.file.write(data.tobytes())
        self.count, self.sum = self.count + data.size, zlib.crc32(data.tobytes(), self.sum)

    def read(self) -> Column:
        """Map all values so far."""
        self.file.flush()
        return np.memmap(self.path, self.kind, "r") if self.count else np.zeros(0, self.kind)


class _Files:
    """The columns in a folder that are being written, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files = folder, dict[str, _File]()

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self.files.values():
            file.file.close()

    def make(self, name: str, kind: str) -> _File:
        """Begin a column."""
        self.files[name] = _File(self.folder / name, kind)
        return self.files[name]

    def drop(self, name: str) -> None:
        """Remove a column that was needed only for others."""
        file = self.files.pop(name)
        file.file.close()
        file.path.unlink()


class _TextWriter:
    """A column of text that is being written.

    Each row's key is written as it comes, and each text where it was not seen lately. At the end
    the keys are sorted, and each row gets the place of its own.
    """

    def __init__(self, files: _Files, name: str) -> None:
        self.files, self.name = files, name
        self.rows, self.raw = files.make(f"{name}.rows", "<u8"), files.make(f"{name}.raw", "u1")
        self.known: dict[str, int] = {}
        self.keys, self.ends, self.places = array("Q"), array("q", [0]), array("H")

    def add(self, texts: list[str]) -> None:
        """Add the texts of some rows."""
        if len(self.known) > KNOWN:
            self.known.clear()
        fresh = list(set(texts) - self.known.keys())
        raw = [encoded(text) for text in fresh]
        for text, own in zip(fresh, raw, strict=True):
            self.known[text] = key_of(text)
            self.keys.append(self.known[text])
            self.places.append(place_of(text))
            self.ends.append(self.ends[-1] + len(own))
        self.raw.add(np.frombuffer(b"".join(raw), "u1"))
        self.rows.add([self.known[text] for text in texts])

    def finish(self) -> None:
        """Write the columns that stay."""
        keys, first = np.unique(np.frombuffer(self.keys, "u8"), return_index=True)
        ends = np.frombuffer(self.ends, "i8")
        starts, ends = ends[first], ends[first + 1]
        out = {what: self.files.make(f"{self.name}.{what}", kind) for what, kind in TEXT.items()}
        out["keys"].add(keys)
        out["places"].add(np.frombuffer(self.places, "u2")[first])
        out["at"].add(np.append(0, np.cumsum(ends - starts)))
        raw, rows = self.raw.read(), self.rows.read()
        for at in range(0, len(keys), BATCH):
            spans = zip(
                starts[at : at + BATCH].tolist(), ends[at : at + BATCH].tolist(), strict=True
            )
            own = b"".join(raw[start:end].tobytes() for start, end in spans)
            out["text"].add(np.frombuffer(own, "u1"))
        for at in range(0, len(rows), PIECE):
            out["codes"].add(np.searchsorted(keys, rows[at : at + PIECE]))
        self.files.drop(f"{self.name}.rows")
        self.files.drop(f"{self.name}.raw")


def _write_orders(out: _Files) -> None:
    """Write the rows in the order of their sources, and those that may be copies of others."""
    source, sources = out.files["source.codes"].read(), out.files["source.keys"].count
    out.make("by_source", "<u4").add(np.argsort(source, kind="stable"))
    rows_of = np.bincount(source, minlength=sources)
    out.make("first", "<i8").add(np.append(0, np.cumsum(rows_of)))
    start, stop, digest = (out.files[name].read() for name in ("start", "stop", "digest"))
    told = np.flatnonzero(digest)
    length, digest = (stop - start)[told], digest[told]
    order = np.lexsort((length, digest))
    length, digest = length[order], digest[order]
    alike = (length[1:] == length[:-1]) & (digest[1:] == digest[:-1])
    copies = np.append(alike, False) | np.append(False, alike)
    out.make("copies", "<u4").add(told[order][copies[: len(told)]])
