"""Decode the parts of a corpus (Ogg Opus and index.json in part01, part02, ..) into a cache.

    python3 tools/unpack_parts.py PARTS CACHE

The index of a part has "files", each {file, kind, samples}, and "recordings", each a stretch of a
file: {file, start, stop} and the fields of `train.data.library.Recording`; those of kind rir go to
"rooms". The cache has the format of `python -m train prepare`. All cores decode, and the order
depends on the parts alone.
"""

from __future__ import annotations

import json
import sys
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

KINDS = ("speech", "noise", "music", "rir")
KEPT = ("kind", "source", "origin", "licence", "bandwidth_hz", "split")
RATE_HZ = 48_000
Place = tuple[int, int, int, int]  # number of the recording, start and stop in the file, its place
Job = tuple[Path, int, Path, list[Place]]


def decode(job: Job) -> list[tuple[int, int]]:
    """Write a file's recordings to their places; returns number and CRC-32 of each."""
    path, samples, target, places = job
    x, rate_hz = sf.read(path, dtype="float32")
    if rate_hz != RATE_HZ or x.shape != (samples,):
        raise SystemExit(
            f"{path} has {rate_hz} Hz and shape {x.shape}; expected {samples} at {RATE_HZ} Hz, mono"
        )
    out, digests = np.memmap(target, np.int16, "r+"), []
    for number, start, stop, at in places:
        piece = np.clip(np.round(x[start:stop] * 32767), -32768, 32767).astype(np.int16)
        out[at : at + stop - start] = piece
        digests.append((number, zlib.crc32(piece.tobytes())))
    out.flush()
    return digests


def plan(parts: Path, cache: Path) -> tuple[list[dict[str, Any]], list[Job]]:
    """Create the empty files; returns every recording with its place, and the decoding jobs."""
    total, rows, jobs = dict.fromkeys(KINDS, 0), list[dict[str, Any]](), list[Job]()
    for part in sorted(path.parent for path in parts.glob("part*/index.json")):
        index = json.loads((part / "index.json").read_text())
        for file in index["files"]:
            places: list[Place] = []
            for r in (r for r in index["recordings"] if r["file"] == file["file"]):
                at, length = total[r["kind"]], r["stop"] - r["start"]
                places.append((len(rows), r["start"], r["stop"], at))
                total[r["kind"]] += length
                place = {"start": at, "stop": at + length, "paired": False, "digest": 0}
                rows.append({key: r[key] for key in KEPT} | place)
            target = cache / f"{file['kind']}.i16"
            jobs.append((part / file["file"], file["samples"], target, places))
    for kind, length in total.items():
        if length:
            with (cache / f"{kind}.i16").open("wb") as out:
                out.truncate(2 * length)
    print({kind: round(n / RATE_HZ / 3600, 3) for kind, n in total.items()}, "h", flush=True)
    return rows, sorted(jobs, key=lambda job: -job[1])


def main(parts: Path, cache: Path) -> None:
    """Decode all parts, and write index.json last."""
    cache.mkdir(parents=True, exist_ok=True)
    rows, jobs = plan(parts, cache)
    with ProcessPoolExecutor() as pool:
        for digests in pool.map(decode, jobs):
            for number, digest in digests:
                rows[number]["digest"] = digest
    index = {
        "rate_hz": RATE_HZ,
        "recordings": [row for row in rows if row["kind"] != "rir"],
        "rooms": [row for row in rows if row["kind"] == "rir"],
    }
    part = cache / "index.json.part"
    part.write_text(json.dumps(index))
    part.replace(cache / "index.json")


if __name__ == "__main__":
    main(*(Path(word) for word in sys.argv[1:3]))
