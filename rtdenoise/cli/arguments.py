"""Options that several verbs share, so that they mean the same everywhere."""

from __future__ import annotations

import argparse
import math
import os
import tomllib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, printable

if TYPE_CHECKING:
    from ..core.blend import Strength

DEFAULT_MODEL = os.environ.get("RTDENOISE_MODEL") or "speech"
HERE = "here"


def file_name(text: str) -> str:
    """Return *text* as the name of a file or a folder, for argparse.

    A shell does not replace ~ in quotes, nor in `--option=~/name`.

    Raises:
        argparse.ArgumentTypeError: If it is empty, as an unset variable is.
    """
    if not text:
        raise argparse.ArgumentTypeError("got an empty name, wanted a file or a folder")
    return os.path.expanduser(text)  # noqa: PTH111 - a Path would change other names


def add_on(
    parser: argparse._ActionsContainer,
    default: str | None = None,
    kind: Callable[[str], str | None] = str,
) -> None:
    """Add --on, a value of a *kind*, to *parser*; see `cluster_of`."""
    parser.add_argument(
        "--on",
        type=kind,
        default=default,
        metavar="ENGINE",
        help="where: here (default), or a Ray cluster: ray (the one of this machine, or that of "
        "RAY_ADDRESS), HOST:PORT from one of its nodes, ray://HOST:PORT from anywhere",
    )


def cluster_of(on: str) -> str | None:
    """Return the address of the Ray cluster that --on means; see `cluster.rays.connected`.

    Raises:
        UsageError: If it means none.
    """
    from ..cluster.rays import PLACE, RAY

    if not PLACE.fullmatch(on):
        raise UsageError(
            f"--on {printable(on)}: wanted here, ray or an address of Ray: HOST:PORT, "
            "ray://HOST:PORT"
        )
    return None if on == RAY else on


def add_outputs(parser: argparse._ActionsContainer) -> None:
    """Add -o, -O, -r and -f to *parser*; see `files.batch.Naming`."""
    parser.add_argument(
        "-o",
        "--out",
        type=file_name,
        metavar="FILE",
        help="output: the file for a single input; - is stdout",
    )
    parser.add_argument(
        "-O",
        "--output-dir",
        type=file_name,
        metavar="DIR",
        help="folder for the outputs; they keep their names",
    )
    parser.add_argument(
        "-r",
        "--recursive",
        action="store_true",
        help="search folders; -O repeats their tree (of several folders, each under its own name)",
    )
    add_force(parser)


def add_force(parser: argparse._ActionsContainer) -> None:
    """Add -f/--force to *parser*."""
    parser.add_argument(
        "-f",
        "--force",
        action="store_true",
        help="replace existing outputs; `file` and `degrade` may replace an input by its output",
    )


def add_board(parser: argparse._ActionsContainer) -> None:
    """Add --board to *parser*."""
    parser.add_argument(
        "--board",
        type=file_name,
        metavar="TOML",
        help="run this board of effects instead of one model",
    )


def add_preset(parser: argparse._ActionsContainer) -> None:
    """Add --preset to *parser*."""
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help="use the options that `rtdenoise preset save NAME` stored, where none is given",
    )


def add_quiet(parser: argparse._ActionsContainer) -> None:
    """Add -q/--quiet to *parser*."""
    parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")


def add_json(parser: argparse._ActionsContainer, what: str) -> None:
    """Add --json to *parser*; it prints *what*."""
    parser.add_argument("--json", action="store_true", help=f"print JSON on stdout: {what}")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add -m/--model to *parser*."""
    parser.add_argument(
        "-m",
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME|PATH",
        help="model: an included one (`rtdenoise models`) or your own (default: %(default)s)",
    )
    add_parameters(parser)


def add_parameters(parser: argparse._ActionsContainer) -> None:
    """Add --parameters to *parser*; see `parameters`."""
    parser.add_argument(
        "--parameters",
        metavar="NAME=VALUE,...",
        help="parameters of a Neutone or nn~ model; `rtdenoise info MODEL` lists them",
    )


def parameters(args: argparse.Namespace) -> dict[str, Any]:
    """Return the values of the model's own parameters that the flags give.

    Raises:
        UsageError: If one is not NAME=VALUE.

    >>> parameters(argparse.Namespace(parameters="drive=0.5, flip=true, mode=clip"))
    {'drive': 0.5, 'flip': True, 'mode': 'clip'}
    """
    found: dict[str, Any] = {}
    for part in filter(str.strip, (args.parameters or "").split(",")):
        name, sign, text = (word.strip() for word in part.partition("="))
        if not (sign and name and text):
            raise UsageError(f"--parameters {part.strip()}: wanted NAME=VALUE")
        try:
            found[name] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            found[name] = text
    return found


def add_model_name(parser: argparse.ArgumentParser) -> None:
    """Add MODEL to *parser*."""
    parser.add_argument(
        "model",
        nargs="?",
        default=DEFAULT_MODEL,
        help="name of an included model, or path of a model file (default: %(default)s)",
    )


def add_mix(parser: argparse._ActionsContainer) -> None:
    """Add --mix and --atten-lim to *parser*; see `rtdenoise.Strength`."""
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


def add_strength(parser: argparse.ArgumentParser) -> None:
    """Add --mix, --atten-lim and --residual to *parser*; see `rtdenoise.Strength`."""
    add_mix(parser)
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
