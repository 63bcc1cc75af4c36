"""Measure start, memory and draws of a training process at a thousand to ten million recordings.

    python tools/sampling_bench.py [COUNT ..]

For each count it makes a cache of 16 parts with sparse files, so that no disk is needed: speech of
100 recordings a speaker, noises that are each a source of their own, and music, 2 to 30 s long.
Then it starts three processes, as the ranks of a run on one machine. Each does what `fit` does at
its start (both sides, the check for leaks, the data of the card, the digest of the cache) and draws
batches of 16 excerpts of 2.5 s: of noise, which is taken as it is, and of speech, which is drawn
12 times because all of it is silent, the worst case. Times are those of the processor, so that a
machine that does other things gives them, too. The memory is that of the rows and tables:
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
STEP = 1 << 16  # recordings made at a time
MOST = 1_000_000  # recordings that `write_index` is given; more are written without objects
BATCHES = 20  # batches whose median time is told
KINDS = {"speech": 0.6, "noise": 0.35, "music": 0.05}
COLUMNS = {
    "made_s": "write, s", "index_mb": "index, MB", "open_s": "open, s", "start_s": "start, s",
    "one_mb": "one rank, MB", "peak_mb": "peak, MB", "more_mb": "each further, MB",
    "noise_ms": "16 of noise, ms", "speech_ms": "16 of silent speech, ms",
}  # fmt: skip


def columns(count: int) -> dict[str, Any]:
    """Draw kinds, parts, places and check sums of *count* recordings, as columns."""
    from train.data.cache import PROBES

    rng = np.random.default_rng(0)
    kind = rng.choice(len(KINDS), count, p=list(KINDS.values())).astype(np.uint8)
    part = (np.arange(count) * PARTS // count).astype(np.uint8)
    length = (RATE_HZ * rng.uniform(2, 30, count) ** rng.uniform(0.3, 1, count)).astype(np.int64)
    digest = rng.integers(1, 1 << 32, count)
    for number in range(len(KINDS)):  # all samples are zeros, and those of these are looked at
        mine = np.flatnonzero(kind == number)
        for row in mine[np.linspace(0, len(mine) - 1, PROBES).round().astype(int)]:
            digest[row] = zlib.crc32(bytes(2 * int(length[row])))
    stop, file = np.empty(count, np.int64), part * np.uint8(len(KINDS)) + kind
    for number in range(PARTS * len(KINDS)):
        stop[file == number] = np.cumsum(length[file == number])
    hz = np.where(np.arange(count) % 7, 20_000.0, 8_000.0)
    return {
        "kind": kind, "part": part, "start": stop - length, "stop": stop, "digest": digest,
        "bandwidth_hz": hz,
    }  # fmt: skip


def texts(rows: range, kinds: list[int], parts: list[int]) -> dict[str, list[str]]:
    """Return the texts of some rows: a speaker has a hundred recordings, a noise has one."""
    names = list(KINDS)
    return {
        "source": [
            f"speaker {row // 100}" if kind == 0 else f"{names[kind]} {row}"
            for row, kind in zip(rows, kinds, strict=True)
        ],
        "origin": [f"set {row % 50}" for row in rows],
        "licence": [f"licence {row % 4}" for row in rows],
        "part": [f"part{part:02d}" for part in parts],
    }


def recordings(drawn: dict[str, Any]) -> Iterator[Any]:
    """Yield the recordings of columns."""
    from train.data.index import Recording

    names, count = list(KINDS), len(drawn["kind"])
    for at in range(0, count, STEP):
        rows = range(at, min(at + STEP, count))
        own = {name: values[at : rows.stop].tolist() for name, values in drawn.items()}
        told = texts(rows, own["kind"], own["part"]) | {"kind": [names[k] for k in own["kind"]]}
        own |= told
        for values in zip(*own.values(), strict=True):
            yield Recording(**dict(zip(own, values, strict=True)))


def write_fast(cache: Path, drawn: dict[str, Any], sizes: dict[str, int]) -> None:
    """Write the index that `write_index` would write, without a Python object for each recording.

    It has no digest of the list of recordings, which nothing measured here needs.
    """
    from train.data import indexer
    from train.data.index import HEADER, NUMBERS

    folder, count = cache / "index-0000000000000000", len(drawn["kind"])
    folder.mkdir()
    zeros = np.zeros(count, np.uint8)
    with indexer._Files(folder) as out:
        for name, kind in NUMBERS.items():
            out.make(name, kind).add(drawn.get(name, zeros))
        writers = {name: indexer._TextWriter(out, name) for name in indexer.TEXTS}
        for at in range(0, count, STEP):
            rows = range(at, min(at + STEP, count))
            own = [drawn[name][at : rows.stop].tolist() for name in ("kind", "part")]
            for name, values in texts(rows, *own).items():
                writers[name].add(values)
        for writer in writers.values():
            writer.finish()
        indexer._write_orders(out)
        told = {name: [file.kind, file.count, file.sum] for name, file in out.files.items()}
    header = {"rate_hz": RATE_HZ, "rows": count, "digest": "0", "files_digest": "0"}
    (folder / HEADER).write_text(json.dumps(header | {"sizes": sizes, "columns": told}))
    (cache / "index.json").write_text(json.dumps({"columns": folder.name}))


def make(cache: Path, count: int) -> float:
    """Make the cache; returns the seconds that its index took, or NaN above `MOST` recordings."""
    from train.data.indexer import write_index

    drawn, sizes = columns(count), dict[str, int]()
    for part in range(PARTS):
        (cache / f"part{part:02d}").mkdir(parents=True)
        for number, kind in enumerate(KINDS):
            mine = (drawn["kind"] == number) & (drawn["part"] == part)
            if samples := int(drawn["stop"][mine].max(initial=0)):
                name = f"part{part:02d}/{kind}.i16"
                sizes[name] = 2 * samples
                with (cache / name).open("wb") as file:
                    file.truncate(2 * samples)
    begin = time.process_time()
    if count > MOST:
        write_fast(cache, drawn, sizes)
        return float("nan")
    write_index(cache, RATE_HZ, recordings(drawn))
    return time.process_time() - begin


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
    begin = time.process_time()
    library = Library(cache, Data())
    opened = time.process_time()
    check_no_leak(library, library.another("dev"))
    library.summary(), library.reach_hz("speech"), library.contents.digest
    told: dict[str, float] = {"open_s": opened - begin, "start_s": time.process_time() - begin}
    rng = np.random.default_rng(1)
    for kind in ("noise", "speech"):
        took = []
        for _ in range(BATCHES):
            begin = time.process_time()
            library.excerpts(kind, 16, 120_000, rng, active=kind == "speech")
            took.append(time.process_time() - begin)
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
        cells = [f"{told[name]:.3g}".replace("nan", "not measured") for name in COLUMNS]
        print(f"| {count:,} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    if sys.argv[1:2] == ["rank"]:
        rank(Path(sys.argv[2]))
    else:
        main([int(word) for word in sys.argv[1:]] or list(COUNTS))
