"""List the models: those that are included with rtdenoise, and those that packages bring."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from .arguments import add_json

HELP = "list the models"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --json to *parser*."""
    add_json(parser, "a list of cards; `needs` is the command that installs a model")


def run(args: argparse.Namespace) -> int:
    """Print a line for each model with its task and its sample rate; return the exit code."""
    from ..nets import box
    from ..nets.makers import MAKERS

    cards = [(box.card(name), "") for name in box.models()]
    cards += [(maker.card, maker.needs) for maker in MAKERS.values() if not maker.installed]
    if args.json:
        print(json.dumps([asdict(card) | {"needs": needs} for card, needs in cards], indent=1))
        return 0
    for card, needs in cards:
        latency_ms = 1e3 * (card.window + card.lookahead) / card.sample_rate
        print(
            f"{card.name:<16} {card.task} {card.kind}, {card.sample_rate} Hz, "
            f"{card.parameters / 1e6:.2f} M parameters, latency {latency_ms:.1f} ms, {card.licence}"
            f"{f' (needs: {needs})' if needs else ''}"
        )
    return 0
