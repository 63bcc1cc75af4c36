"""The files of a cache: what the index says of them, and whether they hold it.

A cache is an index, which lists recordings and measured rooms, and a file of int16 samples for each
kind of sound, in the folder of the cache or in parts below it. A file that was cut, or copied by
halves, would train a net on silence without a word, so sizes are compared with the index, and so
are the check sums of a few recordings; `check` compares all of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError
from .index import ALL_KINDS, DEGRADED, INDEX, ROOMS, Index, Recording, Rows, files_of, tell_files
from .indexer import open_index

PROBES = 32  # recordings of each kind whose check sums are compared at every start,
PROBE_SAMPLES = 1 << 22  # unless they are longer than this
OPEN = 256  # files that a process maps at a time


class Contents:
    """What a cache holds.

    Args:
        cache: Folder of the cache.
        index: All recordings and rooms.
    """

    def __init__(self, cache: Path, index: Index) -> None:
        self.cache, self.index, self.rate_hz = cache, index, index.rate_hz
        self._map = lru_cache(OPEN)(lambda path: np.memmap(path, np.int16, "r"))

    @cached_property
    def recordings(self) -> Rows:
        """All recordings but the rooms."""
        return Rows(self.index, np.flatnonzero(self.index.column["kind"] != ALL_KINDS.index(ROOMS)))

    @cached_property
    def rooms(self) -> Rows:
        """Measured rooms."""
        return Rows(self.index, np.flatnonzero(self.index.column["kind"] == ALL_KINDS.index(ROOMS)))

    def samples(self, kind: str, part: str = "", twins: bool = False) -> NDArray[np.int16]:
        """Map all samples (samples,) of a kind in a part, or those of their degraded twins."""
        return self._map(self.cache / part / f"{kind}{DEGRADED if twins else '.i16'}")

    def samples_of(self, recording: Recording) -> NDArray[np.int16]:
        """Return the samples (samples,) of a recording, mapped from the disk."""
        return self.samples(recording.kind, recording.part)[recording.start : recording.stop]

    def check_sizes(self) -> None:
        """Check that no file was cut.

        Raises:
            ArgumentError: a file is missing or too short; the message names it.
        """
        for name, size in self.index.sizes.items():
            path = self.cache / name
            there = path.stat().st_size if path.is_file() else 0
            if there < size or there % 2:
                raise ArgumentError(
                    f"{path} is {'cut' if path.is_file() else 'missing'}: it has {there} bytes, "
                    f"but {INDEX} lists recordings up to byte {size}; make the cache again",
                    "cache",
                )

    def check_samples(self, recordings: Iterable[Recording]) -> None:
        """Check that *recordings* have the samples that they had when the cache was made.

        Raises:
            ArgumentError: a recording has others; the message names it and its file.
        """
        for r in recordings:
            if r.digest and zlib.crc32(self.samples_of(r).tobytes()) != r.digest:
                raise ArgumentError(
                    f"{self.cache / files_of(r)[0]} is damaged: {r.source}, bytes {2 * r.start} to "
                    f"{2 * r.stop}, is not what {INDEX} lists; make the cache again",
                    "cache",
                )

    def probes(self) -> list[Recording]:
        """Return some recordings of each kind, from the first to the last."""
        rows = [row for number in range(len(ALL_KINDS)) for row in self._spread(number)]
        return [self.index.recording(row) for row in rows]

    def _spread(self, kind: int) -> list[int]:
        """Return rows of a kind that have a check sum and are not too long, evenly spread."""

        def fit(rows: slice) -> NDArray[np.bool_]:
            kinds, start, stop, digest = (
                self.index.column[name][rows] for name in ("kind", "start", "stop", "digest")
            )
            return np.asarray((kinds == kind) & (digest != 0) & (stop - start <= PROBE_SAMPLES))

        pieces = list(self.index.pieces())
        ends = np.cumsum([0, *(fit(rows).sum() for rows in pieces)])
        places = np.unique(np.linspace(0, ends[-1] - 1, PROBES).round().astype(int))
        picked: list[int] = []
        for rows, first, end in zip(pieces, ends[:-1], ends[1:], strict=True):
            mine = places[(places >= first) & (places < end)] - first
            if len(mine):
                picked += (rows.start + np.flatnonzero(fit(rows))[mine]).tolist()
        return picked

    @cached_property
    def digest(self) -> str:
        """The digest of the cache: of its index, and of sizes and some blocks of its files."""
        told = blake2b(digest_size=16)
        tell_files(self.cache, self.index.sizes, told)
        if told.hexdigest() == self.index.files_digest:
            return self.index.digest
        return blake2b((self.index.digest + told.hexdigest()).encode(), digest_size=16).hexdigest()


def read(cache: Path) -> Contents:
    """Read the index of a cache, and check that its files hold what it lists.

    Raises:
        ArgumentError: the folder is no cache, or a file of it is damaged; the message names it.
    """
    contents = Contents(cache, open_index(cache))
    try:
        contents.check_sizes()
        contents.check_samples(contents.probes())
    except OSError as error:
        raise ArgumentError(f"cannot read the cache {cache}: {error}", "cache") from None
    return contents
