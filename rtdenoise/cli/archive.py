"""Archives by `rtdenoise file`: a results log, manifests, shards, stores, and the engines."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

from ..cluster.progress import Progress
from ..errors import Problem, UsageError, printable
from .advice import with_advice
from .arguments import (
    DEFAULT_MODEL,
    HERE,
    add_on,
    cluster_of,
    file_name,
    parameters,
    strength,
)

if TYPE_CHECKING:
    from ..cluster.here import Engine
    from ..cluster.items import Item
    from ..cluster.work import Settings
    from ..files.results import Line, ResultsLog
    from .meters import Gauge

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
ADVICE = {
    Problem.TIME_OUT: "Give it longer with --timeout S, or try it again with --retry-failed",
    Problem.RETRY: "Name the inputs again, beside --retry-failed",
}


def add_archive(parser: argparse._ActionsContainer) -> None:
    """Add the options of archives to *parser*."""
    parser.add_argument(
        "--log",
        type=file_name,
        metavar="FILE",
        help="keep a results log, a JSON line an input, and skip what it says is done: the same "
        "content, model and settings",
    )
    parser.add_argument(
        "--retry-failed",
        action="store_true",
        help="process what failed by the log and nothing else; without inputs, all of that",
    )
    parser.add_argument(
        "--manifest",
        type=file_name,
        metavar="FILE",
        help="read the inputs from a csv, jsonl or parquet file with the columns input, and if "
        "there are output and size",
    )
    parser.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="process one of N equal shares, 0/N to (N-1)/N, as in an array of a batch system",
    )
    add_on(parser)
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="S",
        help="give up what takes more seconds, as an input on a drive that hangs",
    )
    parser.add_argument(
        "--longest",
        type=float,
        metavar="S",
        help="cut what is longer than S seconds into pieces that all cores and nodes share; wanted "
        "600 or more, because each takes 5 minutes more: docs/scale.md",
    )


def _shard(text: str) -> tuple[int, int]:
    """Return (number, count) of a shard, for argparse.

    >>> _shard("0/3")
    (0, 3)
    """
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if found and int(found[1]) < int(found[2]):
        return int(found[1]), int(found[2])
    raise argparse.ArgumentTypeError(f"wanted I/N with I from 0 to N-1, as 0/4; got {text!r}")


def is_archive(args: argparse.Namespace) -> bool:
    """Return whether the flags ask for what this file does: an option of it, or a URL."""
    options = (args.log, args.manifest, args.shard, args.on, args.timeout, args.longest)
    named = [*args.inputs, args.out or "", args.output_dir or ""]
    return args.retry_failed or any(o is not None for o in options) or any(map(URL.match, named))


def run_archive(args: argparse.Namespace, advice: dict[Problem, str]) -> int:
    """Process the items; return the exit code."""
    from ..cluster.items import claimed
    from ..cluster.progress import counted
    from ..cluster.store import check_folder
    from ..files.results import ResultsLog
    from .meters import Gauge

    _check(args)
    for place in filter(None, (args.output_dir, URL.match(args.out or "") and args.out)):
        check_folder(place)
    engine, settings = _engine(args.on or HERE), _settings(args)
    log = ResultsLog(args.log, "{}of{}".format(*args.shard) if args.shard else "")
    with Gauge(args.quiet) as gauge:
        told = Told(args, advice, gauge)
        again = partial(_found, args, log)
        with nullcontext() if args.quiet or args.retry_failed else counted(again, told.know):
            engine(claimed(_found(args, log), log, args.retry_failed), settings, log, told)
    log.part().close()
    merged = log.merge()
    return told.end(log, merged)


def _check(args: argparse.Namespace) -> None:
    """Refuse flags that contradict each other."""
    standard = "-" in args.inputs or "-" in (args.out, args.manifest)
    refusals = {
        "stdin and stdout are no part of an archive: name files": standard,
        "--picture is for single files: leave it out": args.picture,
        "--editor and --save-board are for single files: save the board first": args.editor
        or args.save_board,
        "--board names its own models: leave -m out, and write it into the board": args.board
        and args.model != DEFAULT_MODEL,
        "-o names one output and -O the folder of several: give one of them": args.out
        and args.output_dir,
        "-o names the output of one input: give -O DIR": args.out
        and (args.manifest or args.recursive or len(args.inputs) > 1),
        "--manifest lists the inputs: leave the others out": args.manifest and args.inputs,
        "--retry-failed needs the log of the run: --log FILE": args.retry_failed and not args.log,
        "name inputs, or a list of them with --manifest": not (
            args.inputs or args.manifest or args.retry_failed
        ),
        f"--jobs {args.jobs}: wanted 1 or more": args.jobs is not None and args.jobs < 1,
        f"--timeout {args.timeout}: wanted more than 0 s": args.timeout is not None
        and not args.timeout > 0,
        f"--longest {args.longest}: wanted more than 0 s": args.longest is not None
        and not args.longest > 0,
        f"--log {args.log}: a log is on a disk of this machine": args.log and URL.match(args.log),
    }
    for message, refused in refusals.items():
        if refused:
            raise UsageError(message)


def _engine(where: str) -> Engine:
    """Return the engine that --on means."""
    if where == HERE:
        from ..cluster import here

        return here.run
    address = cluster_of(where)
    from ..cluster.onray import OnRay

    return OnRay(address)


def _settings(args: argparse.Namespace) -> Settings:
    """Return what is done to every item."""
    from ..cluster.work import Settings

    how, board, model = strength(args), None, None
    if args.board:
        from ..chain.boardfile import described, open_board

        board = described(open_board(args.board))
    else:
        from ..nets.box import source

        model = source(args.model)
    return Settings(
        model=model,
        board=board,
        parameters=parameters(args),
        mix=how.mix,
        atten_lim_db=how.atten_lim_db,
        residual=how.residual,
        quality_kbps=args.quality,
        reference=args.reference,
        timeout_s=args.timeout,
        longest_s=args.longest,
        force=args.force,
        skip_existing=args.skip_existing,
        jobs=args.jobs,
    ).known()


def _found(args: argparse.Namespace, log: ResultsLog) -> Iterator[Item]:
    """Yield the items of the run."""
    from ..cluster import items, manifest
    from ..files.batch import Naming

    naming = Naming(args.out, args.output_dir, args.suffix, args.force, args.skip_existing)
    if args.manifest:
        found = manifest.from_manifest(args.manifest, naming)
    elif args.inputs:
        found = items.from_listing(args.inputs, naming, args.recursive)
    else:
        found = items.from_failures(log)
    return items.shard(found, *args.shard) if args.shard else found


class Told(Progress):
    """What is told of a run: lines for people on stderr, JSON lines on stdout, the exit code.

    Args:
        args: The parsed arguments of the verb: `json`, `quiet` and `log` are used.
        advice: What to type about each problem.
        gauge: What shows how far the run is.
    """

    def __init__(self, args: argparse.Namespace, advice: dict[Problem, str], gauge: Gauge) -> None:
        super().__init__(show=gauge, every_s=gauge.every_s)
        self.args, self.advice = args, advice | ADVICE
        self.counts: Counter[str] = Counter()

    def note(self, line: Line, size: int | None = None) -> None:
        """Take the line of an item."""
        from ..files.results import DONE, FAILED, finite

        super().note(line, size)
        partial = line.get("partial")
        self.counts["failed" if partial else line["status"]] += 1
        if self.args.json:
            print(json.dumps(finite(line)), flush=True)
        if line["status"] == FAILED:
            self._print(self._advised(line))
        elif partial:
            self._print(f"{partial}. What can be read is in {printable(line['output'])}")
        elif line["status"] == DONE and not self.args.quiet:
            names = f"{printable(line['input'])} -> {printable(line['output'])}"
            speed = line["seconds"] / max(line["took_s"], 1e-3)
            print(f"{names} ({line['seconds']:.2f} s, {speed:.0f} x real time)", file=sys.stderr)
            for warning in line["warnings"]:
                print(f"  warning: {warning}", file=sys.stderr)

    def _advised(self, line: Line) -> str:
        """Return the error of a line, followed by what the user can type."""
        from ..errors import RtdenoiseError

        error = RtdenoiseError(line["error"], Problem(line["problem"]))
        return printable(with_advice(error, self.advice))

    def _print(self, text: str) -> None:
        print(f"rtdenoise file: {text}", file=sys.stderr, flush=True)

    def end(self, log: ResultsLog, merged: bool) -> int:
        """Print the summary; return the exit code."""
        if not self.args.quiet:
            counts = ", ".join(f"{self.counts[s]} {s}" for s in ("done", "skipped", "failed"))
            where = f"; results in {printable(log.path)}" if log.path else ""
            if log.path and log.shard and not merged:
                where = f"; results in {printable(log.part().name)} until all shards have ended"
            if self.args.on not in (None, HERE):
                counts += f", {self.facts()['core_hours']:.4f} core-hours"
            print(f"{counts}{where}", file=sys.stderr)
        return 1 if self.counts["failed"] else 0
