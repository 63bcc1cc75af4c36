"""Write a run as a model the host loads, with its card; of several runs their mean.

    python -m train export RUN... -o net.pt
    python -m train export RUN -o net.pt --metrics numbers.json     # of `evaluate --card`

Print the card.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "a run as a model that rtdenoise loads"
ADVICE = {
    "run": "Train first: python -m train fit RECIPE --cache CACHE --run RUN",
    "start": "Begin both with one model: python -m train fit --from MODEL",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add RUN, -o and --metrics."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="several: their mean")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the model file")
    parser.add_argument("--metrics", type=Path, help="JSON {name: {identity: .., model: ..}}")


def run(args: argparse.Namespace) -> int:
    """Check the net, write the file and print the card."""
    from ..run.export import export

    print(export(args.runs, args.out, args.metrics).to_json())
    return 0
