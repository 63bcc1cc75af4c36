"""Write the model file of a run: the net and its card. Of several runs, their mean is written.

    python -m train export RUN... -o net.pt
    python -m train export RUN -o net.pt --scores numbers.json     # from `evaluate --card`

The card is printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write the model file of a run, which rtdenoise loads"
ADVICE = {
    "run": "Train first: python -m train fit RECIPE --cache CACHE --run RUN",
    "start": "Begin both with one model: python -m train fit --from MODEL",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add RUN, -o and --scores."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of runs")
    parser.add_argument("-o", "--out", type=Path, required=True, help="output: the model file")
    parser.add_argument("--scores", type=Path, help="scores for the card, from `evaluate --card`")


def run(args: argparse.Namespace) -> int:
    """Check the net, write the file and print the card."""
    from ..run.export import export

    print(export(args.runs, args.out, args.scores).to_json())
    return 0
