"""Train the net of a feature loss, on the clean recordings of the training side.

    python -m train features autoencoder RECIPE --cache CACHE -o ae.pt

A recipe names the file in objective.features_file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import NO_CACHE, add_recipe, recipe_of

HELP = "train the net of a feature loss"
ADVICE = {"cache": NO_CACHE}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add KIND, RECIPE, --cache, --set, -o, --steps and --width."""
    parser.add_argument("kind", choices=("autoencoder", "germain"), help="which feature loss")
    add_recipe(parser)
    parser.add_argument("-o", "--out", type=Path, required=True, help="output: the file of weights")
    parser.add_argument("--steps", type=int, default=500, help="training steps (default: 500)")
    parser.add_argument(
        "--width", type=float, default=0.25, help="share of the paper's channels (default: 0.25)"
    )


def run(args: argparse.Namespace) -> int:
    """Train the net and print its final loss."""
    from ..run.pretrain import pretrain

    loss = pretrain(args.kind, recipe_of(args), args.cache, args.out, args.steps, args.width)
    print(f"{args.out}: loss {loss:.4f}")
    return 0
