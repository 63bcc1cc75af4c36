"""Print the card of a model: what it does, what it was trained on, how it scores."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from .arguments import add_json, add_model_name

if TYPE_CHECKING:
    from ..nets.card import Card
    from ..nets.facts import Facts

HELP = "print the card of a model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add MODEL and --json to *parser*."""
    add_model_name(parser)
    add_json(parser, "the card as the file holds it")


def run(args: argparse.Namespace) -> int:
    """Print the card of a model, and run nothing of the model; return the exit code.

    The whole file is read, so that a damaged one is an error.
    """
    from ..nets import box

    facts = box.facts(args.model)
    if facts is not None:
        text = json.dumps(as_dict(facts), indent=1, ensure_ascii=False)
        print(text if args.json else "\n".join(foreign_lines(facts)))
        return 0
    card = box.card(args.model)
    print(card.to_json() if args.json else "\n".join(lines(card)))
    return 0


def as_dict(facts: Facts) -> dict[str, Any]:
    """Return the facts about a model of another host's form as JSON has them."""
    return {**vars(facts), "knobs": [knob._asdict() for knob in facts.knobs]}


def foreign_lines(facts: Facts) -> list[str]:
    """Return lines that show a model of another host's form."""
    rates = ", ".join(map(str, facts.rates))
    sizes = ", ".join(map(str, facts.sizes))
    out = [
        f"{facts.name}: a model of {facts.form}",
        facts.description,
        f"  rate          {rates + ' Hz' if rates else 'any'}",
        f"  buffer        {sizes + ' samples' if sizes else 'any'}",
        f"  made by       {facts.made_by}",
        f"  made with     {', '.join(f'{k} {v}' for k, v in facts.versions.items()) or 'not said'}",
        "  delay         `rtdenoise verify` measures it",
    ]
    for knob in facts.knobs:
        number = isinstance(knob.default, float)
        ranged = "" if knob.low is None else f" ({knob.low:g} to {knob.high:g})"
        default = f"{knob.default:g}" if number else str(knob.default).lower()
        out.append(f"  parameter     {knob.name} = {default}{ranged}: {knob.meaning}".rstrip(": "))
    return out


def lines(card: Card) -> list[str]:
    """Return lines that show a card."""
    ms = 1e3 / card.sample_rate
    out = [
        f"{card.name}: {card.task}, {card.kind}",
        *([card.description] if card.description else []),
        f"  rate          {card.sample_rate} Hz",
        f"  window, hop   {card.window}, {card.hop} samples ({card.window * ms:.1f}, "
        f"{card.hop * ms:.1f} ms), {card.analysis_window} and {card.synthesis_window}",
        f"  lookahead     {card.lookahead} samples, latency "
        f"{(card.window + card.lookahead) * ms:.1f} ms",
        f"  parameters    {card.parameters:,}",
        f"  licence       {card.licence}",
        f"  sha256        {card.sha256}",
        f"  made with     {', '.join(f'{k} {v}' for k, v in card.versions.items()) or 'not said'}",
        f"  network       {card.config.get('network', 'not said')}",
    ]
    out += [
        f"  trained on    {d.get('name')}: {d.get('hours')} h, {d.get('licence')}"
        for d in card.data
    ]
    for name, values in card.metrics.items():
        if isinstance(values, dict):
            shown = "  ".join(f"{k} {v}" for k, v in values.items())
            out.append(f"  {name:<13} {shown}")
        else:
            out.append(f"  {name:<13} {values}")
    return out
