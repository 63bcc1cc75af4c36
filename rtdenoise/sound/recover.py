"""Recovery of recordings that were not finished: what is there becomes a file of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..audio import Samples
from ..errors import AudioError, Problem, printable, reason_of
from .formats import encoding
from .growing import in_use
from .pending import same_file
from .reader import SoundReader
from .writer import SoundWriter

PART_NAME = re.compile(r"(?P<target>.+)\.part(?P<number>\d*)\.wav")  # see `growing.PART`
RECOVERED = ".recovered"


@dataclass(frozen=True)
class Recovered:
    """A recording that was recovered.

    Attributes:
        source: Name of the file that was not finished; it is as before.
        output: Name of the new file.
        seconds: Length of the sound in it.
        missing: What of the file could not be read, in words. Empty: all was read.
    """

    source: str
    output: str
    seconds: float
    missing: str = ""


def unfinished(folder: str | Path, target: str = "") -> list[Path]:
    """Return the recordings in *folder* that were not finished, in the order of their names.

    Args:
        folder: Name of the folder.
        target: Name that the recordings were to have in the folder. Empty: any.

    Raises:
        AudioError: If the folder cannot be read.
    """
    try:
        names = sorted(path.name for path in Path(folder).iterdir())
        parts = [part for name in names if (part := PART_NAME.fullmatch(name))]
        return [Path(folder, part[0]) for part in parts if target in ("", part["target"])]
    except OSError as error:
        reason = reason_of(error)
        raise AudioError(f"cannot read the folder {printable(folder)}: {reason}") from None


def recovered_name(path: str | Path) -> Path:
    """Return the name for what is recovered from a file.

    >>> print(recovered_name("talk.flac.part.wav"), recovered_name("talk.flac.part2.wav"))
    talk.recovered.flac talk.recovered2.flac
    >>> print(recovered_name("other.wav"))
    other.recovered.wav
    """
    path, number = Path(path), ""
    if part := PART_NAME.fullmatch(path.name):
        path, number = path.with_name(part["target"]), part["number"]
    return path.with_name(f"{path.stem}{RECOVERED}{number}{path.suffix}")


def recover(
    path: str | Path, output: str | Path | None = None, overwrite: bool = False
) -> Recovered:
    """Write what is in an unfinished recording into a new file, in the format that was wanted.

    The header is not believed, and the recording is only read. It may be of any recorder.

    Args:
        path: Name of the recording.
        output: Name of the new file. None: that of `recovered_name`.
        overwrite: Whether the new file may replace an existing one.

    Raises:
        AudioError: If the file is missing, no sound file, empty, or being recorded now, or if the
            new file exists or cannot be written.
    """
    target = Path(output) if output is not None else recovered_name(path)
    if os.path.isfile(path) and in_use(path):
        raise AudioError(f"{printable(path)} is being recorded now: end that run first")
    if same_file(path, target):
        raise AudioError(f"{printable(target)} is the recording itself", Problem.ITSELF)
    with SoundReader(path) as reader:
        losses = list[str]()
        if PART_NAME.fullmatch(Path(path).name):
            format, subtype = None, None  # those that its recorder would have chosen
        else:
            format, subtype = encoding(target, reader)
        writer = SoundWriter(
            target, reader.rate, reader.channels, format, subtype, overwrite=overwrite, like=path
        )
        with writer:
            for block in _readable(reader, losses):
                writer.write(block)
            if writer.frames == 0:
                raise AudioError(f"{printable(path)} holds no sound: nothing was recorded")
    return Recovered(str(path), str(target), writer.frames / reader.rate, "".join(losses))


def _readable(reader: SoundReader, losses: list[str]) -> Iterator[Samples]:
    """Yield all that can be read, and put what is said of the rest into *losses*."""
    try:
        yield from reader
    except AudioError as error:
        if error.problem is not Problem.PARTIAL:
            raise
        losses.append(str(error))
