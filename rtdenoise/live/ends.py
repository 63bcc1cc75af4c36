"""The ends of the line, and the one place where a user's word becomes one.

mic, speakers, an index, part of a name -> DeviceEnd      file:PATH -> FileEnd      null -> NullEnd
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError
from .devices import DEFAULT_NAMES, Kind

FILE, NULL = "file:", "null"


@dataclass(frozen=True)
class DeviceEnd:
    """A sound device.

    Attributes:
        wanted: Index, part of its name, `mic` or `speakers`; `devices.choose` finds it.
    """

    wanted: str


@dataclass(frozen=True)
class FileEnd:
    """A sound file: what is played as the input, or what holds the output.

    Attributes:
        path: Its name.
    """

    path: str


@dataclass(frozen=True)
class NullEnd:
    """Nothing: silence as the input, nowhere as the output."""


End = DeviceEnd | FileEnd | NullEnd


def parse_end(text: str, kind: Kind) -> End:
    """The end that *text* means.

    Args:
        text: `mic`, `speakers`, an index, part of a device's name, `file:PATH` or `null`.
        kind: Which end of the line it is.

    Raises:
        UsageError: no text, or a file without a name; it lists the choices.

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
