"""Show what a recipe would train on: hours and sources of every side of the split.

    python -m train check RECIPE --cache CACHE

A speaker, a recording of noise or the same samples on two sides is an error.
"""

from __future__ import annotations

import argparse

from .arguments import NO_CACHE, add_recipe, recipe_of

HELP = "hours and sources of every side of the split, and leaks"
ADVICE = {"cache": NO_CACHE}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add RECIPE, --cache and --set."""
    add_recipe(parser)


def run(args: argparse.Namespace) -> int:
    """Print the table of the sides."""
    from ..data.library import check

    print(check(args.cache, recipe_of(args).data), end="")
    return 0
