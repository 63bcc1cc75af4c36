"""The file of a tap: where it is, what it holds besides the tape, and whether its host lives.

header | facts about the host, as JSON | events, as lines of JSON | core.tape.Tape

The host holds a lock on the file, by which others know that it lives, and removes it at its end.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import AudioError
from ..sound.growing import in_use
from ..sound.locks import locked
from .folders import runtime_folder

MAGIC, VERSION = b"rtdn-tap", 1
HEADER = np.dtype(
    [("magic", "S8")]
    + [
        (name, np.int64)
        for name in ("version", "pid", "rate", "rows", "samples", "calls", "states")
    ]
    + [("began_unix_s", np.float64), ("clock_s", np.float64)]
)
PAGE = 4096
HOST_BYTES, EVENT_BYTES = 32 * PAGE, 64 * PAGE  # each with its length in the first 8 bytes
TAPE_AT = PAGE + HOST_BYTES + EVENT_BYTES
SUFFIX = ".tap"


class TapError(AudioError):
    """An error about a tap that is not there, or is none."""


def tap_folder() -> Path:
    """Return the folder of the taps: one in memory if the system has one."""
    shared = Path("/dev/shm")  # names there are unique, and owners are compared
    if sys.platform == "linux" and os.access(shared, os.W_OK | os.X_OK):
        return shared
    folder = runtime_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def taps(folder: Path | None = None) -> list[Path]:
    """Return the taps of this user, of running hosts and of dead ones, the oldest first."""
    mine = getattr(os, "geteuid", lambda: None)()
    found = []
    for path in (folder or tap_folder()).glob(f"rtdenoise-*{SUFFIX}"):
        with suppress(OSError):
            state = path.lstat()
            if state.st_size and (mine is None or state.st_uid == mine):  # 0: one begins now
                found.append((state.st_mtime, path))
    return [path for _, path in sorted(found)]


def left_behind(folder: Path | None = None) -> list[Path]:
    """Return the taps of hosts that died without removing them, as by `kill -9`."""
    return [path for path in taps(folder) if not lives(path)]


def lives(path: Path) -> bool:
    """Return whether the host of a tap is running."""
    with suppress(OSError):
        if sys.platform != "win32":
            return in_use(path)
        path.rename(path)  # Windows renames no file that a process maps
        return False
    return True


def lock(fd: int) -> None:
    """Hold the open file of a tap until this process ends, so that `lives` is true."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_EX)


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Return a context with whether this process has the tap of a dead host for itself."""
    try:
        fd = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except OSError:  # another process was faster
        yield False
        return
    try:
        yield (sys.platform == "win32" or locked(fd)) and path.exists()
    finally:
        os.close(fd)


def mapped(fd: int, size: int) -> NDArray[np.uint8]:
    """Return the memory of an empty file of *size* bytes, all of whose pages are there.

    Raises:
        OSError: If there is no room. A file that only got its length would have room promised,
            and the audio thread would die by SIGBUS.
    """
    left, zeros = size, bytes(1 << 20)
    while left:
        left -= os.write(fd, zeros[:left])
    memory = np.frombuffer(mmap.mmap(fd, size), np.uint8)
    memory[::PAGE] = 0  # touches each page
    return memory


def write_text(place: NDArray[np.uint8], text: bytes) -> None:
    """Write *text* and its length; a reader sees the old or the new length."""
    length = place[:8].view(np.int64)
    length[0] = 0
    place[8 : 8 + len(text)] = np.frombuffer(text, np.uint8)
    length[0] = len(text)


def read_text(place: NDArray[np.uint8]) -> bytes:
    """Return the text in *place*."""
    length = min(int(place[:8].view(np.int64)[0]), len(place) - 8)
    return place[8 : 8 + length].tobytes()


def parsed(lines: bytes) -> Iterator[dict[str, Any]]:
    """Yield the objects in lines of JSON; a line that is being written is left out."""
    for line in lines.splitlines():
        with suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict):
                yield event
