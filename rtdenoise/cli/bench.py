"""Measure whether a model is fast enough for live use on this machine.

The first rows are tight loops. The paced rows give the net one hop each hop period, as a stream
does, and decide: each shows its share of the deadline and a verdict for its sample rate. Close
other programs first.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from .arguments import DEFAULT_MODEL, add_json

if TYPE_CHECKING:
    from ..proof.bench import Timing

HELP = "measure whether a model is fast enough for live use here"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add MODEL, --seconds, --channels and --json to *parser*."""
    parser.add_argument(
        "model",
        nargs="?",
        default=DEFAULT_MODEL,
        help="name of an included model, or path of a model file (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=10.0,
        help="length of the paced run at the net's rate (default: 10)",
    )
    parser.add_argument(
        "--channels", type=int, default=1, metavar="N", help="channels of the sound (default: 1)"
    )
    add_json(parser, "one object")


def run(args: argparse.Namespace) -> int:
    """Print the table and the verdict; return the exit code."""
    from ..audio import check_channels
    from ..errors import UsageError
    from ..nets.box import find
    from ..proof.bench import RATES_HZ, engine_timings, offline_speed, paced_timing

    if not 1 <= args.seconds <= 3600:
        raise UsageError(f"--seconds {args.seconds:g}: wanted 1 to 3600")
    check_channels(args.channels)
    net, timings = find(args.model), []
    net.prepare_thread()

    def show(timing: Timing) -> None:
        timings.append(timing)
        if not args.json:
            print(row(timing), flush=True)

    if not args.json:
        print(f"{'':<28} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8} {'deadline':>9}  real-time?")
    for timing in engine_timings(net):
        show(timing)
    own = net.card.sample_rate
    show(paced_timing(net, own, args.channels, args.seconds))
    for rate in RATES_HZ:
        if rate != own:
            show(paced_timing(net, rate, args.channels, max(1.0, args.seconds / 3)))
    speed = offline_speed(net, own)
    if args.json:
        rows = [timing.as_dict() for timing in timings]
        print(json.dumps({"model": net.card.name, "timings": rows, "offline_x": speed}))
        return 0
    print(f"files: {speed:.0f} x real time on one core (mono, {own} Hz, decoding not counted)")
    print(verdict(net.card.name, [t for t in timings if t.name.startswith("paced")]))
    return 0


def row(timing: Timing) -> str:
    """Return a line of the table."""
    line = f"{timing.name:<28} {timing.p50_ms:8.3f} {timing.p99_ms:8.3f} {timing.max_ms:8.3f}"
    if timing.deadline_ms is None:
        return line
    share = 100 * timing.p99_ms / timing.deadline_ms
    return f"{line} {timing.deadline_ms:6.2f} ms  {timing.verdict} (p99 is {share:.0f} % of it)"


def verdict(name: str, paced: list[Timing]) -> str:
    """Return the last line, which says at which rates the model is real-time."""
    good = [t.name.split(", ")[1] for t in paced if t.verdict == "yes"]
    bad = [f"{t.name.split(', ')[1]} ({t.verdict})" for t in paced if t.verdict != "yes"]
    if not bad:
        return f"{name} is real-time here: yes, at {', '.join(good)}"
    if not good:
        return f"{name} is real-time here: no. Use it on files, or choose a smaller model."
    return f"{name} is real-time here: yes at {', '.join(good)}; not at {', '.join(bad)}"
