"""The files of a cache: what the index says of them, and whether they hold it.

A cache is index.json, which lists recordings (and measured rooms), and a file of int16 samples for
each kind of sound. A file that was cut, or copied by halves, would train a net on silence without a
word, so sizes are compared with the index, and so are the check sums of a few recordings; `check`
compares all of them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .layouts import KINDS, SPLITS

INDEX = "index.json"
ROOMS = "rir"  # kind of the measured rooms
DEGRADED = ".degraded.i16"  # suffix, after the kind, of the file with the degraded twins
PROBES = 32  # recordings of each kind whose check sums are compared at every start,
PROBE_SAMPLES = 1 << 22  # unless they are longer than this
BLOCKS, BLOCK = 64, 4096  # blocks of each file that are part of a cache's digest, and their bytes


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
        part: Folder below the cache with the file of its kind; empty: the cache itself.
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
            ("kind", self.kind in (*KINDS, ROOMS)),
            ("split", self.split in ("", *SPLITS)),
            ("start", type(self.start) is int and self.start >= 0),
            ("stop", type(self.stop) is int and self.stop > self.start),
            ("bandwidth_hz", self.bandwidth_hz > 0),
            ("digest", type(self.digest) is int),
        ):
            if not right:
                raise ValueError(f"{self.source}: {name} = {getattr(self, name)!r}")


@dataclass(frozen=True)
class Contents:
    """What a cache holds.

    Attributes:
        cache: Folder of the cache.
        rate_hz: Sample rate of its sound.
        recordings: All recordings but the rooms.
        rooms: Measured rooms.
    """

    cache: Path
    rate_hz: int
    recordings: list[Recording]
    rooms: list[Recording]

    def samples_of(self, recording: Recording) -> np.ndarray:
        """Return the int16 samples (samples,) of a recording, mapped from the disk."""
        path = self.cache / recording.part / f"{recording.kind}.i16"
        samples = np.memmap(path, np.int16, "r")
        return np.asarray(samples[recording.start : recording.stop])

    def sizes(self) -> dict[str, int]:
        """Return the number of bytes that each file has to have at least, by name."""
        sizes: dict[str, int] = {}
        for r in (*self.recordings, *self.rooms):
            for name in [f"{r.kind}.i16", f"{r.kind}{DEGRADED}"][: 1 + r.paired]:
                name = f"{r.part}/{name}" if r.part else name
                sizes[name] = max(sizes.get(name, 0), 2 * r.stop)
        return sizes

    def check_sizes(self) -> None:
        """Check that no file was cut.

        Raises:
            ArgumentError: a file is missing or too short; the message names it.
        """
        for name, size in self.sizes().items():
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
                    f"{self.cache / r.kind}.i16 is damaged: {r.source}, bytes {2 * r.start} to "
                    f"{2 * r.stop}, is not what {INDEX} lists; make the cache again",
                    "cache",
                )

    def probes(self) -> list[Recording]:
        """Return some recordings of each kind, from the first to the last."""
        picked: list[Recording] = []
        for kind in (*KINDS, ROOMS):
            mine = [r for r in (*self.recordings, *self.rooms) if r.kind == kind and r.digest]
            mine = [r for r in mine if r.stop - r.start <= PROBE_SAMPLES]
            places = np.linspace(0, len(mine) - 1, PROBES).round().astype(int) if mine else ()
            picked += [mine[place] for place in sorted(set(places))]
        return picked

    @cached_property
    def digest(self) -> str:
        """The digest of the cache: of its index, and of sizes and some blocks of its files.

        The index has a check sum of every recording, so nothing has to read 100 GB at every start.
        """
        told = blake2b(digest_size=16)
        rows = [[vars(r) for r in those] for those in (self.recordings, self.rooms)]
        told.update(json.dumps([self.rate_hz, rows], sort_keys=True).encode())
        for name, size in sorted(self.sizes().items()):
            told.update(f"{name} {size}".encode())
            with (self.cache / name).open("rb") as file:
                for block in range(BLOCKS):
                    file.seek(max(0, size - BLOCK) * block // (BLOCKS - 1))
                    told.update(file.read(BLOCK))
        return told.hexdigest()


def read(cache: Path) -> Contents:
    """Read the index of a cache, and check that its files hold what it lists.

    Raises:
        ArgumentError: the folder is no cache, or a file of it is damaged; the message names it.
    """
    if not (cache / INDEX).is_file():
        raise ArgumentError(f"there is no cache in {cache}", "cache")
    try:
        index: Any = json.loads((cache / INDEX).read_text())
        rate_hz, rows = index["rate_hz"], (index["recordings"], index.get("rooms", []))
        if not isinstance(rate_hz, int) or rate_hz <= 0:
            raise ValueError(f"rate_hz = {rate_hz!r}")
        contents = Contents(cache, rate_hz, *([Recording(**row) for row in some] for some in rows))
        for recording in (*contents.recordings, *contents.rooms):
            recording.check()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArgumentError(
            f"{cache / INDEX} is damaged ({type(error).__name__}: {error}); make the cache again",
            "cache",
        ) from None
    try:
        contents.check_sizes()
        contents.check_samples(contents.probes())
    except OSError as error:
        raise ArgumentError(f"cannot read the cache {cache}: {error}", "cache") from None
    return contents


def write_index(cache: Path, rate_hz: int, recordings: Iterable[Recording]) -> None:
    """Write the index of a cache, in one step."""
    part = cache / (INDEX + ".part")
    rows = [vars(recording) for recording in recordings]
    part.write_text(json.dumps({"rate_hz": rate_hz, "recordings": rows}))
    part.replace(cache / INDEX)
