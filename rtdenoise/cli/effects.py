"""List the effects that a board file can name, or the parameters of one effect.

rtdenoise effects                  list rtdenoise's own effects, pedalboard's, and VST3
rtdenoise effects Denoise          show its parameters: default, range, unit, meaning
rtdenoise effects my_module:Gate   show your own subclass of rtdenoise.Effect

Put the folder of your module on PYTHONPATH, also for `file --board` and `live --board`.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from .arguments import add_json

if TYPE_CHECKING:
    from ..chain.registry import Kind

HELP = "list the effects that a board can hold, and their parameters"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add NAME and --json to *parser*."""
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="show this effect with its parameters"
    )
    add_json(parser, "a list")


def run(args: argparse.Namespace) -> int:
    """Print a line for each effect, or one effect in full; return the exit code."""
    from ..chain.registry import kind, kinds

    chosen = list(kinds().values()) if args.name is None else [kind(args.name)]
    if args.json:
        print(json.dumps([one.as_dict() for one in chosen], indent=1))
    elif args.name is None:
        width = max(len(one.name) for one in chosen)
        for one in chosen:
            note = "" if one.streams else " (files only)"
            print(f"{one.name:<{width}}  {shortened(one.summary)}{note}")
        print("Your own effect is named module:Class. rtdenoise effects NAME shows the parameters.")
    else:
        print("\n".join(lines(chosen[0])))
    return 0


def shortened(text: str, most: int = 90) -> str:
    """Return *text*, cut after a word if it is longer than *most* characters."""
    return text if len(text) <= most else text[:most].rpartition(" ")[0] + " ..."


def lines(one: Kind) -> list[str]:
    """Return lines that show an effect with its parameters."""
    within = {"none": [], "one": ["holds one effect"], "many": ["holds effects"]}[one.holds]
    out = [f"{one.name} ({', '.join([one.origin, *within])}): {one.summary}"]
    for p in one.parameters:
        default = "required" if shown(p.default) is ... else f"default {shown(p.default)}"
        out.append("  " + "; ".join(filter(None, [f"{p.name}: {default}", p.range, p.meaning])))
    return out


def shown(default: Any) -> Any:
    """Return a default as people read it, or `...` if there is none."""
    from ..chain.parameter import REQUIRED

    if default is REQUIRED:
        return ...
    return f"{default:g}" if isinstance(default, float) else default
