"""Shards of a data set: each is decoded by one worker of a cluster, into a part of its own.

A worker that dies leaves its part as far as it came, and the next one goes on there. A file that
ends two workers in a row is left out, with a line that says so.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Container
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from rtdenoise.errors import UsageError

from ..claim import claimed
from ..lines import read_lines, write_lines
from .decode import UNREADABLE, Decoded, decode
from .identity import identity, size_of, stamp
from .layouts import Entry
from .part import DONE, PARTS, Part, holds
from .record import Record

SHARD_BYTES = 64 << 20  # files of a shard, in bytes, where that does not make too many shards
MOST = 512  # shards of a data set: a cache of many parts is slow to open
EACH = 2  # shards for each worker, so that all end at about the same time
TRYING = "trying.json"  # the file of a part that is being decoded, and how many times it was
DEADLY = 2  # workers in a row that end with the same file before it is left out
FREE_S = 60.0  # time that a worker waits for one that is thought to be dead


@dataclass(frozen=True)
class Shard:
    """Files that one worker decodes.

    Attributes:
        cache: Folder of the cache.
        folder: Root of the data set.
        part: Name of the part that they are decoded into.
        rate_hz: Sample rate of the cache.
        skip_clipped: Whether clipped recordings are of no use.
        data_set: Number of the data set.
        entries: The files, each after its number in the data set.
    """

    cache: Path
    folder: Path
    part: str
    rate_hz: int
    skip_clipped: bool
    data_set: int
    entries: tuple[tuple[int, Entry], ...]

    def without(self, paths: Container[str]) -> Shard:
        """Return the shard without the files of some *paths*."""
        return replace(self, entries=tuple(e for e in self.entries if e[1].path not in paths))


def shards(
    folder: Path,
    record: Record,
    todo: list[tuple[int, Entry]],
    count: int,
    skip_clipped: bool,
) -> list[Shard]:
    """Cut what has to be decoded into shards of about equal size, for *count* workers."""
    if not todo:
        return []
    ends = np.cumsum([1 + size_of(stamp(entry)) for _, entry in todo])
    number = min(len(todo), MOST, max(EACH * count, int(ends[-1]) // SHARD_BYTES))
    cuts = np.searchsorted(ends, ends[-1] * np.arange(1, number) / number, side="left") + 1
    places = [0, *sorted({int(c) for c in cuts if c < len(todo)}), len(todo)]
    first = record.free_part()
    return [
        Shard(
            record.cache, folder, f"{PARTS}/{first + n:05d}", record.rate_hz, skip_clipped,
            record.number, tuple(todo[start:stop]),
        )
        for n, (start, stop) in enumerate(pairwise(places))
    ]  # fmt: skip


def fill(shard: Shard) -> None:
    """Decode a shard into its part, or go on where another worker was stopped; a worker's task.

    Raises:
        UsageError: this machine does not see the cache or the data set.
        OSError: the part cannot be written.
    """
    for path in (shard.cache / DONE, shard.folder):
        if not path.exists():
            raise UsageError(
                f"the machine {socket.gethostname()} does not see {path}: all nodes of a cluster "
                "need data set and cache under the same paths"
            )
    folder = shard.cache / shard.part
    with claimed(folder, wait_s=FREE_S):
        before = list(holds(shard.cache, read_lines(folder / DONE)))
        write_lines(folder / DONE, before)
        done = {line["path"] for line in before}
        with Part(shard.cache, shard.part, before) as part:
            for number, entry in shard.entries:
                if entry.path not in done:
                    decoded = _tried(folder / TRYING, entry, shard)
                    part.add(entry, decoded, [shard.data_set, number])
        (folder / TRYING).unlink(missing_ok=True)


def _tried(note: Path, entry: Entry, shard: Shard) -> Decoded:
    """Decode a file, unless workers have died of it."""
    times = 0
    try:
        path, known = json.loads(note.read_text())
        times = known if path == entry.path else 0
    except (OSError, ValueError, TypeError):
        pass
    if times >= DEADLY:
        fault = f"{UNREADABLE} (it ended {times} workers)"
        return Decoded(np.zeros(0, np.int16), None, shard.rate_hz, identity(entry), fault=fault)
    note.write_text(json.dumps([entry.path, times + 1]))
    return decode(entry, shard.rate_hz, shard.skip_clipped)
