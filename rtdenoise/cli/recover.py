"""Finish recordings that were cut off, as by `kill -9` or a power cut.

  rtdenoise recover                      all that `rtdenoise live` left in this folder
  rtdenoise recover ~/calls              all that it left in a folder
  rtdenoise recover talk.flac            what it left of talk.flac
  rtdenoise recover damaged.wav          what is in a file that another program left damaged

While it records, `rtdenoise live --record talk.flac` writes the sound into talk.flac.part.wav,
which any player opens. What is there is written into talk.recovered.flac. The recording stays as it
is: delete it when you have heard the new file.

Exit codes: 0 all recovered, or there was nothing to recover; 1 something could not be.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict

from ..errors import AudioError, Problem, UsageError, printable, quoted
from .advice import with_advice
from .arguments import add_force, add_json, add_quiet, file_name

HELP = "finish recordings that were cut off"
ADVICE = {
    Problem.EXISTS: "Choose another name: -o NAME, or overwrite it: -f",
    Problem.ITSELF: "Choose another name: -o NAME",
    Problem.FOLDER_OUT: "Choose another folder: -o FOLDER/NAME",
    Problem.FORMAT: "Give another format: -o NAME.wav",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the recordings, -o, -f, --json and -q to *parser*."""
    parser.add_argument(
        "paths", nargs="*", type=file_name, default=["."], metavar="FILE|FOLDER",
        help="recordings, or folders with recordings (default: this folder)",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--out", type=file_name, metavar="FILE", help="output, for a single recording"
    )
    add_force(parser)
    add_json(parser, "a line for each recording")
    add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Recover each recording, and say how long it is; return the exit code."""
    from ..sound.recover import recover

    paths = list(_recordings(args))
    if args.out and len(paths) != 1:
        raise UsageError(f"-o {args.out} is the name of one output, got {len(paths)} recordings")
    failed = 0
    for path in paths:
        try:
            done = recover(path, args.out, args.force)
        except AudioError as error:
            failed += 1
            print(f"rtdenoise recover: {printable(with_advice(error, ADVICE))}", file=sys.stderr)
            continue
        if args.json:
            print(json.dumps(asdict(done)))
        elif not args.quiet:
            print(f"{printable(done.output)}: {done.seconds:.2f} s, from {printable(done.source)}")
            print(f"  to delete what it was made from: rm {quoted(done.source)}")
        if done.missing:
            print(f"rtdenoise recover: {printable(done.missing)}", file=sys.stderr)
    if not paths and not args.quiet:
        print("nothing to recover in " + ", ".join(map(printable, args.paths)), file=sys.stderr)
    return 1 if failed else 0


def _recordings(args: argparse.Namespace) -> Iterator[str]:
    """Yield the recordings that are meant; those in a folder that need nothing are told."""
    from ..sound.growing import in_use
    from ..sound.recover import recovered_name, unfinished

    for path in args.paths:
        if not os.path.isdir(path):
            folder, name = os.path.split(path)
            parts = [] if os.path.lexists(path) else unfinished(folder or ".", name)
            yield from map(str, parts or [path])
            continue
        for part in unfinished(path):
            done = recovered_name(part)
            if in_use(part):
                print(f"{printable(part)} is being recorded now", file=sys.stderr)
            elif done.exists() and not args.force:
                print(f"{printable(done)} is there already", file=sys.stderr)
            else:
                yield str(part)
