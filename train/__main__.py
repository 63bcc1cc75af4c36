"""`python -m train VERB`: prepare, check, fit, features, export, mixes, evaluate, enhance.

python -m train prepare DATA CACHE                      decode a data set once (docs/data.md)
python -m train check RECIPE --cache CACHE              hours and sources of every side, leaks
python -m train fit RECIPE --cache CACHE --run RUN      train, or go on; --minutes 9 for a slice
python -m train features autoencoder RECIPE --cache CACHE -o ae.pt    a net for a feature loss
python -m train export RUN -o net.pt                    a file the host loads, with its card
python -m train mixes RECIPE --cache CACHE -o PAIRS     degraded and clean files, unseen sources
python -m train evaluate --model NAME --data PAIRS      checks, scores, report (docs/evaluation.md)
python -m train enhance MODEL PAIRS/degraded OUT        the model over a folder
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rtdenoise.errors import RtdenoiseError, UsageError


def parser() -> argparse.ArgumentParser:
    """All verbs and flags."""
    from .evaluate import arguments

    root = argparse.ArgumentParser(
        prog="python -m train",
        description=__doc__,
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
    export.add_argument("run", type=Path)
    export.add_argument("-o", "--out", type=Path, required=True)
    export.add_argument("--metrics", type=Path, help="JSON {name: {identity: .., model: ..}}")
    enhance = verbs.add_parser("enhance")
    enhance.add_argument("model")
    enhance.add_argument("noisy", type=Path)
    enhance.add_argument("out", type=Path)
    arguments(verbs.add_parser("evaluate"))
    return root


def numbers(text: str) -> list[float]:
    """-5,0,5 as numbers.

    Raises:
        UsageError: it is something else.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"wanted numbers with commas between, as -5,0,5; got {text!r}") from None


def main(argv: list[str] | None = None) -> int:
    """Run one verb; the exit code is the host's."""
    args = parser().parse_args(argv)
    try:
        if args.verb == "prepare":
            from .prepare import prepare

            prepare(
                args.data, args.cache, args.rate, args.layout, args.kind, args.jobs,
                args.skip_clipped,
            )  # fmt: skip
        elif args.verb == "check":
            from . import config
            from .data import check

            print(check(args.cache, config.load(args.recipe, args.set).data), end="")
        elif args.verb == "fit":
            from . import config
            from .loop import fit

            recipe = config.load(args.recipe, args.set)
            fit(recipe, args.cache, args.run, args.minutes, start=args.start)
        elif args.verb == "features":
            from . import config
            from .features import pretrain

            recipe = config.load(args.recipe, args.set)
            loss = pretrain(args.kind, recipe, args.cache, args.out, args.steps, args.width)
            print(f"{args.out}: loss {loss:.4f}")
        elif args.verb == "export":
            from .export import export

            print(export(args.run, args.out, args.metrics).to_json())
        elif args.verb == "mixes":
            from . import config
            from .mixes import make

            recipe = config.load(args.recipe, args.set)
            make(args.cache, recipe, args.out, args.count, args.side, numbers(args.snr))
        elif args.verb == "enhance":
            from .mixes import enhance

            enhance(args.model, args.noisy, args.out)
        else:
            from .evaluate import evaluate

            print(evaluate(args), end="")
    except RtdenoiseError as error:
        print(f"train {args.verb}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
