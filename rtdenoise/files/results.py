"""The results log: what became of each item of a run, as JSON lines that outlive the run.

A run appends to a part of its own, `NAME.part-WORKER.jsonl`, a line at a time, so that `kill -9`
costs the last line at most. At the end the parts are merged into `NAME.jsonl`, which appears whole:
the last line of each output, sorted by the names of the inputs. A line has the keys

* input, output: names, without passwords and signatures; a failure before any work has no output
* below: the place of the input below what was listed
* status: "done", "failed" or "skipped" (the output was there; such a line is not kept)
* key, content, stamp: see `digest.digest`; that of the input's bytes; what its store says of it
* seconds, rate, channels, format, bytes: of the output
* took_s, worker: the seconds of work, and who did it
* warnings, scores, partial, error, problem: as in the report of a file

A line with the status "begun" says that an output will be made where no file is, so that a file
there is the log's own even if its line was lost. It is not merged. The last line of the part of a
shard has the status "ended".

What the files hold is indexed in a temporary file of SQLite: the memory does not grow with the log.
"""

from __future__ import annotations

import json
import math
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, Self

from ..errors import Problem, UsageError, printable
from ..sound.locks import locked
from ..sound.pending import Pending, explain
from .digest import of_text

SUFFIX = ".jsonl"
BEGUN, DONE, FAILED, SKIPPED, ENDED = "begun", "done", "failed", "skipped", "ended"
Line = dict[str, Any]
TABLE = """
CREATE TABLE outputs (
    name BLOB PRIMARY KEY, made INTEGER, claimed BLOB,
    status TEXT, input BLOB, file INTEGER, offset INTEGER
) WITHOUT ROWID"""
# The last line of an output counts, but that a file was made stays true.
NOTE = """
INSERT INTO outputs VALUES (?, ?, NULL, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET made = max(made, excluded.made), status = excluded.status,
    input = excluded.input, file = excluded.file, offset = excluded.offset"""
MADE = "INSERT INTO outputs (name, made) VALUES (?, 1) ON CONFLICT DO UPDATE SET made = 1"
CLAIM = """
INSERT INTO outputs (name, made, claimed) VALUES (?, 0, ?)
ON CONFLICT DO UPDATE SET claimed = excluded.claimed"""


@dataclass(frozen=True, slots=True)
class Known:
    """What a log knows of an output.

    Attributes:
        made: Whether a file of this name is the work of a run with this log.
        status: The status of the last line. Empty: there is no line.
        key: The key of the output, see `digest.digest`.
        content: The digest of the input's bytes.
        stamp: What the input's store said of it.
        bytes: The size of the output. -1: there is none.
    """

    made: bool = False
    status: str = ""
    key: str = ""
    content: str = ""
    stamp: str = ""
    bytes: int = -1


