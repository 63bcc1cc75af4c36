"""Show a live run on a screen in the terminal, with keys to control it.

  rtdenoise tui           show the only run, for example a service
  rtdenoise tui call      show the run with the preset `call`

`rtdenoise live` in a terminal opens it by itself. It shows levels, a spectrogram before and after,
hop times against the deadline, and all counts; ? shows the keys. The sound does not depend on it:
it can be closed and opened at any time. docs/tui.md has more.

Exit codes: 0 closed, 2 usage, 3 no run is there.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import suppress
from importlib.util import find_spec

from ..errors import Problem, UsageError
from ..live import hosts

HELP = "show a live run on a screen, with keys"
ADVICE = {
    Problem.NO_HOST: "To start one: rtdenoise live",
    Problem.HOSTS: "Give its number or its preset: rtdenoise tui NUMBER",
}
NICE = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run to *parser*."""
    parser.add_argument(
        "host", nargs="?", metavar="NUMBER|PRESET", help="which run (default: the only one)"
    )


def run(args: argparse.Namespace) -> int:
    """Show the run until the screen is closed; return the exit code."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("wanted a terminal; `rtdenoise ctl status` prints the numbers")
    if find_spec("textual") is None:
        raise UsageError("the screen needs Textual: pip install textual")
    if sys.__stderr__ is None or not sys.__stderr__.isatty():
        sys.__stderr__ = sys.__stdout__  # type: ignore[misc]  # Textual draws there
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a key it asks; its signal is for the host
    _after_the_sound()
    with hosts.choose(args.host) as host:  # an error is told before the screen opens
        pid, preset = host.pid, host.ask("status")["preset"]
    from ..tui.app import Watch
    from ..tui.source import Source

    own = pid == os.getppid()
    again = args.host if args.host and not args.host.isdecimal() else preset

    def connect() -> hosts.Host:
        """Return a connection to the run, or to the one that took its place."""
        if own or pid in hosts.running():
            return hosts.Host(pid)
        return hosts.choose(again)

    source = Source(connect)
    app = Watch(source, own)
    app.run(mouse=False)  # so that the terminal still selects text
    source.close()
    sys.stdout.flush()
    os._exit(app.return_code or 0)  # nothing is left to do, and the end of numba takes seconds


def _after_the_sound() -> None:
    """Let this process have the processor when the sound does not want it."""
    with suppress(OSError, AttributeError):  # Windows has none of these, and macOS one
        os.nice(max(0, NICE - os.nice(0)))
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
