"""Recordings where the net lives: excerpts of a whole batch at once, at any speed, without a loop.

`Library` draws one excerpt at a time, which is right on a CPU; a GPU would wait for it. Here all
draws of a batch are a few numpy operations, all samples one gather. What is drawn is drawn by
numpy, so a seed means the same on every device.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtdenoise.errors import UsageError

from .library import Library

RATE_HZ = 48_000  # of all that scenes are made of
BLOCK = 4800  # samples whose sounding is noted together: 0.1 s
LOUD = 30  # of 32768: -61 dBFS
TRIES = 12
PIECE = 1 << 27  # samples copied to a device at a time

Numbers = NDArray[np.float64]
_held: dict[tuple[str, str], Tensor] = {}  # training and development side share their samples
_loud: dict[tuple[str, str], Numbers] = {}


def put(values: NDArray[np.generic] | list[float], device: torch.device) -> Tensor:
    """Drawn numbers as float32, or indices as int64, on *device*, without waiting for it."""
    array = np.ascontiguousarray(values)
    kind = np.int64 if array.dtype.kind in "iu" else np.float32
    return torch.from_numpy(array.astype(kind)).to(device, non_blocking=True)


def some(count: int, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """About *share* of *count* places, in any order; how many differs by one at most.

    A GPU plans and remembers an FFT for each number of rows: let there be few.
    """
    number = int(count * share + rng.random())
    return rng.permutation(count)[:number].astype(np.int64)


def held(path: Path, device: torch.device) -> Tensor:
    """All int16 samples of a file on *device* (on a CPU: mapped); once a process.

    Raises:
        UsageError: they do not fit.
    """
    key = (str(path.resolve()), str(device))
    if key not in _held:
        mapped = torch.from_numpy(np.memmap(path, np.int16, "c"))  # c: torch wants it writable
        if device.type == "cuda":
            free = torch.cuda.mem_get_info(device)[0]
            if mapped.nbytes > 0.8 * free:
                raise UsageError(
                    f"{path} has {mapped.nbytes >> 20} MiB, the GPU {free >> 20} MiB free; "
                    "train on a part of the data"
                )
            there = torch.empty(len(mapped), dtype=torch.int16, device=device)
            for at in range(0, len(mapped), PIECE):
                there[at : at + PIECE] = mapped[at : at + PIECE].to(device)
            mapped = there
        _held[key] = mapped
    return _held[key]


class Bank:
    """One side of a cache on a device.

    Args:
        library: The side.
        device: Where excerpts are wanted.
    """

    def __init__(self, library: Library, device: torch.device) -> None:
        self.device = device
        self.samples: dict[str, Tensor] = {}
        self.start: dict[str, NDArray[np.int64]] = {}
        self.stop: dict[str, NDArray[np.int64]] = {}
        self.hz: dict[str, Numbers] = {}
        self.chance, self.sounding = library.chance, dict[str, Numbers]()
        for kind, recordings in library.recordings.items():
            if not recordings:
                continue
            self.samples[kind] = held(library.cache / f"{kind}.i16", device)
            self.start[kind] = np.array([r.start for r in recordings])
            self.stop[kind] = np.array([r.stop for r in recordings])
            self.hz[kind] = np.array([r.bandwidth_hz for r in recordings], np.float64)
        if "speech" in self.samples:
            key = (str((library.cache / "speech.i16").resolve()), str(device))
            if key not in _loud:
                _loud[key] = _sounding(self.samples["speech"])
            self.sounding["speech"] = _loud[key]

    def has(self, kind: str) -> bool:
        """Whether there is any of it on this side."""
        return kind in self.samples

    def places(
        self, kind: str, need: Numbers, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], Numbers]:
        """Where excerpts of *need* (rows,) samples start, how long each can be, their bandwidth.

        Of speech, of `TRIES` places the first that is not mostly silence.
        """
        tries = TRIES if kind in self.sounding else 1
        rows, chance = len(need), self.chance[kind]
        want = np.ceil(need).astype(np.int64)[:, None] + 3
        pick = np.searchsorted(chance, rng.random((rows, tries)) * chance[-1], side="right")
        pick = pick.clip(max=len(chance) - 1)
        start, stop = self.start[kind][pick], self.stop[kind][pick]
        room = np.maximum(stop - start - want + 1, 1)
        at = start + (rng.random((rows, tries)) * room).astype(np.int64)
        length = np.minimum(want, stop - at)
        column = np.zeros(rows, np.int64)
        if tries > 1:
            loud = self.sounding[kind]
            share = (loud[(at + length) // BLOCK] - loud[at // BLOCK]) * BLOCK / want
            column = (share > 0.35).argmax(1)
        row = np.arange(rows)
        return at[row, column], length[row, column], self.hz[kind][pick[row, column]]

    def excerpts(
        self, kind: str, samples: int, speed: Numbers, rng: np.random.Generator
    ) -> tuple[Tensor, Numbers]:
        """Rows of one kind, each at its speed (pitch and vocal tract move with it).

        Args:
            kind: speech (short ones end in silence), noise or music (short ones repeat).
            samples: Columns.
            speed: (rows,), 1 as recorded: then exactly its samples.
            rng: Decides.

        Returns:
            Audio (rows, samples), full scale 1, and each row's bandwidth in Hz (rows,).
        """
        at, length, hz = self.places(kind, samples * speed, rng)
        length = np.maximum(length, 4)
        first, count = put(at, self.device)[:, None], put(length, self.device)[:, None]
        # float64: at sample 100,000 a float32 position is 0.008 off, which is heard as noise.
        place = torch.arange(samples, device=self.device, dtype=torch.float64)
        place = place * put(speed, self.device).double()[:, None]
        if kind != "speech":
            place = place % (count - 3)
        whole = place.long()
        share = (place - whole).float()
        store, last = self.samples[kind], count - 1
        a, b, c, d = (
            store[(first + (whole + shift).clamp(min=0).minimum(last))].float()
            for shift in (-1, 0, 1, 2)
        )
        # Catmull and Rom's cubic: a line between samples would dull the top octave.
        sound = b + 0.5 * share * (
            c - a + share * (2 * a - 5 * b + 4 * c - d + share * (3 * (b - c) + d - a))
        )
        if kind == "speech":
            sound = sound * (whole < count)
        return sound / 32768, np.minimum(hz * speed, 24_000.0)


def _sounding(samples: Tensor) -> Numbers:
    """How many of the blocks before each are loud: (blocks + 2,), differences count a stretch."""
    parts = []
    for at in range(0, len(samples) - BLOCK + 1, BLOCK * 10_000):
        piece = samples[at : at + BLOCK * 10_000]
        piece = piece[: len(piece) // BLOCK * BLOCK].view(-1, BLOCK)[:, ::16]
        parts.append((piece.abs() > LOUD).float().mean(1).cpu().numpy())
    loud = np.concatenate(parts) if parts else np.zeros(0)
    total = np.concatenate([[0.0], np.cumsum(loud, dtype=np.float64)])
    return np.append(total, total[-1:])
