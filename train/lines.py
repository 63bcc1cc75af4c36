"""JSON lines that a kill cannot damage: they are written whole, and a torn last one is no line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from sys import intern
from typing import Any

from rtdenoise.errors import UsageError
from rtdenoise.sound.pending import Pending

from .claim import lock

Line = dict[str, Any]
# Names are the same objects in all lines: ten million lines hold many of them.
LINE = json.JSONDecoder(object_pairs_hook=lambda pairs: {intern(name): x for name, x in pairs})


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the objects of a file, up to the first line that is none; no file has no lines."""
    if path.is_file():
        with path.open("rb") as file:
            for text in file:
                line = _parsed(text)
                if line is None:
                    return
                yield line


def _parsed(text: bytes) -> Line | None:
    """Return the object of a line; None if it is torn or damaged."""
    if not text.endswith(b"\n"):
        return None
    try:
        line = LINE.decode(text.decode())
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def write_lines(path: Path, lines: Iterable[Line]) -> None:
    """Replace a file by *lines*, in one step.

    Raises:
        AudioError: the file cannot be written; what was there stays.
    """
    with Pending(path, overwrite=True) as pending, pending.path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


class Appended:
    """A file of JSON lines that is open for more of them; a torn end of it is cut off.

    Args:
        path: The file, which is made if necessary.
        alone: Whether other processes may not write to it at the same time, where the system has
            locks.

    Raises:
        BlockingIOError: another process writes to it.
        OSError: the file cannot be written.
        UsageError: it is another kind of file; nothing is written to it.
    """

    def __init__(self, path: Path, alone: bool = False) -> None:
        self._file = path.open("ab+")
        try:
            if alone:
                self._lock()
            self._file.truncate(self._whole(path))
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        try:
            lock(self._file)
        except BlockingIOError:
            raise
        except (ImportError, OSError):
            pass

    def _whole(self, path: Path) -> int:
        """Return the number of bytes of all lines but a torn last one."""
        self._file.seek(0)
        whole = 0
        for number, text in enumerate(self._file, 1):
            if _parsed(text) is None:
                if self._file.read(1) or not text.startswith(b"{"):
                    raise UsageError(f"{path} holds no JSON lines, or is damaged: line {number}")
                break
            whole += len(text)
        return whole

    def add(self, *lines: Line) -> None:
        """Append *lines*; they are with the system when this returns, whatever ends the process."""
        self._file.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        self._file.flush()

    def restart(self, header: Line) -> None:
        """Empty the file but for a first line."""
        self._file.truncate(0)
        self.add(header)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Appended:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
