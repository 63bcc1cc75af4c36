"""Clean sound while it happens: microphone in, speakers or a virtual cable out.

  rtdenoise live                                     the default microphone and speakers
  rtdenoise live --in usb --out blackhole            devices by a part of their names
  rtdenoise live --in file:x.wav --out file:y.wav    no sound card; --clock fast does not wait

At the start it prints where the latency comes from, while it runs levels and hop times, at the end
a summary. Ctrl-C ends it. Use headphones: speakers into the microphone howl.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from .arguments import add_model, add_strength, strength
from .interrupt import until_interrupted

if TYPE_CHECKING:
    from ..chain.effect import Effect
    from ..live.live import End
    from ..live.session import Session

HELP = "clean the microphone's sound while you talk"
HOP_S = 512 / 48_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Ends, blocks, strength, recording."""
    where = "index, part of a name, %s, file:PATH or null (default: %s)"
    parser.add_argument(
        "-i", "--in", dest="source", default="mic", metavar="DEVICE", help=where % ("mic", "mic")
    )
    parser.add_argument(
        "-o", "--out", dest="sink", default="speakers", metavar="DEVICE",
        help=where % ("speakers", "speakers"),
    )  # fmt: skip
    add_model(parser)
    add_strength(parser)
    parser.add_argument("--board", metavar="TOML", help="a chain of effects in place of the model")
    parser.add_argument(
        "--rate", type=int, metavar="HZ", help="of the devices (default: the net's)"
    )
    parser.add_argument("--channels", type=int, help="of the devices, 1 or 2 (default: 1)")
    parser.add_argument(
        "--block", type=int, metavar="N",
        help="samples a callback; 0 = as the device likes (default: a hop of the net)",
    )  # fmt: skip
    parser.add_argument(
        "--latency", default="low", metavar="low|high|SECONDS", help="of the devices (default: low)"
    )
    parser.add_argument("--clock", choices=("real", "fast"), default="real", help="of file ends")
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="stop after that")
    parser.add_argument("--record", metavar="FILE", help="write what is heard to a file")
    parser.add_argument("-f", "--force", action="store_true", help="replace files that are there")
    parser.add_argument("--json", action="store_true", help="the summary as JSON on stdout")
    parser.add_argument("-q", "--quiet", action="store_true", help="only errors")


def run(args: argparse.Namespace) -> int:
    """Open the ends, run, sum up; 0 also when Ctrl-C or SIGTERM ended it."""
    from pathlib import Path

    from ..live.live import run as run_live
    from .meters import StatusLine

    _check(args)
    latency = args.latency if args.latency in ("low", "high") else float(args.latency)
    source, sink, session, block, parts = _prepare(args)
    line = StatusLine(args.quiet or args.json)

    def started(devices_ms: tuple[float | None, float | None]) -> None:
        parts["device in"], parts["device out"] = devices_ms
        if not args.quiet and not args.json:
            print(_latency_line(parts), file=sys.stderr)

    with until_interrupted() as stop:
        try:
            run_live(
                session,
                source,
                sink,
                block,
                latency=latency,
                clock=args.clock,
                duration_s=args.duration,
                record=Path(args.record) if args.record else None,
                overwrite=args.force,
                stop=stop,
                started=started,
                watch=lambda: line.show(session.status()),
            )
        finally:
            line.clear()
    summary = {"ended": "stopped" if stop.is_set() else "complete", **session.summary()}
    summary["latency_ms"] = parts
    if args.json:
        print(json.dumps(summary))
    elif not args.quiet:
        print(_summary_text(summary), file=sys.stderr)
    return 0


def _check(args: argparse.Namespace) -> None:
    """What can be refused before anything is loaded."""
    from ..errors import UsageError

    try:
        latency_ok = args.latency in ("low", "high") or 0 < float(args.latency) < 10
    except ValueError:
        latency_ok = False
    refusals = {
        f"--latency {args.latency}: wanted low, high or seconds": not latency_ok,
        f"--block {args.block}: wanted 0 to 65536": not 0 <= (args.block or 0) <= 65_536,
        f"--duration {args.duration}: wanted more than 0": (args.duration or 1) <= 0,
        "--record and --out file: both write the processed sound; leave one out": args.record
        and args.sink.startswith("file:"),
        "--in null --out null never ends: give --duration": args.source == args.sink == "null"
        and args.duration is None,
    }
    for message, refused in refusals.items():
        if refused:
            raise UsageError(message)
    strength(args)


