"""List the models: those that are included with rtdenoise, and those that packages bring.

rtdenoise models            what each does, for which sound, how late it is, and where it is weak
rtdenoise models --speed    measure each on this machine: 2 s a model
rtdenoise models --json     the same as cards
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from textwrap import fill
from typing import TYPE_CHECKING, Any

from .arguments import add_json

if TYPE_CHECKING:
    from ..nets.card import Card

HELP = "list the models"
PACED_S = 1.0  # length of the sound by which the speed is measured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --speed and --json to *parser*."""
    parser.add_argument(
        "--speed", action="store_true", help="measure how fast each is here (see `rtdenoise bench`)"
    )
    add_json(
        parser,
        "a list of cards; `needs` is the command that installs a model, `bytes` its size, `weak` "
        "where it is weak",
    )


def run(args: argparse.Namespace) -> int:
    """Print what is known of each model; return the exit code."""
    models = [card | (_speed(card) if args.speed else {}) for card in _cards()]
    if args.json:
        print(json.dumps(models, indent=1))
        return 0
    for model in models:
        print("\n".join(_lines(model)))
    return 0


def _cards() -> Iterator[dict[str, Any]]:
    """Yield the cards of all models, with `needs` and `bytes`."""
    from ..nets import box
    from ..nets.makers import MAKERS

    for name in box.models():
        size = None if name in MAKERS else box.place(name).stat().st_size
        yield _dict(box.card(name), "", size)
    for maker in MAKERS.values():
        if not maker.installed:
            yield _dict(maker.card, maker.needs, None)


def _dict(card: Card, needs: str, size: int | None) -> dict[str, Any]:
    from ..nets import box

    return asdict(card) | {"needs": needs, "bytes": size, "weak": box.weak(card.name)}


def _speed(model: dict[str, Any]) -> dict[str, Any]:
    """Measure a model on this machine; nothing for one that is not installed."""
    from ..nets import box
    from ..proof.bench import offline_speed, paced_timing

    if model["needs"]:
        return {}
    net = box.find(model["name"])
    paced = paced_timing(net, net.card.sample_rate, 1, PACED_S)
    return {"paced": paced.as_dict(), "offline_x": offline_speed(net, seconds=5.0)}


def _lines(model: dict[str, Any]) -> Iterator[str]:
    """Yield the lines on a model for people."""
    latency_ms = 1e3 * (model["window"] + model["lookahead"]) / model["sample_rate"]
    size = "" if model["bytes"] is None else f", {model['bytes'] / 1e6:.1f} MB"
    needs = f" (needs: {model['needs']})" if model["needs"] else ""
    yield (
        f"{model['name']:<16} {model['task']} {model['kind']}, {model['sample_rate']} Hz, latency "
        f"{latency_ms:.1f} ms, {model['parameters'] / 1e6:.2f} M parameters{size}, "
        f"{model['licence']}{needs}"
    )
    width = max(40, shutil.get_terminal_size().columns)
    indent = 17 * " "
    about = f"{model['description']} {model['weak']}".strip()
    yield fill(about, width, initial_indent=indent, subsequent_indent=indent)
    if "paced" in model:
        paced = model["paced"]
        yield (
            f"{indent}here: a hop of {paced['deadline_ms']:.1f} ms takes {paced['p50_ms']:.2f} ms "
            f"(p99 {paced['p99_ms']:.2f}), files {model['offline_x']:.3g} x real time"
        )
