"""A folder that one process at a time may write to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rtdenoise.errors import UsageError
from rtdenoise.sound.locks import locked

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
            lock(file, wait_s)
        except BlockingIOError:
            raise UsageError(
                f"another process writes to {folder}: wait until it ends, or take another folder"
            ) from None
        except (ImportError, OSError) as error:
            print(f"{folder} is not guarded against a second process ({error})")
        yield


def lock(file: IO[bytes], wait_s: float = 0.0) -> None:
    """Keep other processes from locking a file until it is closed, even by `kill -9`.

    Args:
        file: The file.
        wait_s: Time to wait for another process to end.

    Raises:
        BlockingIOError: another process holds it.
        ImportError: this system has no flock.
        OSError: this file system has none.
    """
    until = time.monotonic() + wait_s
    while not locked(file):
        if time.monotonic() >= until:
            raise BlockingIOError
        time.sleep(0.1)
