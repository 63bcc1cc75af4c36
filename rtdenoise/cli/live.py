"""Remove noise from live sound: microphone in, speakers or a virtual cable out.

  rtdenoise live                                     use the default microphone and speakers
  rtdenoise live --in usb --out blackhole            name devices by a part of their names
  rtdenoise live --in file:x.wav --out file:y.wav    use no sound card; add --clock fast not to wait

It prints the parts of the latency at the start, levels and hop times while it runs, and a summary
at the end. Ctrl-C ends it. Use headphones: with speakers the microphone picks up the output and
it feeds back. docs/live.md has more.

Exit codes: 0 ended or stopped by Ctrl-C, 1 a file could not be read or written, 2 usage, 3 device,
4 model.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ..errors import DeviceError, ModelError, Problem, UsageError, printable
from .arguments import (
    add_board,
    add_force,
    add_json,
    add_model,
    add_quiet,
    add_strength,
    file_name,
    strength,
)
from .interrupt import bounded, until_interrupted

if TYPE_CHECKING:
    from ..chain.effect import Effect
    from ..live.supervisor import Event

HELP = "clean live sound: microphone in, speakers out"
FLAGS = {"duration_s": "--duration", "input": "--in", "output": "--out"}
ADVICE = {
    Problem.EXISTS: "Choose another name, or overwrite it: -f",
    Problem.ITSELF: "Choose another name",
    Problem.LONG_NAME: "Choose a shorter name",
    Problem.FOLDER_OUT: "Choose another folder",
    Problem.FORMAT: "Give another format: --out file:NAME.flac or --record NAME.flac",
}
STUCK = "rtdenoise live: the net does not return, so the run was ended; what it recorded is lost"
LOOK_S = 0.1  # time between two updates of the meters


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the ends, the blocks, the dry/wet settings and the recording to *parser*."""
    where = "index or part of the name of a device, %s, file:PATH or null (default: %s)"
    parser.add_argument(
        "-i",
        "--in",
        dest="source",
        default="mic",
        metavar="DEVICE",
        help="input: " + where % ("mic", "mic"),
    )
    parser.add_argument(
        "-o", "--out", default="speakers", metavar="DEVICE",
        help="output: " + where % ("speakers", "speakers"),
    )  # fmt: skip
    add_model(parser)
    add_strength(parser)
    add_board(parser)
    parser.add_argument(
        "--rate", type=int, metavar="HZ", help="sample rate of the sound (default: the net's)"
    )
    parser.add_argument(
        "--channels", type=int, metavar="N", help="channels of the sound, 1 or 2 (default: 1)"
    )
    parser.add_argument(
        "--block", type=int, metavar="N",
        help="samples per callback; 0 lets the device choose (default: one hop of the net)",
    )  # fmt: skip
    parser.add_argument(
        "--latency",
        default="low",
        metavar="low|high|SECONDS",
        help="latency to ask of the devices (default: low)",
    )
    parser.add_argument(
        "--clock",
        choices=("real", "fast"),
        default="real",
        help="pace of files: real time, or as fast as possible (default: real)",
    )
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="stop after this time")
    parser.add_argument(
        "--record", type=file_name, metavar="FILE", help="also write the output to a file"
    )
    parser.add_argument(
        "--no-wait",
        action="store_true",
        help="end with exit code 3 when a device is gone, instead of waiting until it is back",
    )
    add_force(parser)
    add_json(parser, "the summary")
    add_quiet(parser)


def make_effect(args: argparse.Namespace) -> Effect:
    """Return the effect that the flags ask for: a board or a model."""
    from ..chain.effect import Denoise, with_strength

    if args.board:
        from ..chain.boardfile import open_board

        return with_strength(open_board(args.board), strength(args))
    return Denoise(args.model, args.mix, args.atten_lim, args.residual)


def run(
    args: argparse.Namespace, make: Callable[[argparse.Namespace], Effect] = make_effect
) -> int:
    """Run a `Live` and show it; return the exit code.

    Ctrl-C and SIGTERM are no errors: they end the run, and the exit code is 0.

    Args:
        args: The flags.
        make: Function that makes the effect.
    """
    from ..live.live import Live
    from .meters import StatusLine

    silent = args.quiet or args.json
    line = StatusLine(silent)

    def told(event: Event) -> None:
        if args.quiet:
            return
        with suppress(OSError):  # a closed terminal must not end the sound
            line.clear()
            print(f"rtdenoise live: {printable(event.text)}", file=sys.stderr, flush=True)

    with _named_by_flags():
        settings = _settings(args)
        live = Live(args.source, args.out, make(args), told=told, **settings)
    try:
        with (
            until_interrupted() as stop,
            bounded(STUCK, ModelError.exit_code, live.call),
            ExitStack() as running,
        ):
            with _named_by_flags():
                running.enter_context(live)
            if not silent:
                print(_latency_line(live.latency_ms), file=sys.stderr)
            while not live.wait(LOOK_S):
                line.show(live.status())
                if stop.is_set():
                    live.stop()
    finally:
        line.clear()
    if args.json:
        print(json.dumps(live.summary()))
    elif not args.quiet:
        print(_summary_text(live.summary()), file=sys.stderr)
    return 0


@contextmanager
def _named_by_flags() -> Iterator[None]:
    """Return a context whose errors name the flags of this command instead of settings."""
    from ..live.devices import DeviceNameError
    from ..live.negotiate import WishError

    try:
        yield
    except WishError as error:
        flag = FLAGS.get(error.setting, f"--{error.setting}")
        raise UsageError(f"{flag} {error.value}: {error.reason}") from error
    except DeviceNameError as error:
        raise DeviceError(error.worded(FLAGS[error.kind]), error.problem) from error


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings for `Live`; refuse wrong ones before a model is loaded."""
    from ..live.ends import FileEnd, NullEnd, parse_end
    from ..live.negotiate import Wishes

    try:
        latency: str | float = float(args.latency)
    except ValueError:
        latency = args.latency
    settings = {
        "rate": args.rate or None,
        "channels": args.channels or None,
        "block": args.block,
        "latency": latency,
        "clock": args.clock,
        "duration_s": args.duration,
        "record": args.record or None,
        "overwrite": args.force,
        "wait_for_device": not args.no_wait,
    }
    Wishes(**settings)
    source, sink = parse_end(args.source, "input"), parse_end(args.out, "output")
    if args.record and isinstance(sink, FileEnd):
        raise UsageError("--record and --out file: both write the processed sound; leave one out")
    if isinstance(source, NullEnd) and isinstance(sink, NullEnd) and args.duration is None:
        raise UsageError("--in null --out null never ends: give --duration")
    strength(args)
    return settings


def _latency_line(parts: dict[str, float | None]) -> str:
    """Return a line with the parts of the latency, and their sum."""
    shown = [f"{name} {'?' if ms is None else f'{ms:.1f}'}" for name, ms in parts.items()]
    total = sum(ms for ms in parts.values() if ms is not None)
    return f"latency in ms: {' + '.join(shown)} = {total:.1f}"


def _summary_text(s: dict[str, Any]) -> str:
    """Return the summary of a run as lines for people."""
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
    if s["gaps"]:
        times = "once" if s["gaps"] == 1 else f"{s['gaps']} times"
        lines.append(f"a device was gone {times}, for {s['gap_seconds']:.1f} s in all")
    lines += [f"{count} {what}" for what, count in notes.items() if count]
    if s["fault"]:
        lines.append(f"the last error: {s['fault']}")
    return "\n".join(lines)