class ResultsLog:
    """A results log: what earlier runs left, and a part for this one.

    Args:
        path: Name of the merged log. None: nothing is kept beyond the run.
        shard: Name of a shard of a run, as "0of3", whose parts wait for those of the others.

    Raises:
        UsageError: If the log is a folder, or cannot be read.
    """

    def __init__(self, path: str | Path | None, shard: str = "") -> None:
        self.path, self.shard = None if path is None else Path(path), shard
        self._index = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -32000"):
            self._index.execute(f"PRAGMA {setting}")
        self._index.execute(TABLE)
        self._index.execute("BEGIN")  # for ever: it is never committed, and its file has no name
        self._files: list[Path] = []
        self._part: Part | None = None
        if self.path is not None:
            self._check(self.path)
            for file in [self.path, *self.parts()]:
                self._read(file)

    def _check(self, path: Path) -> None:
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "no file"
            raise UsageError(f"the log {printable(path)} is {what}, wanted a file")
        if not path.parent.is_dir():
            reason = explain(FileNotFoundError(), path.parent)
            raise UsageError(f"cannot write the log {printable(path)}: {reason}")

    def parts(self) -> list[Path]:
        """Return the files of the parts that are there, the oldest first."""
        if self.path is None:
            return []
        stem = f"{self.path.name.removesuffix(SUFFIX)}.part-"
        files = [
            file
            for file in self.path.parent.iterdir()
            if file.name.startswith(stem) and file.suffix == SUFFIX
        ]
        return sorted(files, key=lambda file: (file.stat().st_mtime_ns, file.name))

    def _read(self, path: Path) -> None:
        """Index the lines of a file, if it is there."""
        try:
            with path.open("rb") as file:
                self._files.append(path)
                for offset, line in _lines(file):
                    self.note(len(self._files) - 1, offset, line)
        except FileNotFoundError:
            return
        except OSError as error:
            reason = explain(error, path.parent)
            raise UsageError(f"cannot read the log {printable(path)}: {reason}") from None

    def note(self, file: int, offset: int, line: Line) -> None:
        """Index a line, which begins at *offset* bytes of the file with the number *file*."""
        name, status = _name(line), line.get("status")
        if status == BEGUN:
            self._index.execute(MADE, (name,))
        elif status in (DONE, FAILED):
            source = _bytes(str(line.get("input")))  # a name may have bytes that are no UTF-8
            row = (name, status == DONE, status, source, file, offset)
            self._index.execute(NOTE, row)

    def claim(self, output: str, source: str) -> Known | None:
        """Return what is known of *output*, which this run makes of *source*.

        None: it was claimed before, for the same source. Every output can be claimed once.

        Raises:
            UsageError: If it was claimed before, for another source.
        """
        name, owner = _hash(output), _hash(source)
        query = "SELECT made, claimed, file, offset FROM outputs WHERE name = ?"
        made, claimed, file, offset = self._index.execute(query, (name,)).fetchone() or [None] * 4
        if claimed is not None and claimed != owner:
            raise UsageError(
                f"{printable(source)} and another input would both be written to "
                f"{printable(output)}",
                Problem.SAME_OUTPUT,
            )
        if claimed is not None:
            return None
        self._index.execute(CLAIM, (name, owner))
        if file is None:
            return Known(bool(made))
        line, names = self._line(file, offset), ("status", "key", "content", "stamp", "bytes")
        return Known(bool(made), **{name: line[name] for name in names if name in line})

    def _line(self, file: int, offset: int) -> Line:
        """Return the line at *offset* bytes of the file with the number *file*."""
        with self._files[file].open("rb") as opened:
            opened.seek(offset)
            found: Line = json.loads(opened.readline())
            return found

    def failed(self) -> Iterator[Line]:
        """Yield the last lines of the outputs that failed, in the order of the inputs' names."""
        query = "SELECT file, offset FROM outputs WHERE status = ? ORDER BY input"
        for file, offset in self._index.execute(query, (FAILED,)):
            yield self._line(file, offset)

    def counts(self) -> dict[str, int]:
        """Return the number of outputs by the status of their last lines."""
        query = "SELECT status, count(*) FROM outputs WHERE status NOTNULL GROUP BY status"
        return dict(self._index.execute(query))

    def part(self, worker: str = "run") -> Part:
        """Return the part to which this run appends its lines; it is opened once.

        Args:
            worker: What names the part, unless this run is a shard.

        Raises:
            UsageError: If another run writes it, or it cannot be written.
        """
        if self._part is None:
            path = None
            if self.path is not None:
                label = self.shard or re.sub(r"[^\w.-]", "_", worker)
                stem = self.path.name.removesuffix(SUFFIX)
                path = self.path.with_name(f"{stem}.part-{label}{SUFFIX}")
                self._files.append(path)
            self._part = Part(self, path, len(self._files) - 1)
        return self._part

    def begin(self, output: str) -> None:
        """Note that this run will make *output*, where no file is.

        Raises:
            UsageError: If it cannot be written.
        """
        self.part().write({"status": BEGUN, "output": output})

    def merge(self) -> bool:
        """Merge all parts into the log, which appears whole, and remove them.

        Returns:
            Whether they are merged. They are not while another run writes one of them, nor until
            every shard of a run has ended.

        Raises:
            UsageError: If the log cannot be written; the parts stay then.
        """
        parts = self.parts()
        if self.path is None or not parts or not _complete(parts):
            return False
        fresh = ResultsLog(self.path)  # others may have written lines since this log was read
        query = "SELECT file, offset FROM outputs WHERE status NOTNULL ORDER BY input, name"
        try:
            files = [file.open("rb") for file in fresh._files]
            try:
                with Pending(self.path, overwrite=True) as pending, pending.path.open("wb") as out:
                    for file, offset in fresh._index.execute(query):
                        files[file].seek(offset)
                        out.write(files[file].readline())
            finally:
                for file in files:
                    file.close()
            for part in parts:
                part.unlink(missing_ok=True)
        except FileNotFoundError:  # another shard, which ended at the same time, has merged them
            return False
        except OSError as error:
            reason = explain(error, self.path.parent)
            raise UsageError(f"cannot write the log {printable(self.path)}: {reason}") from None
        return True


