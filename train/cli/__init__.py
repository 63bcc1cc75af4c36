"""The command line: `python -m train VERB ...`. Each verb is a file.

Each verb has HELP, add_arguments and run. Its ADVICE says what to type where another argument of a
library function would prevent an error (`errors.ArgumentError`). Exit codes are the host's: 0 ok,
1 bad audio or a run that cannot continue, 2 usage, 4 model, 130 interrupted. A verb imports torch
and other large packages when it runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module

from rtdenoise.cli import Parser
from rtdenoise.cli.advice import with_advice
from rtdenoise.errors import Problem, RtdenoiseError, UsageError, printable

from ..errors import ArgumentError

VERBS = ("prepare", "check", "fit", "features", "export", "mixes", "evaluate", "listen")
INTERRUPTED = 130
NO_MODEL = "`rtdenoise models` describes those in the box"


def parser() -> argparse.ArgumentParser:
    """Make the parser of the whole command line."""
    root = Parser(
        prog="python -m train",
        description="Train models, score them, and compare them in listening tests.",
        epilog="`python -m train VERB --help` shows the options of a verb. See docs/training.md.",
    )
    verbs = root.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name in VERBS:
        verb = import_module(f".{name}", __name__)
        sub = verbs.add_parser(
            name,
            help=verb.HELP,
            description=verb.__doc__ or verb.HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.add_arguments(sub)
        sub.set_defaults(do=verb.run, advice=getattr(verb, "ADVICE", {}))
    return root


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return the exit code."""
    root, words = parser(), sys.argv[1:] if argv is None else argv
    if not words:
        root.print_help(sys.stderr)
        return UsageError.exit_code
    args = root.parse_args(words)
    try:
        return int(args.do(args))
    except RtdenoiseError as error:
        text = with_advice(error, ways_out(error, args.advice))
        lines = "\n".join(map(printable, text.split("\n")))
        print(f"train {args.verb}: {lines}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `train export ... | head -1` is no error; keep the exit quiet too
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def ways_out(error: RtdenoiseError, advice: dict[str, str]) -> dict[Problem, str]:
    """Return what to type about *error*, by problem, for the host's `with_advice`.

    Args:
        error: The error that a verb raised.
        advice: What to type about each argument, of that verb.
    """
    hints = {Problem.NO_MODEL: NO_MODEL}
    if isinstance(error, ArgumentError) and error.argument in advice:
        hints[error.problem] = advice[error.argument]
    return hints
