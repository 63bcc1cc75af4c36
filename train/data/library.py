"""Recordings: memory-mapped int16, split by source, drawn as excerpts.

A *source* is a speaker, or one recording of noise. Sources are split, never clips: two clips of
one speaker on both sides would let the net know the voice it is scored on. `prepare` makes caches.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtdenoise.errors import UsageError

from ..config import Data
from ..errors import ArgumentError
from .layouts import KINDS

INDEX = "index.json"
DEGRADED = ".degraded.i16"  # after the kind
Excerpts = NDArray[np.float32]


@dataclass(frozen=True)
class Recording:
    """A stretch of the cache: samples start..stop of its kind's file.

    Attributes:
        kind: speech, noise or music.
        source: Who or what it is of.
        origin: The data set.
        licence: Licence of the recording.
        start: First sample.
        stop: After the last.
        bandwidth_hz: Highest frequency it holds.
        split: train, dev or test, where the data set has its own; empty: by hash.
        paired: Its degraded twin is in the cache too.
        digest: CRC-32 of the samples, to find one recording under two names; 0: not known.
    """

    kind: str
    source: str
    origin: str
    licence: str
    start: int
    stop: int
    bandwidth_hz: float
    split: str = ""
    paired: bool = False
    digest: int = 0


def side_of(recording: Recording, data: Data) -> str:
    """train, dev or test: a pure function of the source, so that no two runs can disagree."""
    if recording.source in data.held_out_sources or recording.origin in data.held_out_origins:
        return "dev"
    if recording.split:
        return recording.split
    place = zlib.crc32(recording.source.encode()) % 10_000
    if place < data.dev_share * 10_000:
        return "dev"
    return "test" if place < (data.dev_share + data.test_share) * 10_000 else "train"


class Library:
    """The recordings of one side of the split, from which it draws excerpts.

    Args:
        cache: What `prepare` made.
        data: The recipe's settings.
        side: train, dev or test.

    Raises:
        UsageError: no cache, one of another rate, or nothing on this side.
    """

    def __init__(self, cache: Path, data: Data, side: str = "train") -> None:
        if not (cache / INDEX).is_file():
            raise ArgumentError(f"no cache in {cache}", "cache")
        self.data = data
        index = json.loads((cache / INDEX).read_text())
        if isinstance(index, list):  # before caches said their rate
            index = {"rate_hz": 48_000, "recordings": index}
        self.side, self.rate_hz = side, int(index["rate_hz"])
        if self.rate_hz != data.rate_hz:
            raise ArgumentError(
                f"{cache} is at {self.rate_hz} Hz, data.rate_hz = {data.rate_hz}", "cache"
            )
        self.every = every = [Recording(**row) for row in index["recordings"]]
        self.recordings = {
            kind: [r for r in every if r.kind == kind and side_of(r, data) == side]
            for kind in KINDS
        }
        self.cache = cache
        if not any(self.recordings.values()):
            raise UsageError(f"nothing on the {self.side} side of {cache}")
        self._samples = {
            kind: np.memmap(cache / f"{kind}.i16", np.int16, "r")
            for kind in KINDS
            if self.recordings[kind]
        }
        self._held: dict[str, Tensor] = {}
        # What `rng.choice(n, p=p)` does inside, but once: 100,000 recordings take it 1 ms a draw.
        self.chance = {kind: np.cumsum(self._weights(kind)) for kind in self._samples}

    def _weights(self, kind: str) -> NDArray[np.float64]:
        """How often each recording is drawn."""
        shortest = self.data.seconds * self.rate_hz
        recordings = self.recordings[kind]
        length = np.array([max(r.stop - r.start, shortest) for r in recordings])
        weight = length**self.data.length_power
        if kind == "speech":
            narrow = np.array([r.bandwidth_hz <= 8000 for r in recordings])
            weight = weight * np.where(narrow, self.data.narrow_weight, 1.0)
        return np.asarray(weight / weight.sum())

    def need(self, *kinds: str) -> None:
        """Refuse before any time is spent, where a kind is missing.

        Raises:
            UsageError: it names the kind and the side.
        """
        for kind in kinds:
            if not self.recordings.get(kind):
                raise UsageError(f"no {kind} on the {self.side} side of {self.cache}")

    def sources(self) -> set[str]:
        """Everybody on this side."""
        return {r.source for recordings in self.recordings.values() for r in recordings}

    def hours(self, kind: str) -> float:
        """How much there is."""
        return sum(r.stop - r.start for r in self.recordings[kind]) / self.rate_hz / 3600

    def piece(
        self, kind: str, source: str, seconds: float, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """A stretch (samples,) of one source; what is too short repeats."""
        mine = [r for r in self.recordings[kind] if r.source == source]
        pick, samples = mine[rng.integers(len(mine))], int(seconds * self.rate_hz)
        at = pick.start + int(rng.integers(max(1, pick.stop - pick.start - samples + 1)))
        found = self._samples[kind][at : min(at + samples, pick.stop)].astype(np.float32) / 32768
        return np.asarray(np.tile(found, samples // len(found) + 1)[:samples], np.float32)

    def summary(self) -> list[dict[str, object]]:
        """What it holds, for a card: origin, kind, hours, licences."""
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
            count: Rows.
            samples: Columns; short noise repeats, short speech is padded with silence.
            rng: Decides.
            active: Draw again (12 times at most) while most of it is silence.

        Returns:
            Audio (count, samples), full scale 1, and each row's bandwidth in Hz (count,).
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
        """Put all samples of this side's kinds on *device*, if they fill at most half of it.

        `excerpts_on` then reads no disk and copies nothing.
        """
        size = sum(samples.nbytes for samples in self._samples.values())
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 2 * size
        if 2 * size > free:
            return False
        self._held = {
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
        """The same excerpts as `excerpts`, on *device*; from there, if it holds the samples."""
        if kind not in self._held:
            audio, bandwidth_hz = self.excerpts(kind, count, samples, rng, active)
            return torch.from_numpy(audio).to(device), torch.from_numpy(bandwidth_hz).to(device)
        places, bandwidth_hz = self._draw(kind, count, samples, rng, active)
        at, length = torch.tensor(places, device=device).T[:, :, None]
        column = torch.arange(samples, device=device)
        sound = self._held[kind][at + column % length].float() / 32768
        if kind == "speech":
            sound = sound * (column < length)
        return sound, torch.from_numpy(bandwidth_hz).to(device)

    def _draw(
        self, kind: str, count: int, samples: int, rng: np.random.Generator, active: bool
    ) -> tuple[list[tuple[int, int]], NDArray[np.float32]]:
        """First sample and length of each excerpt, and its bandwidth in Hz."""
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
                if not active or (np.abs(piece[::16]) > 30).mean() * length > 0.35 * samples:
                    break
            places.append((at, length))
            bandwidth_hz[row] = pick.bandwidth_hz
        return places, bandwidth_hz

    def pairs(
        self, kind: str, count: int, samples: int, rng: np.random.Generator
    ) -> tuple[Excerpts, Excerpts, NDArray[np.float32]]:
        """Draw *count* aligned excerpts (count, samples) of a data set of pairs.

        Returns:
            Degraded and clean, and each row's bandwidth in Hz (count,).

        Raises:
            UsageError: no recording of this kind has a twin.
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
    """Refuse a split that shares a speaker, a noise recording, or the same samples.

    Raises:
        UsageError: it names them.
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
            if found := sorted(shared | copies):
                raise UsageError(
                    f"the split leaks: {', '.join(found[:5])} on both sides, "
                    f"{one.side} and {other.side}"
                )


def check(cache: Path, data: Data) -> str:
    """Hours and sources of every side, as a table, before any time is spent.

    Raises:
        UsageError: a leak, or an empty training or development side.
    """
    sides = [Library(cache, data, side) for side in ("train", "dev")]
    if data.test_share or any(r.split == "test" for r in sides[0].every):
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
