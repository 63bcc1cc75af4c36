"""`python -m train VERB`: prepare, check, fit, features, export, mixes, evaluate, listen.

python -m train prepare DATA CACHE                      decode a data set once (docs/data.md)
python -m train check RECIPE --cache CACHE              hours and sources of every side, leaks
python -m train fit RECIPE --cache CACHE --run RUN      train, or go on; --minutes 9 for a slice
python -m train features autoencoder RECIPE --cache CACHE -o ae.pt    a net for a feature loss
python -m train export RUN... -o net.pt                 a file the host loads, with its card
python -m train mixes RECIPE --cache CACHE -o PAIRS     degraded and clean files, unseen sources
python -m train evaluate --model NAME --data PAIRS      checks, scores, report (docs/evaluation.md)
python -m train listen --systems A=DIR --reference DIR  a listening test (docs/listening.md)
"""

from __future__ import annotations

import argparse
import sys

from rtdenoise.cli.interrupt import until_interrupted
from rtdenoise.errors import RtdenoiseError, UsageError

from .cli.arguments import parser


def numbers(text: str) -> list[float]:
    """-5,0,5 as numbers.

    Raises:
        UsageError: it is something else.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"wanted numbers with commas between, as -5,0,5; got {text!r}") from None


# Imports wait for their verb: torch takes seconds, `--help` should not.


def _prepare(args: argparse.Namespace) -> None:
    from .data.prepare import prepare

    prepare(args.data, args.cache, args.rate, args.layout, args.kind, args.jobs, args.skip_clipped)


def _check(args: argparse.Namespace) -> str:
    from . import config
    from .data.library import check

    return check(args.cache, config.load(args.recipe, args.set).data)


def _fit(args: argparse.Namespace) -> None:
    from . import config
    from .run.loop import fit

    recipe = config.load(args.recipe, args.set)
    with until_interrupted() as stop:
        step = fit(recipe, args.cache, args.run, args.minutes, start=args.start, stop=stop)
    if stop.is_set():
        saved = f"stopped: step {step} is saved in {args.run}"
        print(f"{saved}; the same command goes on", file=sys.stderr)
        raise KeyboardInterrupt  # a script must not export what is half trained


def _features(args: argparse.Namespace) -> str:
    from . import config
    from .run.pretrain import pretrain

    recipe = config.load(args.recipe, args.set)
    loss = pretrain(args.kind, recipe, args.cache, args.out, args.steps, args.width)
    return f"{args.out}: loss {loss:.4f}\n"


def _export(args: argparse.Namespace) -> str:
    from .run.export import export

    return export(args.runs, args.out, args.metrics).to_json() + "\n"


def _mixes(args: argparse.Namespace) -> None:
    from . import config
    from .evaluate.mixes import make

    recipe = config.load(args.recipe, args.set)
    make(args.cache, recipe, args.out, args.count, args.side, numbers(args.snr), args.seed)


def _evaluate(args: argparse.Namespace) -> str:
    from .evaluate import evaluate

    return evaluate(args)


def _listen(args: argparse.Namespace) -> str:
    from .listen import listen

    return listen(args)


VERBS = {
    "prepare": _prepare,
    "check": _check,
    "fit": _fit,
    "features": _features,
    "export": _export,
    "mixes": _mixes,
    "evaluate": _evaluate,
    "listen": _listen,
}


def main(argv: list[str] | None = None) -> int:
    """Run one verb; the exit code is the host's."""
    args = parser(__doc__).parse_args(argv)
    try:
        print(VERBS[args.verb](args) or "", end="")
    except RtdenoiseError as error:
        print(f"train {args.verb}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
