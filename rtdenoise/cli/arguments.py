"""Options that several verbs share, so that they mean the same everywhere."""

from __future__ import annotations

import argparse
import math
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
        help="an included model (`rtdenoise models`) or a path of your own (default: %(default)s)",
    )


def add_strength(parser: argparse.ArgumentParser) -> None:
    """Add --mix, --atten-lim and --residual to *parser*; see `rtdenoise.Strength`."""
    parser.add_argument(
        "--mix",
        type=float,
        default=100.0,
        metavar="PERCENT",
        help="share of processed sound in the output; the rest is the aligned input (default: 100)",
    )
    parser.add_argument(
        "--atten-lim",
        type=float,
        default=None,
        metavar="DB",
        help="attenuate by at most this much: 0 changes nothing, 12 is gentle (default: no limit)",
    )
    parser.add_argument(
        "--residual", action="store_true", help="output what was removed instead of what was kept"
    )


def add_quality(parser: argparse._ActionsContainer) -> None:
    """Add --quality to *parser*: the bit rate of lossy outputs in kb/s, or None."""
    parser.add_argument(
        "--quality",
        type=_kbps,
        metavar="KBPS",
        help="bit rate of mp3, ogg and opus outputs in kb/s, as 192 or 192k; same: that of the "
        "input, or a good one if the input is not lossy (default: same)",
    )


def _kbps(text: str) -> float | None:
    """Return the bit rate that a user wrote; None: that of the input.

    >>> _kbps("192k"), _kbps("96"), _kbps("same")
    (192.0, 96.0, None)
    """
    if text == "same":
        return None
    try:
        kbps = float(text.lower().removesuffix("b/s").removesuffix("k"))
    except ValueError:
        kbps = math.nan
    if not 0 < kbps < math.inf:
        raise argparse.ArgumentTypeError(f"wanted kb/s, as 192 or 192k, or same; got {text!r}")
    return kbps


def strength(args: argparse.Namespace) -> Strength:
    """Return the `Strength` that the flags ask for.

    Raises:
        UsageError: If a value is out of range.
    """
    from ..core.blend import Strength

    return Strength(args.mix, args.atten_lim, args.residual)