class Part:
    """The part of a log that one process appends to.

    Args:
        log: The log, which indexes the lines.
        path: Name of the file. None: the lines are not kept.
        number: Its number among the files of the log.

    Attributes:
        name: Name of the file. Empty: there is none.

    Raises:
        UsageError: If another run writes it, or it cannot be written.
    """

    def __init__(self, log: ResultsLog, path: Path | None, number: int = -1) -> None:
        self.name = "" if path is None else str(path)
        self._log, self._path, self._number = log, path, number
        self._file: FileIO | None = None
        if path is None:
            return
        try:
            self._file = FileIO(path, "ab")
            if not _locked(self._file):
                raise UsageError(
                    f"another run writes {printable(path)}: wait for its end, or choose another log"
                )
            if self._file.tell() and not _ends_whole(path):
                self._append(self._file, b"\n")  # after the line that the last run could not finish
        except OSError as error:
            raise self._error(error) from None

    def write(self, line: Line) -> None:
        """Append a line, and give it to the system; "skipped" lines are not kept.

        Raises:
            UsageError: If it cannot be written, as on a full disk.
        """
        if self._file is None or line.get("status") == SKIPPED:
            return
        try:
            offset = os.fstat(self._file.fileno()).st_size
            self._append(self._file, json.dumps(finite(line)).encode("ascii") + b"\n")
        except OSError as error:
            raise self._error(error) from None
        self._log.note(self._number, offset, line)

    @staticmethod
    def _append(file: FileIO, data: bytes) -> None:
        while data:
            data = data[file.write(data) :]

    def _error(self, error: OSError) -> UsageError:
        reason = explain(error, Path(self._path or "").parent)
        return UsageError(f"cannot write the log {printable(self._path)}: {reason}")

    def close(self, ended: bool = True) -> None:
        """Close the file; *ended*: whether the run has come to its end."""
        if self._file is not None:
            if ended and self._log.shard:
                self.write({"status": ENDED})
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(ended=kind is None)


def finite(value: Any) -> Any:
    """Return *value* with None in place of NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def _hash(name: str) -> bytes:
    return bytes.fromhex(of_text(name))


def _name(line: Line) -> bytes:
    """Return what tells the output of a line from others; without one, its input does."""
    output = line.get("output")
    return _hash(output or f"\0{line.get('input')}")


def _lines(file: BinaryIO) -> Iterator[tuple[int, Line]]:
    """Yield the offset and the content of each whole line; a torn one is passed over."""
    offset = 0
    for text in file:
        with suppress(ValueError):
            line = json.loads(text) if text.endswith(b"\n") else None
            if isinstance(line, dict):
                yield offset, line
        offset += len(text)


def _ends_whole(path: Path) -> bool:
    """Return whether the last line of a file ends with a line end."""
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def _locked(file: BinaryIO | FileIO) -> bool:
    """Return whether nobody else writes to a file, which is locked; where none can, as if so."""
    try:
        return locked(file)
    except (ImportError, OSError):
        return True


SHARD = re.compile(r"\.part-(\d+)of(\d+)\.jsonl$")


def _complete(parts: list[Path]) -> bool:
    """Return whether nobody writes one of the parts, and all shards have ended."""
    shards: dict[str, set[str]] = {}
    for part in parts:
        with part.open("rb") as file:
            if not _locked(file):
                return False
            file.seek(max(0, part.stat().st_size - 100))
            ended = file.read().endswith(f'{{"status": "{ENDED}"}}\n'.encode())
        if found := SHARD.search(part.name):
            if not ended:
                return False
            shards.setdefault(found[2], set()).add(found[1])
    return all(len(numbers) == int(count) for count, numbers in shards.items())
