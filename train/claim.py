"""A folder that one process at a time may write to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rtdenoise.errors import UsageError

LOCK = ".lock"


@contextmanager
def claimed(folder: Path, claims: bool = True, wait_s: float = 0.0) -> Iterator[None]:
    """Make *folder* if necessary, and keep other processes from writing to it while a block runs.

    The system frees the folder when the process ends, even by `kill -9`; the file `.lock` stays,
    and means nothing by itself. Without flock (on Windows) nothing is kept from anybody.

    Args:
        folder: Folder to write to.
        claims: False for the helpers of a process that claims the folder.
        wait_s: Time to wait for another process to end.

    Raises:
        UsageError: another process writes to the folder, or nobody can.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not claims:
            yield
            return
        file = (folder / LOCK).open("ab")
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from None
    with file:
        try:
            _lock(file, time.monotonic() + wait_s)
        except BlockingIOError:
            raise UsageError(
                f"another process writes to {folder}: wait until it ends, or take another folder"
            ) from None
        except (ImportError, OSError) as error:
            print(f"{folder} is not guarded against a second process ({error})")
        yield


def _lock(file: IO[bytes], until_s: float) -> None:
    """Lock a file by the time *until_s* of the monotonic clock.

    Raises:
        BlockingIOError: another process holds it.
        ImportError: this system has no flock.
    """
    import fcntl

    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until_s:
                raise
        time.sleep(0.1)
