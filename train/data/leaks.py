"""Whether the sides of a split share a source, or the same samples under two names."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np

from rtdenoise.errors import UsageError

from ..sections import Data
from .index import ALL_SPLITS, Column
from .layouts import KINDS
from .library import Library

TOLD = 5  # leaks that are named
BEGIN = 4096  # samples that are compared first


def check_no_leak(*sides: Library) -> None:
    """Check that no two sides of a cache share a source or the same samples.

    Raises:
        UsageError: two sides share something; the message names it.
    """
    heard = [side.heard() for side in sides]
    for number, one in enumerate(sides):
        for more, other in enumerate(sides[number + 1 :], number + 1):
            shared = np.flatnonzero(heard[number] & heard[more])[:TOLD].tolist()
            names = {one.index.texts["source"].name(code) for code in shared}
            if leaks := sorted(names | set(islice(_copies(one, other), TOLD))):
                raise UsageError(
                    f"the split leaks: {', '.join(leaks[:TOLD])} on both sides, "
                    f"{one.side} and {other.side}"
                )


def _copies(one: Library, other: Library) -> Iterator[str]:
    """Yield the recordings of *other* whose samples are also those of one of *one*.

    Two check sums agree by chance, too, among a million recordings about a hundred times, so the
    samples decide.
    """
    rows = one.index.column["copies"]
    mine, theirs = (side.here[rows] < len(KINDS) for side in (one, other))
    for group in _alike(one, rows):
        for row in rows[group][theirs[group]].tolist() if mine[group].any() else ():
            found = (r for r in rows[group][mine[group]].tolist() if _same(one, r, row))
            if (copy := next(found, -1)) >= 0:
                name = one.index.texts["source"].of
                yield f"{name(copy)} = {name(row)}"


def _alike(library: Library, rows: Column) -> Iterator[slice]:
    """Yield the stretches of *rows* with the same check sum and length."""
    start, stop, digest = (library.index.column[n][rows] for n in ("start", "stop", "digest"))
    length = stop - start
    other = (digest[1:] != digest[:-1]) | (length[1:] != length[:-1])
    ends = [*(np.flatnonzero(other) + 1).tolist(), len(rows)]
    yield from map(slice, [0, *ends[:-1]], ends)


def _same(library: Library, one: int, other: int) -> bool:
    """Whether the recordings of two rows have the same samples; most differ at once."""
    first, second = (library.contents.samples_of_row(row) for row in (one, other))
    begin = slice(0, BEGIN)
    return np.array_equal(first[begin], second[begin]) and np.array_equal(first, second)


def check(cache: Path, data: Data) -> str:
    """Tabulate hours, recordings and sources of every side of the split.

    Returns:
        The table as Markdown.

    Raises:
        UsageError: the split leaks, or the training or development side is empty, or a recording
            of the cache is damaged.
    """
    train = Library(cache, data)
    sides = [train, train.another("dev")]
    train.contents.check_samples(chain(train.contents.recordings, train.contents.rooms))
    if data.test_share or (train.index.column["split"] == ALL_SPLITS.index("test")).any():
        sides.append(train.another("test"))
    check_no_leak(*sides)
    lines = ["| side | kind | hours | recordings | sources |", "|---|---|---|---|---|"]
    for library in sides:
        for kind, recordings in library.recordings.items():
            lines.append(
                f"| {library.side} | {kind} | {library.hours(kind):.2f} | {len(recordings)} "
                f"| {int(library.heard(kind).sum())} |"
            )
    return "\n".join(lines) + "\n"
