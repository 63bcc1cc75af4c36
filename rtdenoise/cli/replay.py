"""Process the last seconds of a live run again, and tell whether the same comes out.

  rtdenoise replay rtdenoise-flight-20260102-150405      the same blocks through the same effect
  rtdenoise replay DIR -m other.pt --out other.wav       through another model; keep what comes out
  rtdenoise replay DIR --redact                          a copy without words and names
  rtdenoise replay --recover                             what runs that were cut off have left

`rtdenoise live` keeps its last 20 seconds in memory. SIGUSR1, `rtdenoise ctl mark`, or a fault with
--flight-on-glitch writes them into a folder. docs/flight-recorder.md has more.

Exit codes: 0 the same, 1 not the same or not readable, 2 usage, 4 model.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import AudioError, ModelError, Problem, UsageError, printable, quoted
from .arguments import add_board, add_force, add_json, add_quiet, file_name

if TYPE_CHECKING:
    from ..live.flight import Flight
    from ..proof.clicks import Glitch
    from ..proof.replay import Replayed

HELP = "process the last seconds of a live run again"
ADVICE = {
    Problem.EXISTS: "Choose another name, or overwrite it: -f",
    Problem.NO_MODEL: "Give the model or the board: -m MODEL, --board TOML",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flight, the effect, --out, --timing, --redact and --recover to *parser*."""
    parser.add_argument(
        "flight", nargs="?", type=file_name, metavar="DIR",
        help="folder that the flight recorder wrote; with --recover: where to write",
    )  # fmt: skip
    effect = parser.add_mutually_exclusive_group()
    effect.add_argument(
        "-m", "--model", metavar="NAME|PATH", help="model (default: the effect of the run)"
    )
    add_board(effect)
    parser.add_argument(
        "-o", "--out", type=file_name, metavar="FILE", help="output: also write what comes out"
    )
    parser.add_argument(
        "--timing", action="store_true", help="make each call at the time of the run's call"
    )
    parser.add_argument(
        "--redact", action="store_true",
        help="write a copy with noise in place of the sound and without names: DIR-redacted",
    )  # fmt: skip
    parser.add_argument(
        "--recover", action="store_true", help="write the last seconds of runs that were cut off"
    )
    add_force(parser)
    add_json(parser, "what was found")
    add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Replay, redact or recover; return the exit code."""
    if args.recover:
        return _recover(args)
    if not args.flight:
        raise UsageError("wanted the folder of a flight, as rtdenoise-flight-20260102-150405")
    from ..live.flight import read

    flight = read(args.flight)
    if args.redact:
        return _redact(args, flight)
    from ..proof.replay import replay

    effect = _effect(args, flight)
    found = replay(flight, effect, args.timing)
    if args.out:
        _write(args, flight, found)
    if args.json:
        print(json.dumps(found.as_dict()))
    elif not args.quiet:
        print("\n".join(_lines(flight, found)))
    return 0 if found.same else AudioError.exit_code


def _effect(args: argparse.Namespace, flight: Flight) -> Any:
    """Return the effect that the flags ask for, or that of the run.

    Raises:
        UsageError: If the flight does not tell its effect, or cannot be believed.
        ModelError: If there is no such model, or another one has its name.
    """
    from ..chain.boardfile import open_board
    from ..chain.describe import cards, effect_of
    from ..chain.effect import Denoise

    if args.model:
        return Denoise(args.model)
    if args.board:
        return open_board(args.board)
    table = flight.host.get("effect")
    if not isinstance(table, dict):
        raise UsageError("the flight does not tell its effect", Problem.NO_MODEL)
    effect = effect_of(table, printable(args.flight))
    wanted = [model.get("sha256") for model in flight.host.get("models", [])]
    if wanted != [card.sha256 for card in cards(effect)]:
        raise ModelError("the model of that name is another one than in the run", Problem.NO_MODEL)
    return effect


def _write(args: argparse.Namespace, flight: Flight, found: Replayed) -> None:
    """Write what came out of a replay."""
    from ..sound.writer import SoundWriter

    kind = "FLOAT" if args.out.lower().endswith(".wav") else None
    rows = found.wet.shape[0]
    with SoundWriter(args.out, flight.rate, rows, None, kind, overwrite=args.force) as writer:
        writer.write(found.wet)


def _redact(args: argparse.Namespace, flight: Flight) -> int:
    """Write a copy of a flight that can be given away; return the exit code."""
    from ..live.flight import write
    from ..proof.redact import redacted

    effect = None
    try:
        effect = _effect(args, flight)
    except (UsageError, ModelError) as error:
        if not args.quiet:
            print(f"the output is noise too, and not processed: {printable(error)}")
    source = Path(args.flight)
    if source.name in ("", ".."):  # as `.`
        source = source.resolve()
    path = Path(args.out) if args.out else source.with_name(f"{source.name}-redacted")
    written = write(redacted(flight, effect), path)
    if not args.quiet:
        print(f"{printable(written)}: listen to it and read host.json before you give it away")
    return 0


def _recover(args: argparse.Namespace) -> int:
    """Write the flights of runs that were cut off; return the exit code."""
    from ..live.blackbox import recover

    paths = recover(Path(args.flight or "."))
    if args.json:
        print(json.dumps([str(path) for path in paths]))
    elif not args.quiet:
        for path in paths:
            print(f"{printable(path)}\n  to process it again: rtdenoise replay {quoted(path)}")
        if not paths:
            print("no run was cut off")
    return 0


def _lines(flight: Flight, found: Replayed) -> list[str]:
    """Return the report as lines."""
    told = flight.host.get("flight", {})
    why = f"{told.get('reason', '')}: {told.get('text', '')}".rstrip(": ")
    effect = ", ".join(str(model.get("name")) for model in flight.host.get("models", []))
    lines = [
        f"{found.seconds:.2f} s, {found.calls} calls, {flight.rate} Hz, "
        f"{flight.dry.shape[0]} channel(s), {printable(effect or 'no model')}"
        f" ({printable(why) or 'no reason'})",
        "the calls took   50 %    99 %    longest",
        *(
            f"  {name:<12} {ms[0]:7.2f} {ms[1]:7.2f} {ms[2]:8.2f} ms"
            for name, ms in (("in the run", found.recorded_ms), ("here", found.replayed_ms))
        ),
    ]
    lines += _wrong(found)
    if found.uncertain:
        lines.append(f"{found.uncertain} calls had other dry or failed hops here than in the run")
    since = "its first sample" if found.exact else f"{found.compared_from / flight.rate:.2f} s on"
    verdict = (
        "the same"
        if found.first_difference is None
        else f"NOT the same, first at {found.first_difference / flight.rate:.3f} s, "
        f"call {found.call}"
    )
    if not found.same and found.first_difference is None:
        verdict = "nothing to compare"
    lines.append(f"{verdict}: largest difference {found.largest:.1e} from {since}")
    if not found.exact:
        lines.append("  what the effect remembered when the flight begins is not known")
    return lines


def _wrong(found: Replayed) -> list[str]:
    """Return a line for each kind of glitch."""
    kinds: dict[str, list[Glitch]] = {}
    for glitch in found.glitches:
        kinds.setdefault(glitch.kind, []).append(glitch)
    if not kinds:
        return ["nothing is wrong in the sound of the run"]
    return ["wrong in the run:"] + [
        f"  {kind:<10} {len(each)} call(s), the first at {each[0].seconds:.3f} s (call "
        f"{each[0].call}), the last at {each[-1].seconds:.3f} s (call {each[-1].call})"
        for kind, each in kinds.items()
    ]
