"""The command line: `rtdenoise VERB ...`. Each verb is a file with HELP, add_arguments and run.

Exit codes: 0 ok, 1 some inputs failed, 2 usage, 3 device, 4 model, 5 server of streams,
130 interrupted. Results go to stdout and everything else to stderr. A verb imports torch and other
large packages when it runs.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from importlib import import_module
from typing import Any, NoReturn

from ..errors import RtdenoiseError, UsageError, printable, quoted
from .advice import with_advice
from .interrupt import bounded
from .streams import open_standard_files, steady_stderr


class Parser(argparse.ArgumentParser):
    """A parser that takes options only by their whole names, and explains names with a dash."""

    def __init__(self, **settings: Any) -> None:
        # `--output` would be short for --output-dir in one verb, and mean nothing in another.
        super().__init__(**settings, allow_abbrev=False)
        self.words: list[str] = []

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse *args*, and remember them for `error`."""
        self.words = list(args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print the usage and *message*, and exit with 2."""
        files = [w for w in self.words if w.startswith("-") and os.path.lexists(w)]
        hint = f". {quoted(files[0])} means the file of that name" if files else ""
        super().error(printable(f"{message}{hint}"))


class _Version(argparse.Action):
    """The option that prints the version, which is looked for only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print the version and exit."""
        from .. import __version__

        print(f"rtdenoise {__version__}")
        parser.exit()


VERBS = (
    *("file", "live", "tui", "panel", "ctl", "recover", "replay", "preset", "service", "doctor"),
    *("serve", "stream", "effects", "devices", "models", "info", "verify", "bench"),
    *("compare", "degrade"),
)
INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    root = Parser(
        prog="rtdenoise",
        description="Remove noise from sound: live, in files, and in effect chains.",
        epilog="`rtdenoise VERB --help` shows the options of a verb.",
    )
    root.add_argument("--version", action=_Version, nargs=0, help="print the version")
    verbs = root.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name in VERBS:
        verb = import_module(f".{name}", __name__)
        sub = verbs.add_parser(
            name,
            help=verb.HELP,
            description=verb.__doc__ or verb.HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.add_argument(
            "-v",
            "--verbose",
            action="count",
            default=0,
            help="print details; -vv prints all of them",
        )
        verb.add_arguments(sub)
        sub.set_defaults(run=verb.run)
    return root


def main(argv: list[str] | None = None) -> int:
    """Run one verb, and return the exit code.

    Args:
        argv: The words of the command line after the program's name. None: those of this process.
    """
    open_standard_files()
    root, words = parser(), sys.argv[1:] if argv is None else argv
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name must not end a run
    if not words:
        root.print_help(sys.stderr)
        return UsageError.exit_code
    if words[0] not in VERBS and os.path.exists(words[0]):
        hint = f"To clean it: rtdenoise file {quoted(words[0])}"
        root.error(f"wanted a verb before {words[0]}. {hint}")
    args = root.parse_args(words)
    with steady_stderr(waits=args.verb != "live"):
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    """Run the verb of *args*, and return the exit code."""
    level = {0: logging.WARNING, 1: logging.INFO}.get(args.verbose, logging.DEBUG)
    logging.basicConfig(level=level, format="%(name)s: %(message)s", stream=sys.stderr)
    try:
        with bounded(f"rtdenoise {args.verb}: interrupted", INTERRUPTED):
            return int(args.run(args))
    except RtdenoiseError as error:
        advice = getattr(import_module(f".{args.verb}", __name__), "ADVICE", None)
        lines = with_advice(error, advice).split("\n")
        print(f"rtdenoise {args.verb}: " + "\n".join(map(printable, lines)), file=sys.stderr)
        if args.verbose:
            logging.getLogger("rtdenoise").debug("where it came from", exc_info=error)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"rtdenoise {args.verb}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # as with `rtdenoise models | head -1`, which must stay quiet at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
