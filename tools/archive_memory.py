"""The memory of listing an archive: what a driver holds before any sound is processed.

    python tools/archive_memory.py 10000 10000000 [--no-log]

A store that exists only here gives its objects a page of 1000 at a time, as S3 does. They pass
through the listing, a shard of one and the claims of a results log, and are counted. Each number
of items is a process of its own, whose peak of resident memory is printed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rtdenoise.cluster import items, store
from rtdenoise.files.batch import Naming
from rtdenoise.files.results import ResultsLog


class Pages:
    """A store with *count* recordings, of which none exists."""

    def __init__(self, count: int) -> None:
        self.count = count

    def info(self, path: str) -> dict[str, Any]:
        """There is no object of the name of the folder."""
        raise FileNotFoundError(path)

    def call_s3(self, _: str, **asked: Any) -> dict[str, Any]:
        """The next page."""
        first = int(asked.get("ContinuationToken", 0))
        after = min(first + 1000, self.count)
        entries = [
            {"Key": f"in/{n % 997:03}/{n:08}.wav", "Size": n, "ETag": f'"{n:032x}"'}
            for n in range(first, after)
        ]
        return {
            "Contents": entries,
            "IsTruncated": after < self.count,
            "NextContinuationToken": str(after),
        }


def measure(count: int, logged: bool) -> dict[str, Any]:
    """Draw *count* items in this process; return its peak of memory in MB, and the time."""
    store._filesystem = lambda url: (Pages(count), url.partition("://")[2])
    start = time.monotonic()
    found = items.from_listing(["s3://bucket/in"], Naming(folder="s3://bucket/out"), True)
    found = items.shard(found, 0, 1)
    if logged:
        found = items.claimed(found, ResultsLog(None))
    drawn = sum(1 for _ in found)
    status = Path("/proc/self/status").read_text()
    peak_kb = int(status.split("VmHWM:")[1].split()[0])
    took_s = time.monotonic() - start
    return {"items": drawn, "peak_mb": round(peak_kb / 1e3, 1), "took_s": round(took_s, 1)}


def main() -> None:
    """Measure each number of items that the command line gives, in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", nargs="+", type=int)
    parser.add_argument("--no-log", action="store_true", help="leave the results log out")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    for count in args.counts:
        if args.here:
            print(json.dumps(measure(count, not args.no_log)), flush=True)
            continue
        more = ["--no-log"] if args.no_log else []
        subprocess.run([sys.executable, __file__, str(count), "--here", *more], check=True)


if __name__ == "__main__":
    main()
