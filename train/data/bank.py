"""Recordings on the device of the net, drawn as a whole batch of excerpts at once, at any speed.

`Library` draws one excerpt at a time, which suits a CPU but keeps a GPU waiting. Here the draws of
a batch are a few numpy operations, and its samples are one gather. All random numbers come from
numpy, so a seed gives the same batch on every device.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtdenoise.errors import UsageError

from .library import Library

RATE_HZ = 48_000  # the rate at which scenes are simulated
BLOCK = 4800  # samples of a block of the activity table: 0.1 s
ACTIVE = 30  # absolute int16 value above which a sample counts as active: -61 dBFS
TRIES = 12  # places drawn for an excerpt of speech
PIECE = 1 << 27  # samples copied to a device at a time

Numbers = NDArray[np.float64]
_loaded: dict[tuple[str, str], Tensor] = {}  # training and development side share their samples
_activity: dict[tuple[str, str], Numbers] = {}


def put(values: NDArray[np.generic] | list[float], device: torch.device) -> Tensor:
    """Copy numbers (as float32) or indices (as int64) to *device* without waiting for it."""
    array = np.ascontiguousarray(values)
    kind = np.int64 if array.dtype.kind in "iu" else np.float32
    return torch.from_numpy(array.astype(kind)).to(device, non_blocking=True)


def some(count: int, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw *share* of *count* rows in random order; their number varies by one at most.

    It varies so little because cuFFT plans and caches one transform for each number of rows.
    """
    number = int(count * share + rng.random())
    return rng.permutation(count)[:number].astype(np.int64)


def samples_on(path: Path, device: torch.device) -> Tensor:
    """Return all int16 samples of a file on *device*; a CPU maps the file instead of reading it.

    A process loads every file once.

    Raises:
        UsageError: the samples do not fit on the device.
    """
    key = (str(path.resolve()), str(device))
    if key not in _loaded:
        mapped = torch.from_numpy(np.memmap(path, np.int16, "c"))  # c: torch wants it writable
        if device.type == "cuda":
            free = torch.cuda.mem_get_info(device)[0]
            if mapped.nbytes > 0.8 * free:
                raise UsageError(
                    f"{path} has {mapped.nbytes >> 20} MiB, but the GPU has {free >> 20} MiB free; "
                    "train on a part of the data"
                )
            there = torch.empty(len(mapped), dtype=torch.int16, device=device)
            for at in range(0, len(mapped), PIECE):
                there[at : at + PIECE] = mapped[at : at + PIECE].to(device)
            mapped = there
        _loaded[key] = mapped
    return _loaded[key]


class Bank:
    """The recordings of one side of a cache, on a device.

    Args:
        library: The recordings and how often each is drawn.
        device: Device of the samples and of the excerpts.
    """

    def __init__(self, library: Library, device: torch.device) -> None:
        self.device = device
        self.samples: dict[str, Tensor] = {}
        self.start: dict[str, NDArray[np.int64]] = {}
        self.stop: dict[str, NDArray[np.int64]] = {}
        self.hz: dict[str, Numbers] = {}
        self.chance, self.activity = library.chance, dict[str, Numbers]()
        for kind, recordings in library.recordings.items():
            if not recordings:
                continue
            self.samples[kind] = samples_on(library.cache / f"{kind}.i16", device)
            self.start[kind] = np.array([r.start for r in recordings])
            self.stop[kind] = np.array([r.stop for r in recordings])
            self.hz[kind] = np.array([r.bandwidth_hz for r in recordings], np.float64)
        if "speech" in self.samples:
            key = (str((library.cache / "speech.i16").resolve()), str(device))
            if key not in _activity:
                _activity[key] = _active_blocks(self.samples["speech"])
            self.activity["speech"] = _activity[key]

    def has(self, kind: str) -> bool:
        """Whether this side has recordings of *kind*."""
        return kind in self.samples

    def places(
        self, kind: str, need: Numbers, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], Numbers]:
        """Draw the places of excerpts.

        Of speech, `TRIES` places are drawn for each excerpt, and the first that is not mostly
        silence is taken.

        Args:
            kind: speech, noise or music.
            need: Length of each excerpt in samples, (rows,).
            rng: Source of the random numbers.

        Returns:
            First sample, available length and bandwidth in Hz of each excerpt, all (rows,).
        """
        tries = TRIES if kind in self.activity else 1
        rows, chance = len(need), self.chance[kind]
        full = np.ceil(need).astype(np.int64)[:, None] + 3
        pick = np.searchsorted(chance, rng.random((rows, tries)) * chance[-1], side="right")
        pick = pick.clip(max=len(chance) - 1)
        start, stop = self.start[kind][pick], self.stop[kind][pick]
        choices = np.maximum(stop - start - full + 1, 1)
        at = start + (rng.random((rows, tries)) * choices).astype(np.int64)
        length = np.minimum(full, stop - at)
        column = np.zeros(rows, np.int64)
        if tries > 1:
            active = self.activity[kind]
            share = (active[(at + length) // BLOCK] - active[at // BLOCK]) * BLOCK / full
            column = (share > 0.35).argmax(1)
        row = np.arange(rows)
        return at[row, column], length[row, column], self.hz[kind][pick[row, column]]

    def excerpts(
        self, kind: str, samples: int, speed: Numbers, rng: np.random.Generator
    ) -> tuple[Tensor, Numbers]:
        """Draw excerpts of one kind, each resampled to its speed.

        Args:
            kind: speech, noise or music. A recording that is too short is padded with silence if
                it is speech, and repeated otherwise.
            samples: Length of the excerpts.
            speed: Playback speeds (rows,), which scale pitch and vocal tract alike; at speed 1
                the samples are exactly those of the recording.
            rng: Source of the random numbers.

        Returns:
            Audio (rows, samples) with full scale 1, and the bandwidth in Hz (rows,).
        """
        at, length, hz = self.places(kind, samples * speed, rng)
        length = np.maximum(length, 4)
        first, count = put(at, self.device)[:, None], put(length, self.device)[:, None]
        # float64, because at sample 100,000 a float32 position is 0.008 off: audible noise.
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
        # The cubic of Catmull and Rom 1974: linear interpolation would attenuate the top octave.
        sound = b + 0.5 * share * (
            c - a + share * (2 * a - 5 * b + 4 * c - d + share * (3 * (b - c) + d - a))
        )
        if kind == "speech":
            sound = sound * (whole < count)
        return sound / 32768, np.minimum(hz * speed, 24_000.0)


def _active_blocks(samples: Tensor) -> Numbers:
    """Sum the activity of the blocks before each block, (blocks + 2,).

    The difference of two entries is the activity of the stretch between them, in blocks.
    """
    parts = []
    for at in range(0, len(samples) - BLOCK + 1, BLOCK * 10_000):
        piece = samples[at : at + BLOCK * 10_000]
        piece = piece[: len(piece) // BLOCK * BLOCK].view(-1, BLOCK)[:, ::16]
        parts.append((piece.abs() > ACTIVE).float().mean(1).cpu().numpy())
    active = np.concatenate(parts) if parts else np.zeros(0)
    total = np.concatenate([[0.0], np.cumsum(active, dtype=np.float64)])
    return np.append(total, total[-1:])
