"""Score systems on pairs of degraded and clean files, after checking the pairs.

python -m train evaluate --model speech --data PAIRS --report report.html
python -m train evaluate --model net.pt --estimates dfn3=THEIRS --data PAIRS --jobs 2

The baselines of the task are scored as well; other makers' denoisers are models or baselines by
their names: --baseline rnnoise --baseline deepfilternet3. docs/evaluation.md defines the metrics.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .arguments import add_on, named

HELP = "score systems on pairs of degraded and clean files"
ADVICE = {
    "card": "It holds the numbers of a --model",
    "cutoff_hz": "Give --cutoff-hz HZ, the end of the band that was kept",
    "data": "`python -m train mixes` makes such a folder",
    "force": "--leave-out scores the others; --despite-checks scores all that can be read, and "
    "says so",
    "names": "Give NAME=VALUE",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --data and the options of systems, scoring and outputs."""
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with clean/ and degraded/ (or noisy/)")
    add(
        "--model",
        action="append",
        default=[],
        metavar="[NAME=]MODEL",
        help="model: an included one or the path of a file; repeatable",
    )
    add(
        "--estimates",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="outputs of another program, files of equal names; repeatable",
    )
    add("--aligned", action="store_true", help="the estimates have no delay: do not estimate it")
    add("--baseline", action="append", metavar="NAME", help="default: all of the task; or none")
    add("--task", choices=("denoise", "dereverb", "superres"), help="default: the model's")
    add("--kind", choices=("speech", "music"), help="kind of sound (default: the model's)")
    add("--cutoff-hz", type=float, help="super-resolution: also score above and below this")
    add("--metrics", metavar="NAME,..", help="default: all that apply; DNSMOS takes longest")
    bad = parser.add_mutually_exclusive_group()
    bad.add_argument("--despite-checks", action="store_true", help="score pairs that are refused")
    bad.add_argument("--leave-out", action="store_true", help="leave them out, and name them")
    add("--jobs", type=int, default=1, metavar="N", help="number of files at once (default: 1)")
    add(
        "--timeout",
        type=float,
        metavar="S",
        help="give up what takes more seconds, as a system for a pair",
    )
    add(
        "--log",
        type=Path,
        metavar="FILE",
        help="keep a results log, a JSON line a pair and system, and score only what it lacks",
    )
    add_on(parser)
    add("--csv", type=Path, metavar="FOLDER", help="write a CSV per system with a row per file")
    add("--report", type=Path, metavar="PAGE.html", help="write a page with tables and players")
    add("--report-files", type=int, default=0, metavar="N", help="files on it (default: all)")
    add("--card", type=Path, metavar="JSON", help="write the first model's scores for `export`")


def run(args: argparse.Namespace) -> int:
    """Check and score, write the files, and print the tables."""
    from ..evaluate import Outputs, evaluate, settle
    from ..evaluate.tables import INPUT

    settings = settle(
        models=named("--model", args.model, (INPUT,)),
        estimates={k: Path(v) for k, v in named("--estimates", args.estimates, (INPUT,)).items()},
        aligned=args.aligned,
        baselines=None if args.baseline is None else [b for b in args.baseline if b != "none"],
        task=args.task,
        kind=args.kind,
        cutoff_hz=args.cutoff_hz,
        metrics=args.metrics.split(",") if args.metrics else (),
        force=args.despite_checks,
        leave_out=args.leave_out,
        jobs=args.jobs,
        shown=args.report_files,
        on=args.on,
        timeout_s=args.timeout,
        log=args.log,
    )
    outputs = Outputs(csv=args.csv, report=args.report, card=args.card)
    text = evaluate(args.data, settings, outputs, lambda line: print(line, file=sys.stderr))
    print(text, end="")
    return 0
