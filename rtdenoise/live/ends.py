"""The ends of the line: devices, files or nothing, as `parse_end` reads them from a user's text.

mic, speakers, an index, part of a name -> DeviceEnd      file:PATH -> FileEnd      null -> NullEnd
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError
from .devices import DEFAULT_NAMES, Kind

FILE, NULL = "file:", "null"


@dataclass(frozen=True)
class DeviceEnd:
    """An end that is a sound device.

    Attributes:
        query: The user's words for the device, as `devices.choose` reads them.
    """

    query: str


@dataclass(frozen=True)
class FileEnd:
    """An end that is a sound file: it is played as the input, or written as the output.

    Attributes:
        path: Name of the file.
    """

    path: str


@dataclass(frozen=True)
class NullEnd:
    """An end that is nothing: silence as the input, or an output that is thrown away."""


End = DeviceEnd | FileEnd | NullEnd


def parse_end(text: str, kind: Kind) -> End:
    """Return the end that *text* means.

    Args:
        text: `mic`, `speakers`, an index, part of a device's name, `file:PATH` or `null`.
        kind: Whether the end is the input or the output.

    Raises:
        UsageError: If *text* is empty, or a file without a name; the message lists the choices.

    >>> parse_end("file:talk.wav", "input")
    FileEnd(path='talk.wav')
    """
    if text == NULL:
        return NullEnd()
    path = text.removeprefix(FILE)
    if not path.strip():
        raise UsageError(
            f"{text!r} is no {kind}: wanted {DEFAULT_NAMES[kind]}, an index, part of a device's "
            f"name, {FILE}PATH or {NULL}"
        )
    return FileEnd(path) if path != text else DeviceEnd(text)
