"""All samples of a kind in the memory of a device."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .cache import Contents

BLOCK = 4800  # samples of a block of the activity table: 0.1 s; each file begins at such a block
STEP = 16  # of so many samples one is looked at
ACTIVE = 30  # absolute int16 value above which a sample counts as active: -61 dBFS
PIECE = 1 << 27  # samples copied to a device at a time


@dataclass(frozen=True)
class Held:
    """The samples of a kind on a device, file after file.

    Attributes:
        samples: The int16 samples of all parts, (samples,).
        first: Place of the first sample of each part, by the number of the part, (parts,).
    """

    samples: Tensor
    first: NDArray[np.int64]

    @cached_property
    def activity(self) -> NDArray[np.float64]:
        """The sum of the activity of the blocks before each block, (blocks + 2,).

        The difference of two entries is the activity of the stretch between them, in blocks.
        """
        parts = []
        for at in range(0, len(self.samples) - BLOCK + 1, BLOCK * 10_000):
            piece = self.samples[at : at + BLOCK * 10_000]
            piece = piece[: len(piece) // BLOCK * BLOCK].view(-1, BLOCK)[:, ::STEP]
            parts.append((piece.abs() > ACTIVE).float().mean(1).cpu().numpy())
        active = np.concatenate(parts) if parts else np.zeros(0)
        total = np.concatenate([[0.0], np.cumsum(active, dtype=np.float64)])
        return np.append(total, total[-1:])


_loaded: dict[tuple[object, ...], Held] = {}  # training and development side share their samples


def fits(
    contents: Contents,
    kinds: Iterable[str],
    parts: NDArray[np.bool_],
    device: torch.device,
    share: float,
) -> bool:
    """Whether what is not on a device yet fills at most this *share* of its free memory.

    Args:
        contents: The cache.
        kinds: Kinds of the samples.
        parts: Which parts of the cache are wanted, (parts,).
        device: The device; only a GPU can be too small.
        share: Share of the free memory.
    """
    if device.type != "cuda":
        return True
    size = sum(
        2 * int(_places(contents, kind, parts)[-1])
        for kind in kinds
        if _key(contents, kind, parts, device) not in _loaded
    )
    return size <= share * torch.cuda.mem_get_info(device)[0]


def hold(contents: Contents, kind: str, parts: NDArray[np.bool_], device: torch.device) -> Held:
    """Copy all samples of a kind to a device; a process does it once. Arguments as above."""
    key = _key(contents, kind, parts, device)
    if key not in _loaded:
        places = _places(contents, kind, parts)
        samples = torch.zeros(int(places[-1]), dtype=torch.int16, device=device)
        for code in np.flatnonzero(np.diff(places)).tolist():
            file = contents.samples(kind, code)
            for at in range(0, len(file), PIECE):
                piece = torch.from_numpy(np.array(file[at : at + PIECE]))  # torch wants to write
                first = int(places[code]) + at
                samples[first : first + len(piece)] = piece.to(device)
        _loaded[key] = Held(samples, places[:-1])
    return _loaded[key]


def _key(
    contents: Contents, kind: str, parts: NDArray[np.bool_], device: torch.device
) -> tuple[object, ...]:
    return (str(contents.cache.resolve()), kind, parts.tobytes(), str(device))


def _places(contents: Contents, kind: str, parts: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the place of each part, and the end of the last, (parts + 1,)."""
    sizes = np.zeros(len(parts), np.int64)
    for code in np.flatnonzero(parts).tolist():
        path = contents.path(kind, code)
        sizes[code] = path.stat().st_size // 2 if path.is_file() else 0
    return np.append(0, np.cumsum(-(-sizes // BLOCK) * BLOCK))
