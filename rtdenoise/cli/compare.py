"""Compare models and boards on a recording of yours: one page to listen, blind, and to choose.

  rtdenoise compare talk.wav                                  all included models
  rtdenoise compare talk.wav -m speech -m my.pt --board call.toml
  rtdenoise compare talk.wav -m speech --start 90 --seconds 20 -o page.html

It writes talk.compare.html: open it in a browser. The page needs no server and loads nothing. It
plays the input and each version equally loud (BS.1770) and in step, so that you can switch at the
same place; A, B, C stand in a random order, until you say which one you prefer. Then it shows their
names, spectrograms on one scale, DNSMOS (if speechmos is installed), speed, and the delay that each
adds to live sound. What was removed can be heard at any time.

Without --seconds, the first minute is taken.

Exit codes: 0 ok, 1 the recording cannot be read or processed, 2 usage, 4 model, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Problem, printable, quoted
from ..sound.pending import STD
from .arguments import add_force, add_json, add_quiet, file_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..chain.effect import Effect
    from ..proof.compare import Candidate, Part, Version

HELP = "make a page to compare models and boards by ear"
ADVICE = {
    Problem.EXISTS: "Choose another name (-o), or overwrite it (-f)",
    Problem.FOLDER_OUT: "Choose another folder: -o FOLDER/NAME.html",
    Problem.LONG_NAME: "Choose a shorter one with -o",
}
USUAL_S = 60.0
HEADS = ("DNSMOS", "speed x", "hop p50", "p99", "of ms", "delay ms", "LUFS")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the recording, what to compare, the part, the output, --json and -q to *parser*."""
    parser.add_argument(
        "input", type=file_name, metavar="IN", help="a recording; - is stdin (then give -o)"
    )
    parser.add_argument(
        "-m",
        "--model",
        action="append",
        metavar="NAME|PATH",
        help="model: an included one (`rtdenoise models`) or your own; may be given again "
        "(default: all included ones)",
    )
    parser.add_argument(
        "--board",
        type=file_name,
        action="append",
        metavar="TOML",
        help="run this board of effects instead of one model; may be given again",
    )
    parser.add_argument(
        "--start", type=float, default=0.0, metavar="SECONDS",
        help="where the part begins (default: 0)",
    )  # fmt: skip
    parser.add_argument(
        "--seconds", type=float, default=USUAL_S, help=f"length in seconds (default: {USUAL_S:g})"
    )
    parser.add_argument(
        "-o", "--out", type=file_name, metavar="FILE", help="output: the page; - is stdout"
    )
    add_force(parser)
    add_json(parser, "one object")
    add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Process the part with each model and board, and write the page; return the exit code."""
    _check(args)
    from ..proof.compare import as_recorded, processed, read_part
    from ..proof.compare_page import make_page
    from ..sound.pending import Pending

    out = args.out or f"{Path(args.input).with_suffix('')}.compare.html"
    candidates = list(_candidates(args))
    part = read_part(args.input, args.start, args.seconds)
    told = _Told(args, part)
    with Pending(out, args.force, like=args.input) as pending:
        versions = [as_recorded(part)]
        told.row(versions[0])
        for candidate in candidates:
            versions.append(processed(part, candidate))
            told.row(versions[-1])
        options = {"model": "-m", "board": "--board"}
        commands = {
            c.name: f"rtdenoise live {options[c.kind]} {quoted(c.name)}" for c in candidates
        }
        page = make_page(part, versions, commands)
        pending.path.write_bytes(page.html)
    told.end(out, page, versions)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse flags that contradict each other, or make no sense."""
    from ..errors import UsageError

    chosen = [*(args.model or []), *(args.board or [])]
    twice = sorted({name for name in chosen if chosen.count(name) > 1})
    refusals = {
        f"--start {args.start:g}: wanted 0 or more seconds": not args.start >= 0,
        f"--seconds {args.seconds:g}: wanted more than 0, to 600": not 0 < args.seconds <= 600,
        f"{''.join(twice[:1])} is given twice": twice,
        "stdin has no name that the page could have: give -o FILE": args.input == STD
        and not args.out,
        "--json and the page would both go to stdout: give -o FILE": args.json and args.out == STD,
        f"{len(chosen)} models and boards: wanted 8 at most, which have a key each": len(chosen)
        > 8,
    }
    for message, refused in refusals.items():
        if refused:
            raise UsageError(message)


