"""Which recording a file is: its bytes decide, wherever it lies and whatever it is called.

Size and time of a file are looked at first, since they cost nothing. Bytes are read where these
have changed, or where the name is new.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from .layouts import Entry

BLOCK = 1 << 20


@dataclass(frozen=True)
class Identity:
    """What tells the files of a recording from others: the recording's own, and its twin's.

    Attributes:
        stamp: Size in bytes and time of change in ns of each file.
        digest: BLAKE2b of the bytes of all files, as hex; empty if a file cannot be read.
    """

    stamp: list[int]
    digest: str

    @property
    def size(self) -> int:
        """Size of all files in bytes."""
        return sum(self.stamp[::2])


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


def identity(entry: Entry) -> Identity:
    """Read the files of a recording; the stamp is taken first, so that no later change is lost."""
    before = stamp(entry)
    told = blake2b(digest_size=16)
    try:
        for path in filter(None, (entry.path, entry.degraded)):
            file, row = array_row(path)
            if row is not None:
                data = np.load(file, mmap_mode="r")[row]
                told.update(f"{data.dtype} {data.shape}".encode() + data.tobytes())
                continue
            with Path(file).open("rb") as bytes_of:
                while block := bytes_of.read(BLOCK):
                    told.update(block)
            told.update(b"\0end")
    except (OSError, ValueError, IndexError):
        return Identity(before, "")
    return Identity(before, told.hexdigest())


def identities(entries: list[Entry]) -> list[Identity]:
    """Read the files of some recordings; a task of a worker."""
    return [identity(entry) for entry in entries]
