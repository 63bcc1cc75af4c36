"""Train a net, or continue a run (docs/training.md).

    python -m train fit RECIPE --cache CACHE --run RUN --set optim.lr=3e-4
    python -m train fit RECIPE --cache CACHE --run RUN --minutes 9     # a part of the run

Ctrl-C and SIGTERM save the current step and end with exit code 130, also if only one of several
processes gets them. The same command continues the run. A GPU is used if torch finds one.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rtdenoise.cli.interrupt import until_interrupted

from .arguments import NO_CACHE, add_recipe, recipe_of

HELP = "train a net, or continue a run"
ADVICE = {
    "cache": NO_CACHE,
    "features_file": "Make it: python -m train features KIND RECIPE --cache CACHE -o FILE",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add RECIPE, --cache, --set, --run, --minutes and --from."""
    add_recipe(parser)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument(
        "--minutes", type=float, help="stop after this much training; it can continue"
    )
    parser.add_argument("--from", dest="start", metavar="MODEL", help="start from its weights")


def run(args: argparse.Namespace) -> int:
    """Train until the recipe's time is over, or the slice's."""
    from ..run.loop import fit

    recipe = recipe_of(args)
    with until_interrupted() as stop:
        step = fit(recipe, args.cache, args.run, args.minutes, start=args.start, stop=stop)
    if stop.is_set():
        if os.environ.get("RANK", "0") == "0":  # torchrun's number of this process
            saved = f"stopped: step {step} is saved in {args.run}"
            print(f"{saved}; the same command goes on", file=sys.stderr)
        raise KeyboardInterrupt  # a script must not export what is half trained
    return 0
