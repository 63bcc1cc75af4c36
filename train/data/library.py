"""The recordings of a cache: memory-mapped int16, split by source, drawn as excerpts.

A *source* is a speaker, or one recording of noise. The split is by source, never by clip: with
clips of one speaker on both sides, the net would be scored on a voice from its training. `prepare`
makes caches.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtdenoise.errors import UsageError

from ..errors import ArgumentError
from ..sections import Data
from .cache import read
from .index import DEGRADED, INDEX as INDEX, Recording as Recording
from .layouts import KINDS

Excerpts = NDArray[np.float32]


def side_of(recording: Recording, data: Data) -> str:
    """Return train, dev or test; it depends on the recording alone, so all runs agree on it."""
    if recording.source in data.held_out_sources or recording.origin in data.held_out_origins:
        return "dev"
    if recording.split:
        return recording.split
    place = zlib.crc32(recording.source.encode()) % 10_000
    if place < data.dev_share * 10_000:
        return "dev"
    return "test" if place < (data.dev_share + data.test_share) * 10_000 else "train"


def is_active(piece: NDArray[np.int16], samples: int) -> bool:
    """Say whether sound above -61 dBFS fills more than 35 % of an excerpt of *samples*.

    Args:
        piece: What there is of the excerpt, (n,); silence fills it up.
        samples: Length of the excerpt.
    """
    return bool((np.abs(piece[::16]) > 30).mean() * len(piece) > 0.35 * samples)


class Library:
    """The recordings of one side of the split, and the excerpts drawn from them.

    Args:
        cache: Folder that `prepare` wrote.
        data: Settings of the split and of the drawing.
        side: train, dev or test.

    Raises:
        UsageError: the folder is no cache, or a damaged one, or one of another rate, or the side is
            empty.
    """

    def __init__(self, cache: Path, data: Data, side: str = "train") -> None:
        self.cache, self.data, self.side = cache, data, side
        self.contents = contents = read(cache)
        self.rate_hz = contents.rate_hz
        if self.rate_hz != data.rate_hz:
            raise ArgumentError(
                f"{cache} is at {self.rate_hz} Hz, but data.rate_hz = {data.rate_hz}", "cache"
            )
        self.recordings = {
            kind: [r for r in contents.recordings if r.kind == kind and side_of(r, data) == side]
            for kind in KINDS
        }
        if not any(self.recordings.values()):
            raise UsageError(f"nothing on the {self.side} side of {cache}")
        self._samples = {
            kind: np.memmap(cache / f"{kind}.i16", np.int16, "r")
            for kind in KINDS
            if self.recordings[kind]
        }
        self._on_device: dict[str, Tensor] = {}
        # `rng.choice(n, p=p)` sums p in every draw: 1 ms with 100,000 recordings.
        self.chance = {kind: np.cumsum(self._weights(kind)) for kind in self._samples}

    def _weights(self, kind: str) -> NDArray[np.float64]:
        """Return the probability of each recording, (recordings,)."""
        shortest = self.data.seconds * self.rate_hz
        recordings = self.recordings[kind]
        length = np.array([max(r.stop - r.start, shortest) for r in recordings])
        weight = length**self.data.length_power
        if kind == "speech":
            narrow = np.array([r.bandwidth_hz <= 8000 for r in recordings])
            weight = weight * np.where(narrow, self.data.narrow_weight, 1.0)
        return np.asarray(weight / weight.sum())

    def need(self, *kinds: str) -> None:
        """Check, before any time is spent, that this side has recordings of *kinds*.

        Raises:
            UsageError: a kind is missing; the message names it and the side.
        """
        for kind in kinds:
            if not self.recordings.get(kind):
                raise UsageError(f"there is no {kind} on the {self.side} side of {self.cache}")

    def sources(self) -> set[str]:
        """Return the names of all sources on this side."""
        return {r.source for recordings in self.recordings.values() for r in recordings}

    def hours(self, kind: str) -> float:
        """Return the length of all recordings of *kind*, in hours."""
        return sum(r.stop - r.start for r in self.recordings[kind]) / self.rate_hz / 3600

    def reach_hz(self, kind: str) -> float:
        """Return the highest frequency in any recording of *kind*; 0 if there is none."""
        return max((r.bandwidth_hz for r in self.recordings[kind]), default=0.0)

    def piece(
        self, kind: str, source: str, seconds: float, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Draw a stretch (samples,) of one source; a recording that is too short is repeated."""
        mine = [r for r in self.recordings[kind] if r.source == source]
        pick, samples = mine[rng.integers(len(mine))], int(seconds * self.rate_hz)
        at = pick.start + int(rng.integers(max(1, pick.stop - pick.start - samples + 1)))
        sound = self._samples[kind][at : min(at + samples, pick.stop)].astype(np.float32) / 32768
        return np.asarray(np.tile(sound, samples // len(sound) + 1)[:samples], np.float32)

    def summary(self) -> list[dict[str, object]]:
        """Summarise the recordings for a card: origin, kind, hours and licences."""
        rows: dict[tuple[str, str], list[Recording]] = {}
        for kind, recordings in self.recordings.items():
            for r in recordings:
                rows.setdefault((kind, r.origin), []).append(r)
        return [
            {
                "name": f"{origin} ({kind})",
                "hours": round(sum(r.stop - r.start for r in those) / self.rate_hz / 3600, 3),
                "licence": "; ".join(sorted({r.licence for r in those})[:4]),
            }
            for (kind, origin), those in sorted(rows.items())
        ]

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
        places, bandwidth_hz = self._draw(kind, count, samples, rng, active)
        out = np.zeros((count, samples), np.float32)
        for row, (at, length) in enumerate(places):
            piece = self._samples[kind][at : at + length]
            if kind != "speech" and length < samples:
                piece = np.tile(piece, samples // length + 1)[:samples]
            out[row, : len(piece)] = piece
        return np.asarray(out / 32768, np.float32), bandwidth_hz

    def hold(self, device: torch.device) -> bool:
        """Copy all samples of this side's kinds to *device*, if they fill at most half of it.

        `excerpts_on` then neither reads the disk nor copies to the device.

        Returns:
            Whether the samples were copied.
        """
        size = sum(samples.nbytes for samples in self._samples.values())
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 2 * size
        if 2 * size > free:
            return False
        self._on_device = {
            kind: torch.from_numpy(np.array(samples)).to(device)
            for kind, samples in self._samples.items()
        }
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
        if kind not in self._on_device:
            audio, bandwidth_hz = self.excerpts(kind, count, samples, rng, active)
            return torch.from_numpy(audio).to(device), torch.from_numpy(bandwidth_hz).to(device)
        places, bandwidth_hz = self._draw(kind, count, samples, rng, active)
        at, length = torch.tensor(places, device=device).T[:, :, None]
        column = torch.arange(samples, device=device)
        sound = self._on_device[kind][at + column % length].float() / 32768
        if kind == "speech":
            sound = sound * (column < length)
        return sound, torch.from_numpy(bandwidth_hz).to(device)

    def _draw(
        self, kind: str, count: int, samples: int, rng: np.random.Generator, active: bool
    ) -> tuple[list[tuple[int, int]], NDArray[np.float32]]:
        """Draw first sample and length of each excerpt; also returns its bandwidth in Hz."""
        places: list[tuple[int, int]] = []
        bandwidth_hz, chance = np.empty(count, np.float32), self.chance[kind]
        for row in range(count):
            for _ in range(12):
                place = np.searchsorted(chance, rng.random() * chance[-1], side="right")
                pick = self.recordings[kind][int(place)]
                length = pick.stop - pick.start
                at = pick.start + int(rng.integers(max(1, length - samples + 1)))
                length = min(samples, pick.stop - at)
                piece = self._samples[kind][at : at + length]
                if not active or is_active(piece, samples):
                    break
            places.append((at, length))
            bandwidth_hz[row] = pick.bandwidth_hz
        return places, bandwidth_hz

    def pairs(
        self, kind: str, count: int, samples: int, rng: np.random.Generator
    ) -> tuple[Excerpts, Excerpts, NDArray[np.float32]]:
        """Draw *count* aligned excerpts of a data set of pairs.

        Returns:
            Degraded and clean audio (count, samples), and the bandwidth in Hz (count,).

        Raises:
            UsageError: no recording of this kind has a degraded twin.
        """
        mine = [r for r in self.recordings[kind] if r.paired]
        if not mine:
            raise UsageError(f"{self.cache} holds no pairs of {kind}: it has no degraded twins")
        twins = np.memmap(self.cache / f"{kind}{DEGRADED}", np.int16, "r")
        out = np.zeros((2, count, samples), np.float32)
        bandwidth_hz = np.empty(count, np.float32)
        for row in range(count):
            r = mine[rng.integers(len(mine))]
            bandwidth_hz[row] = r.bandwidth_hz
            at = r.start + int(rng.integers(max(1, r.stop - r.start - samples + 1)))
            stop = min(at + samples, r.stop)
            for number, side in enumerate((twins, self._samples[kind])):
                out[number, row, : stop - at] = side[at:stop]
        out /= 32768
        return out[0], out[1], bandwidth_hz


def check_no_leak(*sides: Library) -> None:
    """Check that no two sides share a source or the same samples.

    Raises:
        UsageError: two sides share something; the message names it.
    """
    for number, one in enumerate(sides):
        for other in sides[number + 1 :]:
            shared = one.sources() & other.sources()
            digests = {r.digest: r.source for rs in one.recordings.values() for r in rs}
            copies = {
                f"{digests[r.digest]} = {r.source}"
                for rs in other.recordings.values()
                for r in rs
                if r.digest and r.digest in digests
            }
            if leaks := sorted(shared | copies):
                raise UsageError(
                    f"the split leaks: {', '.join(leaks[:5])} on both sides, "
                    f"{one.side} and {other.side}"
                )


def check(cache: Path, data: Data) -> str:
    """Tabulate hours, recordings and sources of every side of the split.

    Returns:
        The table as Markdown.

    Raises:
        UsageError: the split leaks, or the training or development side is empty, or a recording
            of the cache is damaged.
    """
    sides = [Library(cache, data, side) for side in ("train", "dev")]
    contents = sides[0].contents
    contents.check_samples((*contents.recordings, *contents.rooms))
    if data.test_share or any(r.split == "test" for r in sides[0].contents.recordings):
        sides.append(Library(cache, data, "test"))
    check_no_leak(*sides)
    lines = ["| side | kind | hours | recordings | sources |", "|---|---|---|---|---|"]
    for library in sides:
        for kind, recordings in library.recordings.items():
            sources = len({r.source for r in recordings})
            lines.append(
                f"| {library.side} | {kind} | {library.hours(kind):.2f} | {len(recordings)} "
                f"| {sources} |"
            )
    return "\n".join(lines) + "\n"
