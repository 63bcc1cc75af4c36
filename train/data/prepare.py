"""Decoding of a data set into a cache: an int16 file for each kind and for its twins, and an index.

Memory does not grow with the data set: a few files are decoded at a time. Every recording that is
complete in the cache has a line in prepared.jsonl, so a run that was killed continues where it
stopped: samples without a line are cut off and decoded again. index.json is written last.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import soxr
from numpy.typing import NDArray

from rtdenoise.errors import AudioError, UsageError
from rtdenoise.sound.reader import SoundReader

from ..claim import claimed
from .bandwidth import measure
from .index import DEGRADED, INDEX, Recording
from .indexer import write_index
from .layouts import WIDE_HZ, Entry, find

DONE = "prepared.jsonl"
SHORTEST_S = 0.25
CLIPPED_SHARE = 1e-3  # share of samples at full scale above which a recording counts as clipped
TRUSTED = 0.975  # share of a bandwidth that is used: filters and codecs end a little early
MANY = 20  # recordings of a kind from which on it is said that most of them are one source
AGREE = 0.1  # share of a stated bandwidth that the measured one may differ by without being counted


@dataclass
class Decoded:
    """A file decoded for the cache, or the reason why it cannot be used.

    Attributes:
        audio: Mono samples at the rate of the cache, (samples,).
        twin: Samples of the degraded twin, of equal length; None if there is none.
        rate_hz: Sample rate of the file.
        bandwidth_hz: Measured bandwidth of the samples.
        fault: Why the file cannot be used; empty if it can.
        clipped: Whether too many samples are at full scale.
    """

    audio: NDArray[np.int16]
    twin: NDArray[np.int16] | None
    rate_hz: int
    bandwidth_hz: float = 0.0
    fault: str = ""
    clipped: bool = False


def prepare(
    folder: Path,
    cache: Path,
    rate_hz: int = 48_000,
    layout: str = "auto",
    kind: str = "speech",
    jobs: int = 2,
    skip_clipped: bool = False,
) -> Counter[str]:
    """Decode *folder* into *cache*, or continue a run that was interrupted.

    Args:
        folder: Root of the data set; see `layouts`.
        cache: Folder of the cache, which is created if necessary.
        rate_hz: Sample rate of the cache.
        layout: Layout of the data set, or `auto` to recognise it.
        kind: Kind of the recordings in plain folders.
        jobs: Number of files decoded at a time.
        skip_clipped: Leave out clipped recordings.

    Returns:
        Number of recordings that were used, and of those skipped for each reason.

    Raises:
        UsageError: folder or layout is unknown, the cache is of another rate or data set, or
            another process writes to it.
        AudioError: no recording can be used, or the cache cannot be written.
    """
    entries = find(folder, layout, kind)
    with claimed(cache):
        before = _read_done(cache, {"rate_hz": rate_hz, "folder": str(folder)})
        todo = [f for f in entries if f.path not in before]
        try:
            with _Writer(cache, before) as writer:
                for f, decoded in _decode_all(todo, rate_hz, jobs):
                    if skip_clipped and decoded.clipped and not decoded.fault:
                        decoded.fault = "clipped"
                    writer.add(f, decoded)
            return _finish(cache, rate_hz)
        except OSError as error:
            raise AudioError(
                f"cannot write the cache {cache}: {error.strerror}. The recordings decoded so far "
                "are kept; make room and run the same command again"
            ) from None


def _decode_all(entries: list[Entry], rate_hz: int, jobs: int) -> Iterator[tuple[Entry, Decoded]]:
    """Decode *entries* in order, only a few ahead, so that memory does not grow with the data."""
    left = iter(entries)
    with ThreadPoolExecutor(jobs) as pool:
        while group := list(islice(left, 4 * jobs)):
            yield from zip(group, pool.map(lambda f: _decode(f, rate_hz), group), strict=True)


def _decode(entry: Entry, rate_hz: int) -> Decoded:
    """Decode a file and its twin, and decide whether they can be used."""
    nothing = np.zeros(0, np.int16)
    try:
        audio, own_hz, clipped = _samples(entry.path, rate_hz)
        twin = _samples(entry.degraded, rate_hz)[0] if entry.degraded else None
    except (OSError, RuntimeError, ValueError) as error:
        return Decoded(nothing, None, rate_hz, fault=f"unreadable ({error})")
    fault = ""
    if len(audio) < SHORTEST_S * rate_hz:
        fault = f"shorter than {SHORTEST_S} s"
    elif np.abs(audio).max() < 4:
        fault = "silent"
    elif twin is not None and abs(len(twin) - len(audio)) > 0.1 * rate_hz:
        fault = "its degraded twin has another length"
    if twin is not None and not fault:
        twin = np.pad(twin[: len(audio)], (0, max(0, len(audio) - len(twin))))
    return Decoded(audio, twin, own_hz, measure(audio, rate_hz), fault, clipped)


def _samples(path: str, rate_hz: int) -> tuple[NDArray[np.int16], int, bool]:
    """Decode a file.

    Returns:
        Mono int16 samples at *rate_hz*, the file's own rate, and whether the file is clipped.

    Raises:
        ValueError: a sample is NaN or infinite.
    """
    parts, full, total, stream = [], 0, 0, None
    for block, own_hz in _blocks(path):
        if not np.isfinite(block).all():
            raise ValueError("NaN or infinite samples")
        full, total = full + int((np.abs(block) >= 0.9999).sum()), total + block.size
        mono = block.mean(1)
        if own_hz != rate_hz:
            stream = stream or soxr.ResampleStream(own_hz, rate_hz, 1, "float32", "HQ")
            mono = stream.resample_chunk(mono)
        parts.append(_as_int16(mono))
    if stream:
        parts.append(_as_int16(stream.resample_chunk(np.zeros(0, np.float32), last=True)))
    audio = np.concatenate(parts) if parts else np.zeros(0, np.int16)
    return audio, own_hz if parts else rate_hz, full > CLIPPED_SHARE * max(total, 1)


def _blocks(path: str) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Yield blocks (samples, channels) of a file in float32, each with the sample rate."""
    file, _, row = path.partition("#")
    if row:  # a row of an array file, 16 kHz
        data = np.load(file, mmap_mode="r")[int(row)]
        scale = 32768.0 if data.dtype.kind == "i" else 1.0
        yield np.asarray(data, np.float32).reshape(-1, 1) / scale, 16_000
        return
    with SoundReader(path) as sound:
        for block in sound:
            yield block.T, sound.rate


