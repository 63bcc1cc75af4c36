"""Show what a recipe would train on: hours and sources of each side of the split.

    python -m train check RECIPE --cache CACHE

It is an error if a speaker, a noise recording or the same samples are on two sides.
"""

from __future__ import annotations

import argparse

from .arguments import NO_CACHE, add_recipe, recipe_of

HELP = "show hours and sources of each side of the split, and refuse leaks"
ADVICE = {"cache": NO_CACHE}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add RECIPE, --cache and --set."""
    add_recipe(parser)


def run(args: argparse.Namespace) -> int:
    """Print the table of the sides."""
    from ..data.leaks import check

    print(check(args.cache, recipe_of(args).data), end="")
    return 0
