"""Things that one process at a time may use: a preset, a recording, a virtual microphone."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DeviceError, printable
from ..sound.locks import locked
from .folders import runtime_folder

MOST_DIGITS = 20  # of a process number
log = logging.getLogger(__name__)


@contextmanager
def claimed(kind: str, name: str) -> Iterator[None]:
    """Keep other runs of this user from using a thing while a block runs.

    The claim is a lock on a file in the user's runtime folder. The system frees it when the process
    ends, even by `kill -9`; the file stays, and means nothing by itself. A claim that cannot be
    made (there is no flock on Windows, or no such folder) keeps nothing from anybody.

    Args:
        kind: What the thing is, as in "preset".
        name: Its name. Two names that mean one thing must be made equal before.

    Raises:
        DeviceError: If another run uses it; the message names its process.
    """
    fd = -1
    try:
        fd = _open(kind, name)
        _lock(fd, kind, name)
    except DeviceError:
        os.close(fd)
        raise
    except (ImportError, OSError) as error:
        log.info("%s %s is not guarded against a second run: %s", kind, name, error)
    try:
        yield
    finally:
        if fd >= 0:
            os.close(fd)


def _open(kind: str, name: str) -> int:
    """Open the file of a claim, which is made if necessary."""
    folder = runtime_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]  # a name may be any path
    file = Path(folder, f"{kind.replace(' ', '-')}-{digest}.lock")
    return os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)


def _lock(fd: int, kind: str, name: str) -> None:
    """Lock an open file and write the number of this process into it."""
    if not locked(fd):
        digits = os.read(fd, MOST_DIGITS).decode("ascii", "replace")
        holder = f"process {digits}" if digits.isdecimal() else "another process"
        raise DeviceError(
            f"{kind} {printable(name)} is in use by {holder}: end that run, or choose another"
        )
    os.ftruncate(fd, 0)
    os.pwrite(fd, str(os.getpid()).encode(), 0)