def _as_int16(mono: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.asarray((mono * 32767).clip(-32768, 32767), np.int16)


class _Writer:
    """A writer of a cache's files that records which recordings are complete in them."""

    def __init__(self, cache: Path, before: dict[str, dict[str, Any]]) -> None:
        self.cache, self.files = cache, dict[str, IO[bytes]]()
        self.at: Counter[str] = Counter()
        for line in before.values():
            if recording := line.get("recording"):
                self.at[recording["kind"]] = max(self.at[recording["kind"]], recording["stop"])
        self.done = (cache / DONE).open("a")
        for path in cache.glob("*.i16"):
            self._file(path.name, self.at[path.name.split(".")[0]])

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self.files.values():
            file.close()
        self.done.close()

    def _file(self, name: str, samples: int) -> IO[bytes]:
        """Open a file for appending after *samples*; later samples of a killed run are cut off."""
        if name not in self.files:
            file = (self.cache / name).open("ab")
            file.truncate(2 * samples)
            self.files[name] = file
        return self.files[name]

    def add(self, entry: Entry, decoded: Decoded) -> None:
        """Append a recording to the cache, then its line to prepared.jsonl."""
        line: dict[str, Any] = {"path": entry.path, "clipped": decoded.clipped}
        if decoded.fault:
            line["fault"] = decoded.fault
            print(f"skipped {entry.path}: {decoded.fault}")
        else:
            start = self.at[entry.kind]
            stop = start + len(decoded.audio)
            sides = [(f"{entry.kind}.i16", decoded.audio)]
            if decoded.twin is not None:
                sides.append((f"{entry.kind}{DEGRADED}", decoded.twin))
            for name, audio in sides:
                file = self._file(name, start)
                file.truncate(2 * start)  # zeros stand for the twins of recordings without one
                file.write(audio.tobytes())
                file.flush()
            own = min(entry.bandwidth_hz, decoded.rate_hz / 2)
            self.at[entry.kind] = stop
            line["measured_hz"] = decoded.bandwidth_hz
            if entry.bandwidth_hz < WIDE_HZ:
                line["stated_hz"] = entry.bandwidth_hz
            line["recording"] = asdict(
                Recording(
                    entry.kind, entry.source, entry.origin, entry.licence, start, stop,
                    min(own, decoded.bandwidth_hz), entry.split, decoded.twin is not None,
                    zlib.crc32(decoded.audio.tobytes()),
                )
            )  # fmt: skip
        self.done.write(json.dumps(line) + "\n")
        self.done.flush()


def _read_done(cache: Path, header: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Read the lines of an earlier run by path; its header has to be equal to *header*."""
    path = cache / DONE
    if not path.is_file():
        if (cache / INDEX).is_file():
            raise UsageError(f"{cache} is a finished cache; take another folder, or delete it")
        path.write_text(json.dumps(header) + "\n")
        return {}
    lines: list[dict[str, Any]] = []
    held = {file.name: file.stat().st_size for file in cache.glob("*.i16")}
    for text in path.read_bytes().splitlines():
        try:
            line = json.loads(text)
            if lines and not _holds(held, line):
                break
        except (ValueError, KeyError, TypeError):
            break
        lines.append(line)
    if not lines or lines[0] != header:
        raise UsageError(f"{cache} was begun from {lines[:1]}, not {header}; take another folder")
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {line["path"]: line for line in lines[1:]}


def _holds(held: dict[str, int], line: dict[str, Any]) -> bool:
    """Whether files of *held* bytes hold the samples of a line of prepared.jsonl.

    If a kill or a lost disk cut them, or the line, the recording is decoded again.
    """
    if line["path"] and (r := line.get("recording")):
        names = [f"{r['kind']}.i16", f"{r['kind']}{DEGRADED}"][: 1 + r["paired"]]
        return all(2 * r["stop"] <= held.get(name, 0) for name in names)
    return "fault" in line


def _finish(cache: Path, rate_hz: int) -> Counter[str]:
    """Write the index and print how many recordings were skipped, and why."""
    lines = [json.loads(text) for text in (cache / DONE).read_text().splitlines()][1:]
    recordings = [line["recording"] for line in lines if "recording" in line]
    for r in recordings:
        if r["bandwidth_hz"] < 0.9 * rate_hz / 2:
            r["bandwidth_hz"] *= TRUSTED
        r["bandwidth_hz"] = min(r["bandwidth_hz"], rate_hz / 2)
    counts = Counter(line["fault"].split(" (")[0] for line in lines if "fault" in line)
    counts["used"] = len(recordings)
    counts["clipped, kept"] = sum(line["clipped"] and "fault" not in line for line in lines)
    print(", ".join(f"{what}: {count}" for what, count in counts.items() if count))
    if not recordings:
        raise AudioError(
            f"nothing usable: all {sum(counts.values())} files were skipped, see above"
        )
    _report(lines, rate_hz)
    write_index(cache, rate_hz, (Recording(**r) for r in recordings))
    return counts


def _report(lines: list[dict[str, Any]], rate_hz: int) -> None:
    """Print how many stated bandwidths are wrong, and which source is most of a kind."""
    stated = [
        line["measured_hz"] / min(line["stated_hz"], rate_hz / 2)
        for line in lines
        if "stated_hz" in line and "measured_hz" in line
    ]
    less, more = (sum(r < 1 - AGREE for r in stated), sum(r > 1 + AGREE for r in stated))
    if less or more:
        print(
            f"bandwidth: of {len(stated)} that the manifest states, {less} are more than "
            f"{AGREE:.0%} above the measured one, and {more} below it; the smaller one is used"
        )
    sources: dict[str, Counter[str]] = {}
    for r in (line["recording"] for line in lines if "recording" in line):
        sources.setdefault(r["kind"], Counter())[r["source"]] += 1
    for kind, counts in sources.items():
        source, most = counts.most_common(1)[0]
        if counts.total() >= MANY and most > counts.total() / 2:
            print(
                f"{most} of {counts.total()} recordings of {kind} are one source, {source}, which "
                "is on one side of a split; name their speakers in a manifest if they are several"
            )
