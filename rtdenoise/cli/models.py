"""List the models that are included with rtdenoise."""

from __future__ import annotations

import argparse

from .arguments import add_json

HELP = "list the included models"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --json to *parser*."""
    add_json(parser, "a list of cards")


def run(args: argparse.Namespace) -> int:
    """Print a line for each model with its task and its sample rate; return the exit code."""
    from ..nets import box

    cards = [box.card(box.place(name)) for name in box.models()]
    if args.json:
        print("[" + ",\n".join(card.to_json() for card in cards) + "]")
        return 0
    for card in cards:
        latency_ms = 1e3 * (card.window + card.lookahead) / card.sample_rate
        print(
            f"{card.name:<16} {card.task} {card.kind}, {card.sample_rate} Hz, "
            f"{card.parameters / 1e6:.2f} M parameters, window {latency_ms:.1f} ms, {card.licence}"
        )
    return 0
