"""Measure whether a model is fast enough for live use on this machine.

The first rows are tight loops. The paced rows give the net one hop each hop period, as a stream
does, and decide: each shows its share of the deadline and a verdict for its sample rate. If the
verdict is not a clear yes, the other models for the same are measured too. Close other programs
first. `rtdenoise doctor` gives the same verdict for a model on your sound devices.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .arguments import add_json, add_model_name

if TYPE_CHECKING:
    from ..proof.timing import Timing

HELP = "measure whether a model is fast enough for live use here"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add MODEL, --seconds, --channels and --json to *parser*."""
    add_model_name(parser)
    parser.add_argument(
        "--seconds",
        type=float,
        default=10.0,
        help="length in seconds; at other rates than the net's a third (default: 10)",
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
    from ..proof.bench import RATES_HZ, engine_timings, offline_speed, others, paced_timing
    from .verdict import advice

    if not 1 <= args.seconds <= 3600:
        raise UsageError(f"--seconds {args.seconds:g}: wanted 1 to 3600")
    check_channels(args.channels)
    net, timings, paced = find(args.model), [], {}
    net.prepare_thread()
    own, short_s = net.card.sample_rate, max(1.0, args.seconds / 3)

    def show(timing: Timing) -> None:
        timings.append(timing)
        if not args.json:
            print(row(timing), flush=True)

    if not args.json:
        print(f"{'':<28} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8} {'deadline':>9}  real-time?")
    for timing in engine_timings(net):
        show(timing)
    for rate in (own, *(rate for rate in RATES_HZ if rate != own)):
        paced[rate] = paced_timing(
            net, rate, args.channels, args.seconds if rate == own else short_s
        )
        show(paced[rate])
    verdict = paced[own].verdict or "no"
    rivals = dict(others(args.model, args.channels, short_s)) if verdict != "yes" else {}
    speed = offline_speed(net, own)
    if args.json:
        report = {
            "model": net.card.name,
            "timings": [timing.as_dict() for timing in timings],
            "verdict": verdict,
            "others": {name: timing.as_dict() for name, timing in rivals.items()},
            "offline_x": speed,
        }
        print(json.dumps(report))
        return 0
    print(f"files: {speed:.0f} x real time on one core (mono, {own} Hz, decoding not counted)")
    print("\n".join((conclusion(net.card.name, paced), *advice(verdict, paced[own], rivals))))
    return 0


def row(timing: Timing) -> str:
    """Return a line of the table."""
    line = f"{timing.name:<28} {timing.p50_ms:8.3f} {timing.p99_ms:8.3f} {timing.max_ms:8.3f}"
    if timing.deadline_ms is None:
        return line
    share = f"(p99 is {timing.share_percent:.0f} % of it)"
    return f"{line} {timing.deadline_ms:6.2f} ms  {timing.verdict} {share}"


def conclusion(name: str, paced: Mapping[int, Timing]) -> str:
    """Return the line that says at which rates in Hz the model is real-time.

    >>> from rtdenoise.proof.timing import Timing
    >>> conclusion("speech", {48_000: Timing("", 1, 2, 3, 10), 8000: Timing("", 8, 9, 9, 10)})
    'speech is real-time here: yes at 48000 Hz; barely at 8000 Hz'
    """
    told = []
    for verdict in ("yes", "barely", "no"):
        rates = [f"{rate} Hz" for rate, timing in paced.items() if timing.verdict == verdict]
        told += [f"{verdict} at {', '.join(rates)}"] if rates else []
    return f"{name} is real-time here: {'; '.join(told)}"
