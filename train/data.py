"""Recordings: decoded once to memory-mapped int16 at 48 kHz, split by source, drawn as excerpts.

A *source* is a speaker, or one recording of noise. Sources are split, never clips: two clips of
one speaker on both sides would let the net know the voice it is scored on.
"""

from __future__ import annotations

import csv
import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray

from rtdenoise.errors import AudioError, UsageError

from .config import Data

RATE_HZ = 48_000
KINDS = ("speech", "noise", "music")
Excerpts = NDArray[np.float32]


@dataclass(frozen=True)
class Recording:
    """A stretch of the cache: samples start..stop of its kind's file."""

    kind: str
    source: str
    origin: str
    licence: str
    start: int
    stop: int
    bandwidth_hz: float


def prepare(folder: Path, cache: Path, rate_hz: int = 48_000) -> None:
    """Decode a folder with a manifest.csv into *cache*, once: one int16 file a kind, and an index.

    Files that cannot be read are named, counted and skipped.

    Raises:
        UsageError: no manifest.
        AudioError: nothing usable.
    """
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        raise UsageError(f"no {manifest}: wanted columns path, kind, source_id, bandwidth_hz, ...")
    with manifest.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["kind"].split("-")[0] in KINDS]
    cache.mkdir(parents=True, exist_ok=True)
    index: list[dict[str, object]] = []
    bad: list[str] = []
    for kind in KINDS:
        at = 0
        mine = [row for row in rows if row["kind"].split("-")[0] == kind]
        with (cache / f"{kind}.part").open("wb") as out, ThreadPoolExecutor(2) as pool:
            audios = pool.map(lambda row: _decode(folder / row["path"], rate_hz), mine)
            for row, audio in zip(mine, audios, strict=True):
                if isinstance(audio, str):
                    bad.append(f"{row['path']}: {audio}")
                    continue
                out.write(audio.tobytes())
                bandwidth_hz = min(float(row["bandwidth_hz"]), rate_hz / 2)
                if "wb16k" in row["path"]:  # their codec ends a little below 8 kHz
                    bandwidth_hz = min(bandwidth_hz, 7800.0)
                recording = Recording(
                    kind, row["source_id"], row["origin"], row["licence"], at, at + len(audio),
                    bandwidth_hz,
                )  # fmt: skip
                index.append(asdict(recording))
                at += len(audio)
        (cache / f"{kind}.part").replace(cache / f"{kind}.i16")
    for line in bad:
        print(f"skipped {line}")
    if not index:
        raise AudioError(f"nothing usable in {folder}: {len(bad)} files skipped")
    (cache / "index.json").write_text(json.dumps({"rate_hz": rate_hz, "recordings": index}))


def _decode(path: Path, rate_hz: int) -> NDArray[np.int16] | str:
    """One file as mono int16, or why not."""
    try:
        audio, rate = sf.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        return str(error)
    mono = audio.mean(1)
    if rate != rate_hz:
        mono = soxr.resample(mono, rate, rate_hz, quality="HQ")
    if len(mono) < rate_hz // 4:
        return "shorter than 0.25 s"
    if not np.isfinite(mono).all() or np.abs(mono).max() < 1e-4:
        return "silent, or not a number"
    return np.asarray((mono * 32767).clip(-32768, 32767), np.int16)


def in_dev(recording: Recording, data: Data) -> bool:
    """Tell the side of the split; a pure function of the source, so no run can disagree."""
    if recording.source in data.held_out_sources or recording.origin in data.held_out_origins:
        return True
    return zlib.crc32(recording.source.encode()) % 10_000 < data.dev_share * 10_000


class Library:
    """Recordings of one side of the split, and excerpts of them.

    Args:
        cache: What `prepare` made.
        data: The recipe's settings.
        dev: The development side, or the training side.

    Raises:
        UsageError: no cache, one of another rate, or nothing on this side.
    """

    def __init__(self, cache: Path, data: Data, dev: bool = False) -> None:
        if not (cache / "index.json").is_file():
            raise UsageError(f"no cache in {cache}; make it: python -m train prepare DATA {cache}")
        self.data = data
        index = json.loads((cache / "index.json").read_text())
        if isinstance(index, list):  # before caches said their rate
            index = {"rate_hz": 48_000, "recordings": index}
        self.side, self.rate_hz = "development" if dev else "training", int(index["rate_hz"])
        if self.rate_hz != data.rate_hz:
            raise UsageError(
                f"{cache} is at {self.rate_hz} Hz, data.rate_hz = {data.rate_hz}; make another: "
                f"python -m train prepare DATA CACHE --rate {data.rate_hz}"
            )
        every = [Recording(**row) for row in index["recordings"]]
        self.recordings = {
            kind: [r for r in every if r.kind == kind and in_dev(r, data) == dev] for kind in KINDS
        }
        self.cache = cache
        if not any(self.recordings.values()):
            raise UsageError(f"nothing on the {self.side} side of {cache}")
        self._samples = {
            kind: np.memmap(cache / f"{kind}.i16", np.int16, "r")
            for kind in KINDS
            if self.recordings[kind]
        }
        self._chance = {kind: self._weights(kind) for kind in self._samples}

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
        out = np.zeros((count, samples), np.float32)
        bandwidth_hz = np.empty(count, np.float32)
        for row in range(count):
            for _ in range(12):
                pick = self.recordings[kind][
                    rng.choice(len(self._chance[kind]), p=self._chance[kind])
                ]
                length = pick.stop - pick.start
                at = pick.start + int(rng.integers(max(1, length - samples + 1)))
                piece = self._samples[kind][at : min(at + samples, pick.stop)]
                if not active or (np.abs(piece[::16]) > 30).mean() * len(piece) > 0.35 * samples:
                    break
            if kind != "speech" and len(piece) < samples:
                piece = np.tile(piece, samples // len(piece) + 1)[:samples]
            out[row, : len(piece)] = piece
            bandwidth_hz[row] = pick.bandwidth_hz
        return np.asarray(out / 32768, np.float32), bandwidth_hz


def check_no_leak(train: Library, dev: Library) -> None:
    """Refuse a split that shares a speaker or a noise recording.

    Raises:
        UsageError: it names them.
    """
    if shared := sorted(train.sources() & dev.sources()):
        raise UsageError(f"the split leaks: {', '.join(shared[:5])} on both sides")
