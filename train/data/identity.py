"""Which recording a file is: its bytes decide, wherever it lies and whatever it is called.

Size and time of a file are looked at first, since they cost nothing. Bytes are read where these
have changed, or where the name is new.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from rtdenoise.files.digest import of_bytes, of_file

from .layouts import Entry


@dataclass(frozen=True)
class Identity:
    """What tells the files of a recording from others: the recording's own, and its twin's.

    Attributes:
        stamp: Size in bytes and time of change in ns of each file.
        digest: BLAKE2b of the bytes of each file, as hex with `-` between; empty if a file cannot
            be read.
    """

    stamp: list[int]
    digest: str


def array_row(path: str) -> tuple[str, int | None]:
    """Return file and row of a row of an array file, `music.npy#17`; other files have no row."""
    found = re.fullmatch(r"(.+\.npy)#(\d+)", path)
    return (found[1], int(found[2])) if found else (path, None)


def stamp(entry: Entry) -> list[int]:
    """Return size in bytes and time of change in ns of each file; nothing if one is missing."""
    found: list[int] = []
    for path in filter(None, (entry.path, entry.degraded)):
        try:
            status = Path(array_row(path)[0]).stat()
        except OSError:
            return []
        found += [status.st_size, status.st_mtime_ns]
    return found


def size_of(stamped: list[int]) -> int:
    """Return the size of all files of a stamp in bytes."""
    return sum(stamped[::2])


def content(path: str | Path) -> str:
    """Return the BLAKE2b of the bytes of a file, or of a row of an array file, as hex.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no array file, although its name says so.
    """
    file, row = array_row(str(path))
    if row is not None:
        return of_bytes(BytesIO(np.load(file, mmap_mode="r")[row].tobytes()))
    return of_file(file)


def identity(entry: Entry) -> Identity:
    """Read the files of a recording; the stamp is taken first, so that no later change is lost."""
    before = stamp(entry)
    try:
        found = [content(path) for path in (entry.path, entry.degraded) if path]
    except (OSError, ValueError, IndexError):
        return Identity(before, "")
    return Identity(before, "-".join(found))


def identities(entries: list[Entry]) -> list[Identity]:
    """Read the files of some recordings; a task of a worker."""
    return [identity(entry) for entry in entries]
