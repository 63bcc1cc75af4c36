"""The flags of `python -m train`; apart from the verbs, since those import torch."""

from __future__ import annotations

import argparse
from pathlib import Path


def parser(description: str | None) -> argparse.ArgumentParser:
    """All verbs and flags."""
    root = argparse.ArgumentParser(
        prog="python -m train",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = root.add_subparsers(dest="verb", required=True)
    prepare = verbs.add_parser("prepare")
    prepare.add_argument("data", type=Path)
    prepare.add_argument("cache", type=Path)
    prepare.add_argument("--rate", type=int, default=48_000, metavar="HZ", help="default: 48000")
    prepare.add_argument("--layout", default="auto", help="default: told by the folder")
    prepare.add_argument("--kind", default="speech", help="of plain folders (default: speech)")
    prepare.add_argument("--jobs", type=int, default=2, help="files at a time (default: 2)")
    prepare.add_argument("--skip-clipped", action="store_true", help="leave out clipped files")
    check = verbs.add_parser("check")
    fit = verbs.add_parser("fit")
    fit.add_argument("--minutes", type=float, help="of this slice")
    fit.add_argument("--run", type=Path, required=True)
    fit.add_argument("--from", dest="start", metavar="MODEL", help="begin with its weights")
    mixes = verbs.add_parser("mixes")
    mixes.add_argument("-o", "--out", type=Path, required=True)
    mixes.add_argument("--count", type=int, default=80)
    mixes.add_argument("--side", choices=("dev", "test"), default="dev", help="default: dev")
    mixes.add_argument(
        "--snr", default="-5,0,5,10,15", metavar="DB,..", help="where the recipe has no degradation"
    )
    mixes.add_argument("--seed", type=int, default=7, help="of what is drawn (default: 7)")
    features = verbs.add_parser("features")
    features.add_argument("kind", choices=("autoencoder", "germain"))
    features.add_argument("-o", "--out", type=Path, required=True)
    features.add_argument("--steps", type=int, default=500)
    features.add_argument("--width", type=float, default=0.25, help="of the net; 1: the paper's")
    for verb in (fit, mixes, features, check):
        verb.add_argument("recipe", type=Path)
        verb.add_argument("--cache", type=Path, required=True, help="what `prepare` made")
        verb.add_argument("--set", action="append", metavar="a.b=c", help="change a setting")
    export = verbs.add_parser("export")
    export.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="several: their mean")
    export.add_argument("-o", "--out", type=Path, required=True)
    export.add_argument("--metrics", type=Path, help="JSON {name: {identity: .., model: ..}}")
    _evaluate(verbs.add_parser("evaluate"))
    _listen(verbs.add_parser("listen"))
    return root


def _evaluate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with clean/ and degraded/ (or noisy/)")
    add(
        "--model", action="append", default=[], metavar="[NAME=]MODEL", help="in the box, or a path"
    )
    add("--estimates", action="append", default=[], metavar="NAME=FOLDER", help="others' outputs")
    add("--aligned", action="store_true", help="those come without delay: do not estimate it")
    add("--baseline", action="append", metavar="NAME", help="default: those of the task; none")
    add("--task", choices=("denoise", "dereverb", "superres"), help="default: the model's")
    add("--kind", choices=("speech", "music"), help="default: the model's")
    add("--cutoff-hz", type=float, help="of super-resolution: metrics above and below it")
    add("--metrics", metavar="NAME,..", help="default: all that apply; DNSMOS takes the longest")
    add("--force", action="store_true", help="score pairs that the checks refuse")
    add("--jobs", type=int, default=1, help="files at a time (default: 1)")
    add("--csv", type=Path, metavar="FOLDER", help="a CSV for each system, a row for each file")
    add("--report", type=Path, metavar="PAGE.html", help="with spectrograms and players")
    add("--report-files", type=int, default=0, metavar="N", help="of them (default: all)")
    add("--card", type=Path, metavar="JSON", help="numbers of the first model, for `export`")


def _listen(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--systems", nargs="+", default=[], metavar="NAME=FOLDER", help="what is compared")
    add("--reference", type=Path, help="folder of the clean files, of the same names")
    add("--items", type=int, default=8, help="files, chosen evenly (default: 8)")
    add("--method", choices=("mushra", "acr"), default="mushra", help="default: mushra")
    add("--anchors", default="3500,7000", metavar="HZ,..", help="MUSHRA's low-passes, or none")
    add("--db", type=Path, default=Path("ratings.sqlite"), help="default: ratings.sqlite")
    add("--title", default="Listening test")
    add("--host", default="127.0.0.1", help="default: this machine alone (127.0.0.1)")
    add("--port", type=int, default=8765, help="default: 8765")
    add("--results", type=Path, metavar="DB", help="print what was rated, and serve nothing")
    add("--csv", type=Path, help="with --results: every rating, a row each")
