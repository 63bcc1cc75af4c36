"""What a cache knows of the files it was made from: prepared.jsonl, a line for each of them.

The first line is a header with the rate and the folders of the data sets, in the order in which
they joined. A line has the place of its file: number of the data set, number in that. The index
follows the places, so its order does not depend on which worker was faster. A file is found by its
name if size and time are as they were, and otherwise by its bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

from rtdenoise.errors import UsageError

from ..lines import Line, read_lines, write_lines
from .decode import CLIPPED, UNREADABLE
from .identity import Identity, array_row, size_of, stamp
from .index import INDEX
from .layouts import Entry
from .part import DONE, PARTS, describe, holds

Identify = Callable[[list[Entry]], Iterable[tuple[Entry, Identity]]]
STATS = 16  # files whose size and time are asked for at a time: a file system on a network is slow


class Record:
    """The lines of a cache, and which of them are the files of a data set.

    Args:
        cache: Folder of the cache.
        rate_hz: Sample rate of the cache.
        folder: Root of a data set, which joins the cache if it is new.

    Attributes:
        lines: The lines by the path of their file.
        before: All lines with samples that the index on the disk may list.
        number: Number of the data set.

    Raises:
        UsageError: the cache is of another rate, or was made by another program.
        AudioError: prepared.jsonl cannot be written.
    """

    def __init__(self, cache: Path, rate_hz: int, folder: Path) -> None:
        self.cache, self.rate_hz = cache, rate_hz
        found = read_lines(cache / DONE)
        header = next(found, None)
        if header is None:
            if (cache / INDEX).exists():
                raise UsageError(f"{cache} is a finished cache; take another folder, or delete it")
            header = {"rate_hz": rate_hz, "folders": []}
        if header.get("rate_hz") != rate_hz:
            raise UsageError(
                f"{cache} was begun at {header.get('rate_hz')} Hz, not {rate_hz}; take another "
                "folder"
            )
        if "folder" in header:  # from before November 2026: paths as they were typed
            old = Path(header["folder"])
            base = old.absolute() if old.is_dir() else folder
            found = _located(found, old, base)
            header = {"rate_hz": rate_hz, "folders": [str(base)]}
        self.folders: list[str] = header["folders"]
        if str(folder) not in self.folders:
            self.folders.append(str(folder))
        self.number = self.folders.index(str(folder))
        parts = sorted((cache / PARTS).glob(f"*/{DONE}"))  # of a run that was killed
        self.before = list(holds(cache, chain(found, *map(read_lines, parts))))
        self.lines = {line["path"]: line for line in self.before}
        self.write()

    def write(self) -> None:
        """Write all lines, in order; those of the parts are among them from then on."""
        write_lines(
            self.cache / DONE,
            chain([{"rate_hz": self.rate_hz, "folders": self.folders}], self.ordered()),
        )
        for path in (self.cache / PARTS).glob(f"*/{DONE}"):
            path.unlink()

    def ordered(self) -> list[Line]:
        """Return all lines by their places."""
        return sorted(self.lines.values(), key=lambda line: (line["place"], line["path"]))

    def absorb(self, part: str) -> list[Line]:
        """Take the lines of a part that a worker fills; returns those that are new."""
        lines = list(holds(self.cache, read_lines(self.cache / part / DONE)))
        new = [line for line in lines if self.lines.get(line["path"]) != line]
        self.lines |= {line["path"]: line for line in new}
        return new

    def free_part(self) -> int:
        """Return the first number that no part has."""
        names = (path.name for path in (self.cache / PARTS).glob("*"))
        return 1 + max((int(name) for name in names if name.isdigit()), default=0)

    def match(
        self, entries: list[Entry], identify: Identify, skip_clipped: bool = False
    ) -> list[tuple[int, Entry]]:
        """Find the lines of *entries*, and describe them anew.

        Args:
            entries: The recordings of the data set.
            identify: Function that reads files.
            skip_clipped: Whether clipped recordings are of no use.

        Returns:
            The entries that have to be decoded, each after its number.
        """
        sizes = {size_of(line.get("stamp", [])) for line in self.lines.values()}
        todo, unsure = dict[str, tuple[int, Entry]](), dict[str, int]()
        with ThreadPoolExecutor(STATS) as pool:
            stamps = pool.map(stamp, entries, chunksize=STATS)
        for number, (entry, now) in enumerate(zip(entries, stamps, strict=True)):
            line = self.lines.get(entry.path)
            if line and now and line.get("stamp") == now and _serves(line, entry, skip_clipped):
                self._take(line, entry, number)
                continue
            todo[entry.path] = (number, entry)
            if size_of(now) in sizes or (line and "stamp" not in line):
                unsure[entry.path] = number
        digests = {
            (line["digest"], line["kind"]): line for line in self.ordered() if line.get("digest")
        }
        for entry, own in identify([todo[path][1] for path in unsure]):
            line = self.lines.get(entry.path)
            if line is None or "stamp" in line:
                line = digests.get((own.digest, entry.kind)) if own.digest else None
            if line and own.digest and _serves(line, entry, skip_clipped):
                self._adopt(line, entry, own, unsure[entry.path])
                del todo[entry.path]
        return list(todo.values())

    def _take(self, line: Line, entry: Entry, number: int) -> None:
        """Describe the line of an entry anew, unless it came with another data set."""
        if line["place"][0] == self.number:
            line["place"] = [self.number, number]
            describe(line, entry)

    def _adopt(self, line: Line, entry: Entry, own: Identity, number: int) -> None:
        """Give an entry the samples of a line, which is of the same bytes."""
        same = {**line, "stamp": own.stamp, "digest": own.digest, "kind": entry.kind}
        if "recording" in line:
            same["recording"] = dict(line["recording"])
        if line["path"] != entry.path:
            if not Path(array_row(line["path"])[0]).exists():  # it was moved
                self.lines.pop(line["path"], None)
            same["place"] = [self.number, number]
        self.lines[entry.path] = same
        self._take(same, entry, number)

    def drop_gone(self, entries: list[Entry], prune: bool) -> int:
        """Look for the lines of files that the data set has no longer.

        Args:
            entries: The recordings of the data set.
            prune: Whether their lines are dropped. If not, they stay, since a cache may outlive the
                files it was made from; those of files that have another name are always dropped.

        Returns:
            The number of recordings without a file.
        """
        paths = {entry.path for entry in entries}
        here = {_content(self.lines[path]) for path in paths if path in self.lines}
        gone = [
            line
            for path, line in self.lines.items()
            if line["place"][0] == self.number and path not in paths
        ]
        lost = [line for line in gone if "recording" in line and _content(line) not in here]
        for line in gone:
            if prune or "recording" not in line or _content(line) in here:
                del self.lines[line["path"]]
        return len(lost)

    def remove_empty_parts(self) -> None:
        """Remove the parts that no line needs."""
        used = {line["recording"].get("part", "") for line in self.lines.values()
                if "recording" in line}  # fmt: skip
        for folder in (self.cache / PARTS).glob("*"):
            if f"{PARTS}/{folder.name}" not in used:
                shutil.rmtree(folder, ignore_errors=True)

    def once(self) -> Iterator[Line]:
        """Yield the lines with samples in order, the first of those of equal bytes."""
        seen = set[Any]()
        for line in self.ordered():
            if "recording" in line:
                content = _content(line)
                if content not in seen:
                    yield line
                seen.add(content)


def _content(line: Line) -> tuple[str, str]:
    """Return what is equal for copies only."""
    return line.get("digest") or line["path"], line.get("kind", "")


def _serves(line: Line, entry: Entry, skip_clipped: bool) -> bool:
    """Whether a line says all of an entry of the same bytes; what was unreadable is read again."""
    fault, kind = line.get("fault", ""), line.get("kind", entry.kind)
    if fault.startswith(UNREADABLE) or kind != entry.kind:
        return False
    return (
        (fault == CLIPPED) == skip_clipped if line["clipped"] and fault in ("", CLIPPED) else True
    )


def _located(lines: Iterable[Line], old: Path, base: Path) -> Iterator[Line]:
    """Yield lines of a cache that has no places and no kinds, with absolute paths.

    Args:
        lines: The lines.
        old: The data set as it was typed.
        base: The data set.
    """
    for number, line in enumerate(lines):
        path = Path(line.get("path", ""))
        inside = path.is_relative_to(old)
        line["path"] = str(base / path.relative_to(old) if inside else path.absolute())
        if "recording" in line:
            line["kind"] = line["recording"]["kind"]
        yield {**line, "place": [0, number]}
