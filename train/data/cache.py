"""The files of a cache: what the index says of them, and whether they hold it.

A cache is an index, which lists recordings and measured rooms, and a file of int16 samples for each
kind of sound, in the folder of the cache or in parts below it. A file that was cut, or copied by
halves, would train a net on silence without a word, so sizes are compared with the index, and so
are the check sums of a few recordings; `check` compares all of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache, partial
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError
from .index import ALL_KINDS, DEGRADED, INDEX, ROOMS, Column, Index, Recording, files_of, tell_files
from .indexer import open_index
from .rows import Rows

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
        self._map: Callable[..., NDArray[np.int16]] = lru_cache(OPEN)(
            lambda *file: np.asarray(np.memmap(self.path(*file), np.int16, "r"))
        )

    @cached_property
    def recordings(self) -> Rows:
        """All recordings but the rooms."""
        kinds = self.index.column["kind"]
        return Rows(self.index, lambda rows: kinds[rows] != ALL_KINDS.index(ROOMS))

    @cached_property
    def rooms(self) -> Rows:
        """Measured rooms."""
        kinds = self.index.column["kind"]
        return Rows(self.index, lambda rows: kinds[rows] == ALL_KINDS.index(ROOMS))

    def path(self, kind: str, part: int, twins: bool = False) -> Path:
        """Return the file with the samples of a kind in a part, which is given by its number."""
        name = self.index.texts["part"].name(part)
        return self.cache / name / f"{kind}{DEGRADED if twins else '.i16'}"

    def samples(self, kind: str, part: int, twins: bool = False) -> NDArray[np.int16]:
        """Map all samples (samples,) of that file."""
        return self._map(kind, part, twins)

    def samples_by(self, row: int, twins: bool = False) -> NDArray[np.int16]:
        """Map all samples (samples,) of the file that holds the recording of a row."""
        kind = ALL_KINDS[self.index.column["kind"][row]]
        return self.samples(kind, int(self.index.texts["part"].codes[row]), twins)

    def samples_of_row(self, row: int) -> NDArray[np.int16]:
        """Return the samples (samples,) of the recording of a row, mapped from the disk."""
        start, stop = (self.index.column[name][row] for name in ("start", "stop"))
        return self.samples_by(row)[start:stop]

    def samples_of(self, recording: Recording) -> NDArray[np.int16]:
        """Return the samples (samples,) of a recording, mapped from the disk."""
        samples = self.samples(recording.kind, self.index.texts["part"].code(recording.part))
        return samples[recording.start : recording.stop]

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
        kinds, start, stop, digest = (
            self.index.column[name] for name in ("kind", "start", "stop", "digest")
        )

        def fit(kind: int, rows: Column | slice) -> NDArray[np.bool_]:
            short = stop[rows] - start[rows] <= PROBE_SAMPLES
            return np.asarray(short & (kinds[rows] == kind) & (digest[rows] != 0))

        picked: list[Recording] = []
        for kind in range(len(ALL_KINDS)):
            mine = Rows(self.index, partial(fit, kind))
            places = np.linspace(0, len(mine) - 1, PROBES).round().astype(int)
            picked += [mine[place] for place in np.unique(places)] if len(mine) else []
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
