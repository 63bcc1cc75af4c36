"""Manifests: lists of inputs as csv, jsonl or parquet, read a line at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import AudioError, UsageError, printable, reason_of
from ..files.batch import Naming
from . import store
from .items import Item, faulty, item_of

COLUMNS = ("input", "output", "size")  # the first is needed
ROWS = 1024  # of a parquet file at a time


def from_manifest(name: str, naming: Naming) -> Iterator[Item]:
    """Yield the items of a manifest: csv, jsonl or parquet with the columns `COLUMNS`.

    An output is below the folder of the outputs, if there is one. Without it, the whole path of the
    input is repeated there. Other columns are not read.

    Args:
        name: Name or URL of the manifest.
        naming: The rules that name the outputs of lines which do not.

    Raises:
        UsageError: If it cannot be read, lacks the inputs, or has no lines.
    """
    kind = PurePosixPath(store.base_name(name)).suffix.lower()
    readers = {".csv": _csv, ".jsonl": _jsonl, ".ndjson": _jsonl, ".parquet": _parquet}
    shown = printable(store.redacted(name))
    if kind not in readers:
        raise UsageError(f"the manifest {shown} is none of {', '.join(readers)}")
    number = 0
    try:
        with store.fetched(name) as path:
            for where, row in readers[kind](path, shown):
                number += 1
                yield _of_row(row, naming, f"{shown}, line {where}")
    except OSError as error:
        raise UsageError(f"cannot read the manifest {shown}: {reason_of(error)}") from None
    except AudioError as error:
        raise UsageError(f"the manifest: {error}", error.problem) from None
    if not number:
        raise UsageError(f"the manifest {shown} has no inputs")


def _lacking(shown: str, there: Iterable[str]) -> UsageError:
    columns = ", ".join(map(printable, there)) or "none"
    return UsageError(f"the manifest {shown} has no column `input`; its columns: {columns}")


def _csv(path: str, shown: str) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """Yield the number and the row of each line, or what is wrong with it."""
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:  # noqa: PTH123
        rows = csv.DictReader(file, restkey="\0", strict=True)
        try:
            columns = [str(column).strip() for column in rows.fieldnames or ()]
        except csv.Error as error:
            raise UsageError(f"the manifest {shown} is not CSV: {error}") from None
        if columns and COLUMNS[0] not in columns:
            raise _lacking(shown, columns)
        rows.fieldnames = columns
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield rows.reader.line_num, f"not CSV: {error}"
                continue
            fits = "\0" not in row and None not in row.values()
            yield rows.line_num, row if fits else f"wanted {len(columns)} columns"


def _jsonl(path: str, shown: str) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """Yield the number and the row of each line, or what is wrong with it."""
    with open(path, "rb") as file:  # noqa: PTH123
        first = True
        for number, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                yield number, "wanted a JSON object"
                continue
            if first and COLUMNS[0] not in row:
                raise _lacking(shown, row)
            first = False
            yield number, row


def _parquet(path: str, shown: str) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """Yield the number and the row of each line."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise UsageError(
            f"the manifest {shown} needs the package pyarrow: pip install 'rtdenoise[cluster]'"
        ) from None
    number = 0
    try:
        with ParquetFile(path) as file:
            columns = file.schema_arrow.names
            if COLUMNS[0] not in columns:
                raise _lacking(shown, columns)
            for batch in file.iter_batches(ROWS, columns=[c for c in COLUMNS if c in columns]):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (ArrowException, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        reason = str(error).splitlines()[0]
        raise UsageError(f"the manifest {shown} is not parquet: {printable(reason)}") from None


def _of_row(row: Mapping[str, Any] | str, naming: Naming, where: str) -> Item:
    """Return the item of a row, or of what is wrong with it."""
    if isinstance(row, str):
        return faulty(where, UsageError(f"{where}: {row}"))
    source, output, size = (row.get(column) for column in COLUMNS)
    if not isinstance(source, str) or not source:
        return faulty(where, UsageError(f"{where}: wanted the name of an input"))
    if not isinstance(output, str | None):
        return faulty(where, UsageError(f"{where}: the output is no name"))
    try:
        size = None if size in (None, "") else int(size)
    except (TypeError, ValueError, OverflowError):
        return faulty(where, UsageError(f"{where}: the size is no number of bytes"))
    if not output:
        return replace(item_of(naming, source, _whole(source)), size=size)
    source, target = store.local(source), store.local(output)
    if naming.folder is not None and not store.is_url(output):
        target = store.join(naming.folder, target)
    return Item(source, size, target, output)


def _whole(source: str) -> str:
    """Return the whole path of an input as a place below another folder.

    >>> _whole("/data/a.wav"), _whole("s3://bucket/a.wav"), _whole("../a.wav")
    ('data/a.wav', 'bucket/a.wav', 'a.wav')
    """
    if store.scheme(source) in store.WEB:
        parts = source.partition("://")[2].partition("?")[0].split("/")
        return "/".join([store.redacted(source).partition("://")[2].split("/")[0], *parts[1:]])
    path = source.partition("://")[2] if store.is_url(source) else source
    return "/".join(part for part in Path(path).parts if part not in ("..", "/"))
