"""Digests that tell whether an output is what its input, its model and its settings would make.

A digest is 32 hexadecimal digits (BLAKE2b, 16 bytes). It depends on contents and never on names, so
that a folder which was moved or renamed is the same as before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any, BinaryIO

# It is raised when the same input, model and settings give other samples than before, so that
# outputs of older versions are made again.
PROCESSING = 1
BYTES = 16


def _new(data: bytes = b"") -> blake2b:
    return blake2b(data, digest_size=BYTES)


def of_text(text: str) -> str:
    """Return the digest of a text."""
    return _new(text.encode("utf-8", "surrogatepass")).hexdigest()


def of_bytes(file: BinaryIO) -> str:
    """Return the digest of what is left to read of an open file."""
    return file_digest(file, _new).hexdigest()  # type: ignore[arg-type]


def of_file(path: str | Path) -> str:
    """Return the digest of the content of a file.

    Raises:
        OSError: If it cannot be read.
    """
    with Path(path).open("rb") as file:
        return of_bytes(file)


def of_tree(path: str | Path) -> str:
    """Return the digest of a file, or of all files below a folder (a VST3 is often a folder).

    Raises:
        OSError: If a file cannot be read.
    """
    if not Path(path).is_dir():
        return of_file(path)
    files = sorted(file for file in Path(path).rglob("*") if file.is_file())
    return of_values({file.relative_to(path).as_posix(): of_file(file) for file in files})


def of_values(values: Any) -> str:
    """Return the digest of plain values: texts, numbers, lists, and mappings in any order."""
    return of_text(json.dumps(values, sort_keys=True, default=repr))


def digest(content: str, model: str, settings: Mapping[str, Any]) -> str:
    """Return the key of an output: equal keys mean equal samples in equal containers.

    Args:
        content: The digest of the input's bytes, as `of_file` gives it.
        model: The digest of the model or of the board.
        settings: The plain values that change the samples or the container.

    >>> digest("a", "b", {"mix": 50.0, "format": ".wav"})
    'b5171969412ed6f8ba383b9491c38b11'
    """
    return of_values([PROCESSING, content, model, dict(settings)])
