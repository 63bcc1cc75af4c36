"""A folder that one process at a time may write to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rtdenoise.errors import UsageError

LOCK = ".lock"


@contextmanager
def claimed(folder: Path, claims: bool = True) -> Iterator[None]:
    """Make *folder* if necessary, and keep other processes from writing to it while a block runs.

    The system frees the folder when the process ends, even by `kill -9`; the file `.lock` stays,
    and means nothing by itself. Without flock (on Windows) nothing is kept from anybody.

    Args:
        folder: Folder to write to.
        claims: False for the helpers of a process that claims the folder.

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
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another process writes to {folder}: wait until it ends, or take another folder"
            ) from None
        except (ImportError, OSError) as error:
            print(f"{folder} is not guarded against a second process ({error})")
        yield
