"""Serve a blind listening test to a browser, or print its results (docs/listening.md).

python -m train listen --reference CLEAN --systems noisy=DEGRADED ours=RESTORED
python -m train listen --results ratings.sqlite
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rtdenoise.errors import UsageError, quoted

from .arguments import named, numbers

HELP = "serve a blind listening test to a browser"
ADVICE = {
    "path": "Give another --db",
    "port": "Try another --port",
    "reference": "--reference names it",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a test, of its server, and of --results."""
    add = parser.add_argument
    add("--systems", nargs="+", default=[], metavar="NAME=FOLDER", help="folders to compare")
    add("--reference", type=Path, metavar="CLEAN", help="clean recordings: a folder of them")
    add("--items", type=int, default=8, help="number of recordings, evenly chosen (default: 8)")
    add("--method", choices=("mushra", "acr"), default="mushra", help="default: mushra")
    add("--anchors", default="3500,7000", metavar="HZ,..", help="low-passes of MUSHRA, or none")
    add("--db", type=Path, default=Path("ratings.sqlite"), help="database of the ratings")
    add("--title", default="Listening test", help="title of the page")
    add(
        "--host",
        default="127.0.0.1",
        help="address to listen at (default: 127.0.0.1, this machine only)",
    )
    add("--port", type=int, default=8765, metavar="N", help="port of the page (default: 8765)")
    add("--results", type=Path, metavar="DB", help="print the results; serve nothing")
    add(
        "--ratings",
        type=Path,
        metavar="FILE",
        help="with --results: write a CSV with a row per rating",
    )


def run(args: argparse.Namespace) -> int:
    """Serve a test until Ctrl-C, or print the results of one."""
    from ..listen import listen
    from ..listen.results import report
    from ..listen.stimuli import prepare

    if args.results:
        print(report(args.results, args.ratings), end="")
        return 0
    if not args.systems or not args.reference:
        raise UsageError("wanted --systems NAME=FOLDER .. and --reference FOLDER, or --results DB")
    folders = {k: Path(v) for k, v in named("--systems", args.systems).items()}
    mushra = args.method == "mushra" and args.anchors != "none"  # ACR has no anchors
    anchors_hz = numbers("--anchors", args.anchors) if mushra else []
    test = prepare(args.reference, folders, args.items, tuple(anchors_hz))
    listen(test, args.db, args.title, args.method, args.host, args.port)
    print(f"python -m train listen --results {quoted(args.db)}")
    return 0
