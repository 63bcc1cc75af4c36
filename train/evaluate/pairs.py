"""Pairs on disk: a folder with clean/ and degraded/ (or noisy/), files of equal names in both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtdenoise.audio import Samples
from rtdenoise.errors import AudioError, UsageError
from rtdenoise.files.formats import SUFFIXES
from rtdenoise.files.reader import SoundReader

from ..errors import ArgumentError

SHORTEST_S = 0.25
MAX_APART_S = 0.05  # largest difference in length of two files of one take
DEGRADED = ("degraded", "noisy")


@dataclass(frozen=True)
class Pair:
    """A degraded file and its clean twin of the same name."""

    name: str
    clean: Path
    degraded: Path


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
        UsageError: the folder lacks clean/ or degraded/, is empty, or a file has no twin.
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
    return [Pair(name, clean[name], dirty[name]) for name in clean]


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
            from .checks import channel_of

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
        if not audio.any():
            raise AudioError(f"{pair.name}: {side} is silent")
    return degraded[:, :n], clean[:, :n], rate_hz
