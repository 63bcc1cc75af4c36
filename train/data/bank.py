"""The recordings of a library drawn as a whole batch of excerpts at once, at any speed.

`Library` draws one excerpt at a time, which suits a CPU but keeps a GPU waiting. Here the draws of
a batch are a few numpy operations, and its samples are one gather. A GPU holds all samples; for a
CPU the excerpts are read from the disk. All random numbers come from numpy, so a seed gives the
same batch on every device.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtdenoise.errors import UsageError

from .held import ACTIVE, BLOCK, STEP, Held, fits, hold
from .layouts import KINDS
from .library import ACTIVE_SHARE, TRIES, Library

RATE_HZ = 48_000  # the rate at which scenes are simulated

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]


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


class Bank:
    """The recordings of one side of a cache, for a device.

    Args:
        library: The recordings and how often each is drawn.
        device: Device of the excerpts; a GPU also gets all samples.
        wanted: Kinds of the recordings that will be drawn.

    Raises:
        UsageError: the samples do not fit on the device.
    """

    def __init__(
        self, library: Library, device: torch.device, wanted: Collection[str] = KINDS
    ) -> None:
        self.library, self.device = library, device
        self.held: dict[str, Held] = {}
        if device.type == "cpu":
            return
        kinds = [kind for kind in KINDS if kind in wanted and self.has(kind)]
        if not fits(library.contents, kinds, library.parts, device, 0.8):
            free = torch.cuda.mem_get_info(device)[0]
            raise UsageError(
                f"the samples of {library.cache} do not fit on the GPU, which has {free >> 20} MiB "
                "free; train on a part of the data"
            )
        self.held = {kind: hold(library.contents, kind, library.parts, device) for kind in kinds}

    def has(self, kind: str) -> bool:
        """Whether this side has recordings of *kind*."""
        return bool(self.library.recordings[kind])

    def places(
        self, kind: str, need: Numbers, rng: np.random.Generator
    ) -> tuple[Places, Places, Places]:
        """Draw the places of excerpts.

        Of speech and music, `TRIES` places are drawn for each excerpt, and the first that is not
        mostly silence is taken.

        Args:
            kind: speech, noise or music.
            need: Length of each excerpt in samples, (rows,).
            rng: Source of the random numbers.

        Returns:
            Row in the index, first sample and available length of each excerpt, all (rows,).
        """
        tries = 1 if kind == "noise" else TRIES
        full = np.ceil(need).astype(np.int64)[:, None] + 3
        pick = self.library.recordings[kind].draw(rng.random((len(need), tries)))
        start, stop = (self.library.index.column[name][pick] for name in ("start", "stop"))
        choices = np.maximum(stop - start - full + 1, 1)
        at = start + (rng.random((len(need), tries)) * choices).astype(np.int64)
        length = np.minimum(full, stop - at)
        row = np.arange(len(need))
        column = self._first_active(kind, pick, at, length, full) if tries > 1 else 0 * row
        return pick[row, column], at[row, column], length[row, column]

    def _first_active(
        self, kind: str, pick: Places, at: Places, length: Places, full: Places
    ) -> Places:
        """Return which of the tries (rows, tries) is the first that is not mostly silence."""
        if held := self.held.get(kind):
            at = at + self._first(kind, pick)
            blocks = held.activity[(at + length) // BLOCK] - held.activity[at // BLOCK]
            return np.asarray((blocks * BLOCK / full > ACTIVE_SHARE).argmax(1))
        column = np.zeros(len(pick), np.int64)
        for row, tries in enumerate(zip(pick.tolist(), at.tolist(), length.tolist(), strict=True)):
            for number, (where, first, count) in enumerate(zip(*tries, strict=True)):
                begin, end = first // BLOCK * BLOCK, (first + count) // BLOCK * BLOCK
                piece = self.library.sound(where, begin, end - begin)[::STEP]
                if (np.abs(piece) > ACTIVE).sum() * STEP / full[row] > ACTIVE_SHARE:
                    column[row] = number
                    break
        return column

    def _first(self, kind: str, pick: Places) -> Places:
        """Return the places of the files with the recordings of rows among the held samples."""
        return self.held[kind].first[self.library.index.texts["part"].codes[pick]]

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
        pick, at, length = self.places(kind, samples * speed, rng)
        hz = self.library.index.column["bandwidth_hz"][pick]
        store, at = self._stored(kind, pick, at, length)
        length = np.maximum(length, 4)
        first, count = put(at, self.device)[:, None], put(length, self.device)[:, None]
        # float64, because at sample 100,000 a float32 position is 0.008 off: audible noise.
        place = torch.arange(samples, device=self.device, dtype=torch.float64)
        place = place * put(speed, self.device).double()[:, None]
        if kind != "speech":
            place = place % (count - 3)
        whole = place.long()
        share = (place - whole).float()
        last = count - 1
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

    def _stored(self, kind: str, pick: Places, at: Places, length: Places) -> tuple[Tensor, Places]:
        """Return samples that hold the excerpts, and the places of these in them."""
        if kind in self.held:
            return self.held[kind].samples, at + self._first(kind, pick)
        store = np.zeros((len(pick), max(4, length.max())), np.int16)
        for row, place in enumerate(zip(pick.tolist(), at.tolist(), length.tolist(), strict=True)):
            store[row, : place[2]] = self.library.sound(*place)
        return torch.from_numpy(store.ravel()), np.arange(len(pick)) * store.shape[1]
