"""The recordings of one side of the split of a cache, drawn as excerpts from the disk.

`prepare` makes caches, and split.py divides them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtdenoise.errors import UsageError

from ..errors import ArgumentError
from ..sections import Data
from .cache import Contents, read
from .held import ACTIVE, STEP, Held, fits, hold
from .index import ALL_KINDS, ROOMS, Column
from .layouts import KINDS
from .rows import Lot, Rows
from .split import OTHER, kinds_on

TRIES = 12  # excerpts drawn, if sound is wanted, before one that is mostly silence is taken
ACTIVE_SHARE = 0.35  # share of an excerpt that has to be active
NARROW_HZ = 8000  # speech whose band ends here or below is drawn less often
Excerpts = NDArray[np.float32]


def is_active(piece: NDArray[np.int16], samples: int) -> bool:
    """Say whether sound above -61 dBFS fills more than 35 % of an excerpt of *samples*.

    Args:
        piece: What there is of the excerpt, (n,); silence fills it up.
        samples: Length of the excerpt.
    """
    return bool((np.abs(piece[::STEP]) > ACTIVE).mean() * len(piece) > ACTIVE_SHARE * samples)


class Library:
    """The recordings of one side of the split, and the excerpts drawn from them.

    Opening looks at every row once, in numpy. Then a process keeps about three bytes a row for
    itself; the rows are mapped from the disk, so all processes of a machine share them.

    Args:
        cache: Folder that `prepare` wrote.
        data: Settings of the split and of the drawing.
        side: train, dev or test.
        parts: Names of the parts of the cache to take recordings from; None means all.
        contents: The cache, if it was read before.

    Raises:
        UsageError: the folder is no cache, or a damaged one, or one of another rate, or the side is
            empty.
    """

    def __init__(
        self,
        cache: Path,
        data: Data,
        side: str = "train",
        parts: Collection[str] | None = None,
        contents: Contents | None = None,
    ) -> None:
        self.cache, self.data, self.side = cache, data, side
        self.contents = contents or read(cache)
        self.index, self.rate_hz = self.contents.index, self.contents.rate_hz
        if self.rate_hz != data.rate_hz:
            raise ArgumentError(
                f"{cache} is at {self.rate_hz} Hz, but data.rate_hz = {data.rate_hz}", "cache"
            )
        self._part = self.index.texts["part"]
        self.parts = np.ones(len(self._part), bool) if parts is None else self._part.among(parts)
        self.here = kinds_on(self.index, data, side)
        if parts is not None:
            for rows in self.index.pieces():
                self.here[rows][~self.parts[self._part.codes[rows]]] = OTHER
        self.recordings = {
            kind: Lot(self.index, partial(self._is, kind), partial(self._weights, kind))
            for kind in KINDS
        }
        if not any(self.recordings.values()):
            raise UsageError(f"nothing on the {self.side} side of {cache}")
        self.rooms = Rows(self.index, partial(self._is, ROOMS))
        self._held: dict[str, Held] = {}
        self._twins: dict[str, Rows] = {}

    def another(self, side: str) -> Library:
        """Return another side of the same cache, which is not read again."""
        return Library(self.cache, self.data, side, contents=self.contents)

    def _is(self, kind: str, rows: Column | slice) -> NDArray[np.bool_]:
        """Whether rows are of *kind* and on this side."""
        return np.asarray(self.here[rows] == ALL_KINDS.index(kind))

    def _weights(self, kind: str, rows: Column) -> NDArray[np.float64]:
        """Return how often rows are drawn, relative to each other."""
        length = self._lengths(rows)
        weight = np.maximum(length, self.data.seconds * self.rate_hz) ** self.data.length_power
        if kind == "speech":
            narrow = self.index.column["bandwidth_hz"][rows] <= NARROW_HZ
            weight = weight * np.where(narrow, self.data.narrow_weight, 1.0)
        return np.asarray(weight)

    def _lengths(self, rows: Column) -> NDArray[np.int64]:
        """Return the length of the recordings of rows, in samples."""
        return np.asarray(self.index.column["stop"][rows] - self.index.column["start"][rows])

    def need(self, *kinds: str) -> None:
        """Check, before any time is spent, that this side has recordings of *kinds*.

        Raises:
            UsageError: a kind is missing; the message names it and the side.
        """
        for kind in kinds:
            if not self.recordings.get(kind):
                raise UsageError(f"there is no {kind} on the {self.side} side of {self.cache}")

    def samples_of_sources(self, kind: str) -> NDArray[np.int64]:
        """Sum the lengths of each source's recordings of *kind*, (sources,), in samples.

        A source has its number in the index; see `index.Texts`.
        """
        codes = self.index.texts["source"].codes
        total = np.zeros(len(self.index.texts["source"]), np.int64)
        for rows in self.recordings[kind].pieces():
            np.add.at(total, codes[rows], self._lengths(rows))
        return total

    def heard(self, *kinds: str, above_hz: float = 0.0) -> NDArray[np.bool_]:
        """Return which sources have recordings on this side, (sources,).

        Args:
            kinds: Kinds of the recordings; none means any.
            above_hz: Recordings with a bandwidth of this or less do not count.
        """
        codes, hz = self.index.texts["source"].codes, self.index.column["bandwidth_hz"]
        found = np.zeros(len(self.index.texts["source"]), bool)
        for kind in kinds or KINDS:
            for rows in self.recordings[kind].pieces():
                found[codes[rows[hz[rows] > above_hz]]] = True
        return found

    def sources(self, *kinds: str, above_hz: float = 0.0) -> set[str]:
        """Return the names of the sources that `heard` finds."""
        name = self.index.texts["source"].name
        found = np.flatnonzero(self.heard(*kinds, above_hz=above_hz))
        return {name(code) for code in found.tolist()}

    def origins(self, *kinds: str) -> dict[str, str]:
        """Return the origin of each source that `heard` finds."""
        texts, codes = self.index.texts, np.flatnonzero(self.heard(*kinds)).tolist()
        rows = (self.index.rows_of(texts["source"].name(code))[:1] for code in codes)
        of = (texts["origin"].name(int(texts["origin"].codes[row][0])) for row in rows)
        return dict(zip((texts["source"].name(code) for code in codes), of, strict=True))

    def hours(self, kind: str) -> float:
        """Return the length of all recordings of *kind*, in hours."""
        lengths = (int(self._lengths(rows).sum()) for rows in self.recordings[kind].pieces())
        return sum(lengths) / self.rate_hz / 3600

    def reach_hz(self, kind: str) -> float:
        """Return the highest frequency in any recording of *kind*; 0 if there is none."""
        hz = self.index.column["bandwidth_hz"]
        return max(float(hz[rows].max(initial=0.0)) for rows in self.recordings[kind].pieces())

    def piece(
        self, kind: str, source: str, seconds: float, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Draw a stretch (samples,) of one source; a recording that is too short is repeated."""
        mine = self.index.rows_of(source)
        mine = mine[self._is(kind, mine)]
        row, samples = int(mine[rng.integers(len(mine))]), int(seconds * self.rate_hz)
        at, length = self._stretch(row, samples, rng)
        sound = self.sound(row, at, length).astype(np.float32) / 32768
        return np.asarray(np.tile(sound, samples // len(sound) + 1)[:samples], np.float32)

    def _stretch(self, row: int, samples: int, rng: np.random.Generator) -> tuple[int, int]:
        """Draw the first sample and the length of a stretch of a recording."""
        start, stop = (int(self.index.column[name][row]) for name in ("start", "stop"))
        at = start + int(rng.integers(max(1, stop - start - samples + 1)))
        return at, min(samples, stop - at)

    def sound(self, row: int, at: int, length: int, twin: bool = False) -> NDArray[np.int16]:
        """Read a stretch of the file that holds the recording of a row, or of its twins."""
        return self.contents.stretch(row, at, length, twin)

    def summary(self) -> list[dict[str, object]]:
        """Summarise the recordings for a card: origin, kind, hours and licences."""
        table: list[dict[str, object]] = []
        for kind in sorted(self.recordings):
            table += dict(sorted(self._summary_of(kind))).values()
        return table

    def _summary_of(self, kind: str) -> Iterator[tuple[str, dict[str, object]]]:
        """Summarise the recordings of a kind; yields each origin with its row, in any order."""
        origin, licence = (self.index.texts[name] for name in ("origin", "licence"))
        samples = np.zeros(len(origin), np.int64)
        both = np.zeros(0, np.int64)  # an origin and a licence of it, as one number
        for rows in self.recordings[kind].pieces():
            np.add.at(samples, origin.codes[rows], self._lengths(rows))
            here = origin.codes[rows].astype(np.int64) * len(licence) + licence.codes[rows]
            both = np.union1d(both, here)
        for code in np.unique(both // max(1, len(licence))).tolist():
            first, end = np.searchsorted(both, [code * len(licence), (code + 1) * len(licence)])
            names = sorted(licence.name(number) for number in both[first:end] % len(licence))
            hours = round(int(samples[code]) / self.rate_hz / 3600, 3)
            name, told = origin.name(code), "; ".join(names[:4])
            yield name, {"name": f"{name} ({kind})", "hours": hours, "licence": told}

    def excerpts(
        self, kind: str, count: int, samples: int, rng: np.random.Generator, active: bool = False
    ) -> tuple[Excerpts, NDArray[np.float32]]:
        """Draw *count* excerpts.

        Args:
            kind: speech, noise or music.
            count: Number of excerpts.
            samples: Length of an excerpt. A recording that is too short is padded with silence if
                it is speech, and repeated otherwise.
            rng: Source of the random numbers.
            active: Draw an excerpt that is mostly silence again, 12 times at most.

        Returns:
            Audio (count, samples) with full scale 1, and the bandwidth in Hz (count,).
        """
        places = self._draw(kind, count, samples, rng, active)
        out = np.zeros((count, samples), np.float32)
        for number, place in enumerate(places.tolist()):
            piece = self.sound(*place)
            if kind != "speech" and len(piece) < samples:
                piece = np.tile(piece, samples // len(piece) + 1)[:samples]
            out[number, : len(piece)] = piece
        out /= 32768
        return out, self._bandwidth_hz(places[:, 0])

    def _bandwidth_hz(self, rows: Column) -> NDArray[np.float32]:
        """Return the bandwidth of the recordings of rows."""
        return np.asarray(self.index.column["bandwidth_hz"][rows], np.float32)

    def hold(self, device: torch.device) -> bool:
        """Copy all samples of this side's kinds to *device*, if they fill at most half of it.

        `excerpts_on` then neither reads the disk nor copies to the device.

        Returns:
            Whether the samples were copied.
        """
        kinds = [kind for kind, recordings in self.recordings.items() if recordings]
        if not fits(self.contents, kinds, self.parts, device, 0.5):
            return False
        self._held = {kind: hold(self.contents, kind, self.parts, device) for kind in kinds}
        return True

    def excerpts_on(
        self,
        device: torch.device,
        kind: str,
        count: int,
        samples: int,
        rng: np.random.Generator,
        active: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Draw the same excerpts as `excerpts`, on *device*; see `hold`."""
        if kind not in self._held:
            audio, bandwidth_hz = self.excerpts(kind, count, samples, rng, active)
            return torch.from_numpy(audio).to(device), torch.from_numpy(bandwidth_hz).to(device)
        places, held = self._draw(kind, count, samples, rng, active), self._held[kind]
        places[:, 1] += held.first[self._part.codes[places[:, 0]]]
        _, at, length = torch.from_numpy(places).to(device).T[:, :, None]
        column = torch.arange(samples, device=device)
        sound = held.samples[at + column % length].float() / 32768
        if kind == "speech":
            sound = sound * (column < length)
        return sound, torch.from_numpy(self._bandwidth_hz(places[:, 0])).to(device)

    def _draw(
        self, kind: str, count: int, samples: int, rng: np.random.Generator, active: bool
    ) -> NDArray[np.int64]:
        """Draw the row, the first sample and the length of each excerpt, (count, 3)."""
        self.need(kind)
        places = np.empty((count, 3), np.int64)
        for number in range(count):
            for _ in range(TRIES):
                row = int(self.recordings[kind].draw(rng.random()))
                place = (row, *self._stretch(row, samples, rng))
                if not active or is_active(self.sound(*place), samples):
                    break
            places[number] = place
        return places

    def pairs(
        self, kind: str, count: int, samples: int, rng: np.random.Generator
    ) -> tuple[Excerpts, Excerpts, NDArray[np.float32]]:
        """Draw *count* aligned excerpts of a data set of pairs.

        Returns:
            Degraded and clean audio (count, samples), and the bandwidth in Hz (count,).

        Raises:
            UsageError: no recording of this kind has a degraded twin.
        """
        paired = self.index.column["paired"]
        if kind not in self._twins:
            self._twins[kind] = Rows(self.index, lambda rows: self._is(kind, rows) & paired[rows])
        mine = self._twins[kind]
        if not mine:
            raise UsageError(f"{self.cache} holds no pairs of {kind}: it has no degraded twins")
        out = np.zeros((2, count, samples), np.float32)
        rows = np.empty(count, np.int64)
        for number in range(count):
            row = rows[number] = int(mine.nth(rng.integers(len(mine))))
            place = (row, *self._stretch(row, samples, rng))
            for side, twin in enumerate((True, False)):
                piece = self.sound(*place, twin)
                out[side, number, : len(piece)] = piece
        out /= 32768
        return out[0], out[1], self._bandwidth_hz(rows)
