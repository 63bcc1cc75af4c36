"""Write pairs of degraded and clean files, from sources that were not trained on.

    python -m train mixes RECIPE --cache CACHE -o PAIRS --side test

They are degraded as the recipe says. If it has no `degradation`, noise is mixed at each --snr in
turn. `evaluate` scores any system on them. References with noise of their own favour systems that
keep noise: --least-range 45 leaves them out. No other verb reads the test side; another --seed
gives a fresh set of it. What was interrupted is continued by the same command.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import NO_CACHE, add_on, add_recipe, numbers, recipe_of

HELP = "write pairs of degraded and clean files from unseen sources"
ADVICE = {
    "cache": NO_CACHE,
    "side": "--side chooses it, and data.test_share of the recipe, set before training, fills it",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add RECIPE, --cache, --set, -o, and how many pairs of what are made, and where."""
    add_recipe(parser)
    add = parser.add_argument
    add("-o", "--out", type=Path, required=True, help="output: folder of degraded/ and clean/")
    add("--count", type=int, default=80, help="number of pairs (default: 80)")
    add("--side", choices=("dev", "test"), default="dev", help="side of the split (default: dev)")
    add("--snr", default="-5,0,5,10,15", metavar="DB,..", help="if there is no degradation")
    add("--seed", type=int, default=7, help="seed of the random values (default: 7)")
    add("--jobs", type=int, default=1, metavar="N", help="number of files at once (default: 1)")
    add(
        "--least-range", type=float, default=0.0, metavar="DB",
        help="voices whose pauses are so far below their loud frames (default: all)",
    )  # fmt: skip
    add("--by-origin", action="store_true", help="deal data sets in turn, then their sources")
    add_on(parser)


def run(args: argparse.Namespace) -> int:
    """Write the pairs."""
    from ..evaluate.deck import Choice
    from ..evaluate.mixes import make

    snr_db = numbers("--snr", args.snr)
    print(
        make(
            args.cache, recipe_of(args), args.out, args.count, args.side, snr_db, args.seed,
            args.jobs, args.on, Choice(args.least_range, args.by_origin),
        )
    )  # fmt: skip
    return 0