def _candidates(args: argparse.Namespace) -> Iterator[Candidate]:
    """Yield what the flags name; a mistake must stop everything before the work."""
    from ..chain.boardfile import open_board
    from ..chain.effect import Denoise
    from ..nets.box import models
    from ..proof.compare import Candidate

    usual = [] if args.model or args.board else models()
    for name in args.model or usual:
        effect = Denoise(name)
        yield Candidate(name, "model", _always(effect))
    for path in args.board or []:
        open_board(path)
        yield Candidate(path, "board", partial(open_board, path))  # plugins hold their state


def _always(effect: Effect) -> Callable[[], Effect]:
    """Return a function that gives *effect*, whose net holds no state."""
    return lambda: effect


class _Told:
    """What is printed: a line for each version as soon as it is done, or JSON at the end.

    Args:
        args: The flags.
        part: The part that is compared.
    """

    def __init__(self, args: argparse.Namespace, part: Part) -> None:
        self.args, self.part = args, part
        self.stream = sys.stderr if args.out == STD else sys.stdout
        self.shown = not (args.quiet or args.json)
        self.width = max(len(n) for n in ("version", "speech-dereverb", *_names(args)))
        rest = part.whole_s - part.start_s - part.seconds
        if self.shown and rest > 0.05:
            self._line(
                f"{printable(part.name)}: {part.seconds:.1f} s from {part.start_s:g} s of "
                f"{part.whole_s:.1f} s (another part: --start, --seconds)"
            )
        if self.shown:
            self._line(f"{'version':<{self.width}} " + " ".join(f"{head:>8}" for head in HEADS))

    def _line(self, text: str) -> None:
        print(text, file=self.stream, flush=True)

    def row(self, version: Version) -> None:
        """Show a version."""
        if self.shown:
            cells = " ".join(f"{cell:>8}" for cell in _cells(version))
            self._line(f"{printable(version.name):<{self.width}} {cells}")

    def end(self, out: str, page: Any, versions: list[Version]) -> None:
        """Show where the page is and how it was made."""
        if self.args.json:
            part = self.part
            facts = {
                "input": self.args.input,
                "page": out,
                "bytes": len(page.html),
                "sound": page.sound,
                "from_s": part.start_s,
                "seconds": part.seconds,
                "rate": part.rate,
                "channels": part.audio.shape[0],
                "versions": [version.as_dict() for version in versions],
                "notes": page.notes,
            }
            print(json.dumps(facts, indent=1))
        for warning in self.part.warnings:
            print(f"warning: {printable(warning)}", file=sys.stderr)
        if self.shown:
            for note in page.notes:
                if note not in self.part.warnings:
                    self._line(note)
            size = f"{len(page.html) / 1e6:.1f} MB, {page.sound}"
            self._line(f"{printable(out)}: {size}. Open it in a browser: {quoted(out)}")


def _names(args: argparse.Namespace) -> list[str]:
    return [printable(name) for name in [*(args.model or []), *(args.board or [])]]


def _cells(version: Version) -> list[str]:
    """Return the values of a version as text; - for what it has not."""
    hops, score = version.hops, version.scores.get("ovrl")
    values = (
        (score, 2),
        (version.speed_x, 0),
        (hops and hops.p50_ms, 1),
        (hops and hops.p99_ms, 1),
        (hops and hops.deadline_ms, 1),
        (version.delay_ms, 1),
        (version.lufs, 1),
    )
    return ["-" if value is None else f"{value:.{digits}f}" for value, digits in values]
