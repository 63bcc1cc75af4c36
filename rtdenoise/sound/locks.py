"""A lock on an open file, by which one process at a time has a thing for itself."""

from __future__ import annotations

from typing import IO


def locked(file: int | IO[bytes]) -> bool:
    """Lock an open file until it is closed, even by `kill -9`; return whether nobody else has.

    Args:
        file: The file, or its number.

    Raises:
        ImportError: On Windows, which has no such locks.
        OSError: If the file system has none, as some network drives.
    """
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
