"""Pairs on disk: a folder with clean/ and degraded/ (or noisy/), files of equal names in both.

`mixes` writes pairs.csv beside them: whose voice it is, and what the damage did to the level. A
folder without it is a set of pairs too; then speakers are not known, and no damage may change the
level.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtdenoise.audio import Samples
from rtdenoise.errors import AudioError, UsageError
from rtdenoise.sound.formats import SUFFIXES
from rtdenoise.sound.pending import Pending
from rtdenoise.sound.reader import SoundReader

from ..errors import ArgumentError
from .checks import Link, channel_of

SHORTEST_S = 0.25
MAX_APART_S = 0.05  # largest difference in length of two files of one take
DEGRADED = ("degraded", "noisy")
ORIGINS = "pairs.csv"
COLUMNS = ("pair", "speaker", "noise", "room", "gain_db", "lag", "polarity", "correlation", "steps")


@dataclass(frozen=True)
class Origin:
    """A row of pairs.csv: what a pair was made of.

    Attributes:
        speaker: Source of the clean sound; for music, the performance.
        noise: Sources of recorded noise with ` + ` between them; empty if there is none.
        room: The step that put it into a room; empty if there is none.
        made: Link of degraded and clean when they were made. Its gain, lag and polarity are exactly
            0, 0 and 1 unless a step was used whose damage changes them.
        steps: All steps, in the language of `rtdenoise degrade`.
    """

    speaker: str
    noise: str
    room: str
    made: Link
    steps: str


@dataclass(frozen=True)
class Pair:
    """A degraded file and its clean twin of the same name; None: its origin is not known."""

    name: str
    clean: Path
    degraded: Path
    origin: Origin | None = None


def read(path: Path) -> tuple[Samples, int]:
    """Read a whole file: samples (channels, samples) and sample rate.

    Raises:
        AudioError: the file cannot be read.
    """
    with SoundReader(path) as reader:
        blocks = list(reader)
        empty = np.zeros((reader.channels, 0), np.float32)
        return np.concatenate([empty, *blocks], axis=1), reader.rate


def sounds(folder: Path) -> dict[str, Path]:
    """List the sound files of a folder, by their names without suffix."""
    return {
        path.stem: path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    }


def find(folder: Path) -> list[Pair]:
    """List the pairs of a folder.

    Raises:
        UsageError: the folder lacks clean/ or degraded/, is empty, or a file has no twin; or its
            pairs.csv is of other pairs, or damaged.
    """
    degraded = next((folder / name for name in DEGRADED if (folder / name).is_dir()), None)
    if degraded is None or not (folder / "clean").is_dir():
        raise ArgumentError(
            f"{folder}: wanted a folder with clean/ and degraded/ (or noisy/), files of equal "
            "names in both",
            "data",
        )
    clean, dirty = sounds(folder / "clean"), sounds(degraded)
    if alone := sorted(clean.keys() ^ dirty.keys()):
        where = "clean" if alone[0] in clean else degraded.name
        raise UsageError(
            f"{folder}: {alone[0]} is in {where}/ only; {len(alone)} files lack a twin"
        )
    if not clean:
        raise UsageError(f"{folder}: there are no sound files in clean/")
    known = origins(folder / ORIGINS) if (folder / ORIGINS).is_file() else None
    if known is not None and (apart := sorted(clean.keys() ^ known.keys())):
        raise UsageError(
            f"{folder / ORIGINS} is not of these pairs ({apart[0]} is only in one of them): make "
            "the set again, or delete that file; then speakers and gains are not known"
        )
    return [Pair(n, clean[n], dirty[n], known[n] if known else None) for n in clean]


def origins(path: Path) -> dict[str, Origin]:
    """Read a pairs.csv.

    Raises:
        UsageError: it is damaged; the message names the line.
    """
    found: dict[str, Origin] = {}
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines, strict=True)
            if missing := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
                raise UsageError(
                    f"{path} has no column {missing[0]!r}; wanted {', '.join(COLUMNS)}"
                )
            for row in rows:
                try:
                    found[row["pair"]] = _origin(row)
                except (TypeError, ValueError) as error:
                    raise UsageError(f"{path}, line {rows.line_num}: {error}") from None
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    return found


def _origin(row: Mapping[str, str]) -> Origin:
    if None in row.values():
        raise ValueError("the line is too short")
    made = Link(
        int(row["lag"]), float(row["gain_db"]), int(row["polarity"]), float(row["correlation"])
    )
    if not (
        math.isfinite(made.gain_db) and 0 <= made.correlation <= 1 and made.polarity in (-1, 1)
    ):
        raise ValueError("gain_db, polarity or correlation is out of range")
    return Origin(row["speaker"], row["noise"], row["room"], made, row["steps"])


def stock(origins: Sequence[Origin]) -> str:
    """Say how many voices, noises and rooms stand behind pairs; a drawn room occurs once.

    >>> made = Link(0, 0.0, 1, 0.9)
    >>> stock([Origin("ann", "rain", "", made, ""), Origin("ann", "wind", "", made, "")])
    '1 voice, 2 noises, 0 rooms'
    """
    numbers = {
        "voice": len({o.speaker for o in origins}),
        "noise": len({name for o in origins for name in o.noise.split(" + ") if name}),
        "room": sum(bool(o.room) for o in origins),
    }
    return ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for word, n in numbers.items())


def write_origins(path: Path, found: Mapping[str, Origin]) -> None:
    """Write a pairs.csv of the origins by the names of the pairs."""
    with Pending(path) as pending, pending.path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for name, o in found.items():
            gain_db, correlation = f"{o.made.gain_db:.3f}", f"{o.made.correlation:.3f}"
            link = gain_db, o.made.lag, o.made.polarity, correlation
            writer.writerow([name, o.speaker, o.noise, o.room, *link, o.steps])


def load(pair: Pair) -> tuple[Samples, Samples, int]:
    """Read a pair: degraded and clean sound, both (channels, samples), and their sample rate.

    Raises:
        AudioError: a file cannot be read, or the two cannot be compared; the message says why.
    """
    degraded, rate_hz = read(pair.degraded)
    clean, clean_hz = read(pair.clean)
    if rate_hz != clean_hz:
        raise AudioError(f"{pair.name}: degraded is at {rate_hz} Hz, clean at {clean_hz} Hz")
    if degraded.shape[0] != clean.shape[0]:
        which = ""
        if degraded.shape[0] == 1:
            n = min(degraded.shape[1], clean.shape[1])
            which = f"; it resembles {channel_of(degraded[0, :n], clean[:, :n])}"
        raise AudioError(
            f"{pair.name}: degraded has {degraded.shape[0]} channels, clean {clean.shape[0]}{which}"
        )
    apart = abs(degraded.shape[1] - clean.shape[1])
    if apart > MAX_APART_S * rate_hz:
        raise AudioError(f"{pair.name}: the lengths differ by {apart} samples")
    n = min(degraded.shape[1], clean.shape[1])
    if n < SHORTEST_S * rate_hz:
        raise AudioError(f"{pair.name}: the files are shorter than {SHORTEST_S} s")
    for side, audio in (("degraded", degraded), ("clean", clean)):
        if not np.isfinite(audio).all():
            raise AudioError(f"{pair.name}: {side} holds NaN or infinity")
        for row, channel in enumerate(audio[:, :n]):
            if not channel.any():
                where = f" in channel {row}" if len(audio) > 1 else ""
                raise AudioError(f"{pair.name}: {side} is silent{where}")
    return degraded[:, :n], clean[:, :n], rate_hz


def shifted(audio: Samples, lag: int, samples: int) -> Samples:
    """Advance *audio* by *lag* samples (delay it, if negative) and make it *samples* long.

    >>> shifted(np.array([[0.0, 1.0, 2.0]], np.float32), 1, 3).tolist()
    [[1.0, 2.0, 0.0]]
    """
    out = np.zeros((audio.shape[0], samples), np.float32)
    part = audio[:, max(0, lag) :][:, : samples - max(0, -lag)]
    at = max(0, -lag)
    out[:, at : at + part.shape[1]] = part
    return out
