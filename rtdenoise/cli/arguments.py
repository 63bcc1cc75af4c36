"""Flags that several verbs share, so that they mean the same everywhere."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.blend import Strength

DEFAULT_MODEL = os.environ.get("RTDENOISE_MODEL", "speech")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add -m/--model to *parser*."""
    parser.add_argument(
        "-m",
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME|PATH",
        help="generator in the box (`rtdenoise models`) or a file of yours (default: %(default)s)",
    )


def add_strength(parser: argparse.ArgumentParser) -> None:
    """Add --mix, --atten-lim and --residual to *parser*; see `rtdenoise.Strength`."""
    parser.add_argument(
        "--mix",
        type=float,
        default=100.0,
        metavar="PERCENT",
        help="processed sound in the output; the rest is the aligned input (default: 100)",
    )
    parser.add_argument(
        "--atten-lim",
        type=float,
        default=None,
        metavar="DB",
        help="remove no more than this: 0 = untouched, 12 = gentle, 100 = no limit (default)",
    )
    parser.add_argument(
        "--residual", action="store_true", help="give what was removed in place of what was kept"
    )


def strength(args: argparse.Namespace) -> Strength:
    """Return the `Strength` that the flags ask for.

    Raises:
        UsageError: If a value is out of range.
    """
    from ..core.blend import Strength

    return Strength(args.mix, args.atten_lim, args.residual)
