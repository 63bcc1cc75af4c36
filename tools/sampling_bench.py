"""Measure start, memory and draws of a training process at a thousand to ten million recordings.

    python tools/sampling_bench.py [COUNT ..]

For each count it makes a cache of 16 parts with sparse files, so that no disk is needed: speech of
100 recordings a speaker, noises that are each a source of their own, and music, 2 to 30 s long.
Then it starts three processes, as the ranks of a run on one machine. Each does what `fit` does at
its start (both sides, the check for leaks, the data of the card, the digest of the cache) and draws
batches of 16 excerpts of 2.5 s: of noise, which is taken as it is, and of speech, which is drawn
12 times because all of it is silent, the worst case. The memory is that of the rows and tables:
what a process has that only imported torch and numpy is subtracted. Pages that processes share
count once, divided between them (PSS).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

COUNTS = (1_000, 100_000, 1_000_000, 10_000_000)
RANKS = 3
PARTS = 16
RATE_HZ = 48_000
BATCHES = 20  # batches whose median time is told
KINDS = {"speech": 0.6, "noise": 0.35, "music": 0.05}
COLUMNS = {
    "made_s": "write, s", "index_mb": "index, MB", "open_s": "open, s", "start_s": "start, s",
    "one_mb": "one rank, MB", "peak_mb": "peak, MB", "more_mb": "each further, MB",
    "noise_ms": "16 of noise, ms", "speech_ms": "16 of silent speech, ms",
}  # fmt: skip


def recordings(count: int, sizes: dict[str, int]) -> Iterator[Any]:
    """Yield *count* recordings; *sizes* gets the number of samples of each file."""
    from train.data.cache import PROBES
    from train.data.index import Recording

    rng = np.random.default_rng(0)
    kinds = rng.choice(len(KINDS), count, p=list(KINDS.values()))
    length = (RATE_HZ * rng.uniform(2, 30, count) ** rng.uniform(0.3, 1, count)).astype(int)
    digest = rng.integers(1, 1 << 32, count)
    for kind in range(len(KINDS)):  # the samples are zeros, and those of these are looked at
        mine = np.flatnonzero(kinds == kind)
        for row in mine[np.linspace(0, len(mine) - 1, PROBES).round().astype(int)]:
            digest[row] = zlib.crc32(bytes(2 * int(length[row])))
    names = list(KINDS)
    for row, (number, samples, crc) in enumerate(
        zip(kinds.tolist(), length.tolist(), digest.tolist(), strict=True)
    ):
        kind, part = names[number], f"part{row * PARTS // count:02d}"
        source = f"speaker {row // 100}" if kind == "speech" else f"{kind} {row}"
        start = sizes.get(f"{part}/{kind}.i16", 0)
        sizes[f"{part}/{kind}.i16"] = start + samples
        yield Recording(
            kind, source, f"set {row % 50}", f"licence {row % 4}", start, start + samples,
            8000.0 if row % 7 == 0 else 20_000.0, "", False, crc, part,
        )  # fmt: skip


def make(cache: Path, count: int) -> float:
    """Make the cache; returns the seconds that its index took."""
    from train.data.indexer import write_index

    sizes: dict[str, int] = {}
    for _ in recordings(count, sizes):
        pass
    for name, samples in sizes.items():
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        with (cache / name).open("wb") as file:
            file.truncate(2 * samples)
    begin = time.perf_counter()
    write_index(cache, RATE_HZ, recordings(count, {}))
    return time.perf_counter() - begin


def memory() -> dict[str, float]:
    """Return the memory of this process in MB: its share of what it maps, and its peak."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    pss = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    return {"pss": pss / 1024, "peak": peak / 1024}


def rank(cache: Path) -> None:
    """Be a rank: say what everything took, then say the memory whenever a line is read."""
    from train.data.leaks import check_no_leak
    from train.data.library import Library
    from train.sections import Data

    empty = memory()
    begin = time.perf_counter()
    library = Library(cache, Data())
    opened = time.perf_counter()
    check_no_leak(library, library.another("dev"))
    library.summary(), library.reach_hz("speech"), library.contents.digest
    told: dict[str, float] = {"open_s": opened - begin, "start_s": time.perf_counter() - begin}
    rng = np.random.default_rng(1)
    for kind in ("noise", "speech"):
        took = []
        for _ in range(BATCHES):
            begin = time.perf_counter()
            library.excerpts(kind, 16, 120_000, rng, active=kind == "speech")
            took.append(time.perf_counter() - begin)
        told[f"{kind}_ms"] = 1000 * median(took)
    print(json.dumps(told), flush=True)
    for _ in sys.stdin:
        print(
            json.dumps({name: value - empty[name] for name, value in memory().items()}), flush=True
        )


def measure(cache: Path) -> dict[str, float]:
    """Start the ranks one after the other; returns what they say."""
    ranks: list[subprocess.Popen[str]] = []
    told: dict[str, float] = {}
    for number in range(RANKS):
        ranks.append(
            subprocess.Popen(
                [sys.executable, __file__, "rank", str(cache)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        said = json.loads(_line(ranks[-1]))
        now = [json.loads(_line(process, "\n")) for process in ranks]
        if not number:
            told |= said | {"one_mb": now[0]["pss"], "peak_mb": now[0]["peak"]}
    told["more_mb"] = (sum(each["pss"] for each in now) - told["one_mb"]) / (RANKS - 1)
    for process in ranks:
        process.communicate()
    return told


def _line(process: subprocess.Popen[str], word: str = "") -> str:
    """Send *word* to a process, and return the next line that it prints."""
    if process.stdin and word:
        process.stdin.write(word)
        process.stdin.flush()
    return process.stdout.readline() if process.stdout else ""


def main(counts: list[int]) -> None:
    """Print a row of the table for each count."""
    print("| recordings |", " | ".join(COLUMNS.values()), "|")
    print("|---" * (1 + len(COLUMNS)) + "|")
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="sampling-") as folder:
            told = {"made_s": make(Path(folder), count)}
            files = Path(folder).glob("index-*/*")
            told["index_mb"] = sum(path.stat().st_size for path in files) / 1e6
            told |= measure(Path(folder))
        cells = [f"{told[name]:.3g}" for name in COLUMNS]
        print(f"| {count:,} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    if sys.argv[1:2] == ["rank"]:
        rank(Path(sys.argv[2]))
    else:
        main([int(word) for word in sys.argv[1:]] or list(COUNTS))
