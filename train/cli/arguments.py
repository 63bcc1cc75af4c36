"""Options that several verbs share, and the parsing of their values."""

from __future__ import annotations

import argparse
from pathlib import Path

from rtdenoise.cli import arguments
from rtdenoise.errors import UsageError

from ..config import Recipe, load

NO_CACHE = "Make one: python -m train prepare DATA CACHE, with --rate HZ for the rate of the recipe"


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Add RECIPE, --cache and --set."""
    parser.add_argument("recipe", type=Path, help="recipe: a TOML file, see docs/training.md")
    parser.add_argument("--cache", type=Path, required=True, help="folder that `prepare` wrote")
    parser.add_argument(
        "--set", action="append", metavar="a.b=c", help="change a setting of the recipe; repeatable"
    )


def add_on(parser: argparse.ArgumentParser) -> None:
    """Add --on, which is None for this machine."""
    arguments.add_on(parser, kind=_place)


def _place(text: str) -> str | None:
    return None if text == "here" else text


def recipe_of(args: argparse.Namespace) -> Recipe:
    """Load the recipe and apply the changes of --set.

    Raises:
        UsageError: the file cannot be read or is not TOML, or a key or value is refused.
    """
    return load(args.recipe, args.set)


def numbers(option: str, text: str) -> list[float]:
    """Parse numbers with commas between, such as -5,0,5.

    Raises:
        UsageError: the text is no such list.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"{option} {text}: wanted numbers with commas between, as in -5,0,5"
        ) from None


def named(option: str, entries: list[str], taken: tuple[str, ...] = ()) -> dict[str, str]:
    """Parse NAME=VALUE entries into a dict; a bare VALUE is named by its stem.

    Raises:
        UsageError: a name occurs twice, or is *taken*.
    """
    values: dict[str, str] = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals:
            name, value = Path(entry).stem, entry
        if name in values or name in taken:
            raise UsageError(f"{option} {entry}: the name {name!r} is taken; give NAME=VALUE")
        values[name] = value
    return values