def _prepare(args: argparse.Namespace) -> tuple[End, End, Session, int, dict[str, Any]]:
    """Both ends, the warm session, its block, and the parts of the latency in ms."""
    from ..audio import check_channels, check_rate
    from ..core.counters import Counters
    from ..core.stream import Stream
    from ..files.sound import SoundReader
    from ..live.devices import Device, find_device, pick_rate
    from ..live.live import End
    from ..live.session import Session, stage_channels

    file_rate = file_channels = None
    if args.source.startswith("file:"):
        with SoundReader(args.source[5:]) as reader:
            file_rate, file_channels = reader.rate, reader.channels

    def device(name: str, kind: str) -> Device | None:
        return None if name == "null" or name.startswith("file:") else find_device(name, kind)

    ins, outs = device(args.source, "input"), device(args.sink, "output")
    effect = _effect(args)
    rate = check_rate(pick_rate(ins, outs, args.rate or file_rate, effect.own_rate or 48_000))
    if file_rate not in (None, rate):
        from ..errors import UsageError

        raise UsageError(f"--rate {rate}: the input file has {file_rate} Hz; leave --rate out")
    wanted = args.channels or file_channels or 1
    inputs = check_channels(file_channels or min(wanted, ins.inputs if ins else wanted))
    outputs = check_channels(min(wanted, outs.outputs) if outs else wanted)
    if outs and outs.outputs >= 2 and args.channels is None:
        outputs = max(outputs, 2)  # a voice belongs in both ears
    block = round(HOP_S * rate) if args.block is None else args.block
    # Between files that do not wait for each other nothing can come late.
    deadline = 1.0 if ins or outs or args.clock == "real" else None
    rows, counters = stage_channels(inputs, outputs), Counters()
    effect.warm_up(rows)
    stage = effect.stage(Stream(rate, rows, block or None, deadline), counters)
    session = Session(stage, counters, rate, (inputs, outputs), HOP_S, effect.prepare_thread)
    session.warm_up(block or 512)
    own = 1e3 * stage.latency / rate
    parts = {
        "device in": None,
        "block": 1e3 * block / rate,
        "window, resampler, effects": own,
        "device out": None,
    }
    sink_path = args.sink[5:] if args.sink.startswith("file:") else None
    source_path = args.source[5:] if args.source.startswith("file:") else None
    return End(inputs, ins, source_path), End(outputs, outs, sink_path), session, block, parts


def _effect(args: argparse.Namespace) -> Effect:
    """What processes the sound."""
    from ..chain.effect import Denoise, with_strength

    if args.board:
        from ..chain.boardfile import open_board

        return with_strength(open_board(args.board), strength(args))
    return Denoise(args.model, args.mix, args.atten_lim, args.residual)


def _latency_line(parts: dict[str, float | None]) -> str:
    """The parts of the latency, and their sum."""
    shown = [f"{name} {'?' if ms is None else f'{ms:.1f}'}" for name, ms in parts.items()]
    total = sum(ms for ms in parts.values() if ms is not None)
    return f"latency in ms: {' + '.join(shown)} = {total:.1f}"


def _summary_text(s: dict[str, Any]) -> str:
    """The end of the run for people."""
    share = 100 * s["hop_p99_ms"] / s["deadline_ms"]
    lines = [
        f"{s['seconds']:.1f} s at {s['rate']} Hz, {s['callbacks']} callbacks, "
        f"xruns {s['xruns_in']} in, {s['xruns_out']} out",
        f"hops {s['hops']}: p50 {s['hop_p50_ms']:.2f}, p99 {s['hop_p99_ms']:.2f} "
        f"({share:.0f} % of the deadline), max {s['hop_max_ms']:.2f} ms; "
        f"late {s['late']}, dry {s['dry']}, failed {s['failed']}",
    ]
    notes = {
        "samples clipped": s["clipped"],
        "NaN or infinite input samples taken as silence": s["nonfinite"],
        "blocks silent after an error": s["faults"],
        "samples missing in the recording (the disk was too slow)": s["lost_recording"],
    }
    lines += [f"{count} {what}" for what, count in notes.items() if count]
    if s["fault"]:
        lines.append(f"the last error: {s['fault']}")
    return "\n".join(lines)
