"""Decode a data set once into a cache for training (docs/data.md).

    python -m train prepare DATA CACHE --rate 16000

The same command continues where it was stopped or killed. Another data set joins a cache that is
there. Files are known by their bytes: one that was moved is not decoded again, and one that was
changed is. `--on ray` spreads the work over a Ray cluster, whose nodes see the same folders.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_on

HELP = "decode a data set once into a cache for training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add DATA, CACHE, --rate, --layout, --kind, --jobs, --skip-clipped, --prune and --on."""
    add = parser.add_argument
    add("data", type=Path, help="folder of recordings; docs/data.md has the layouts")
    add("cache", type=Path, help="folder for the decoded sound")
    add(
        "--rate",
        type=int,
        default=48_000,
        metavar="HZ",
        help="sample rate of the sound (default: 48000)",
    )
    add("--layout", default="auto", help="default: recognised by its files")
    add("--kind", default="speech", help="kind of sound (default: speech)")
    add("--jobs", type=int, default=2, metavar="N", help="number of files at once (default: 2)")
    add("--skip-clipped", action="store_true", help="skip clipped files")
    add("--prune", action="store_true", help="drop recordings whose files are gone from DATA")
    add_on(parser)


def run(args: argparse.Namespace) -> int:
    """Decode the data set; prints what was skipped, and why."""
    from ..data.prepare import GONE, prepare

    counts = prepare(
        args.data, args.cache, args.rate, args.layout, args.kind, args.jobs, args.skip_clipped,
        args.on, args.prune,
    )  # fmt: skip
    if counts[GONE] and not args.prune:
        print("--prune drops the recordings whose files are gone")
    return 0
