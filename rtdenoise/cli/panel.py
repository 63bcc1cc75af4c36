"""Show a live run as a web page on this machine, and start, change and stop it there.

  rtdenoise panel              print the address of the page; Ctrl-C ends it
  rtdenoise panel --open       also open it in the browser
  rtdenoise panel call         show the run with the preset call (default: the only run)

The page has the devices, models and presets, a board with a slider for every parameter, meters,
spectra before and after, the latency and what happened. Only who has the address can use it; it
works on this machine only. Ctrl-C also ends the run that was started on the page; a run that was
started elsewhere goes on. docs/panel.md has more.

Exit codes: 0 ended by Ctrl-C, 2 usage, 3 the run that was named is not there.
"""

from __future__ import annotations

import argparse
import sys
import webbrowser
from pathlib import Path
from typing import Any

from ..errors import Problem, UsageError, printable
from ..live import hosts, presets
from . import live
from .interrupt import until_interrupted
from .layers import Layers
from .log import log_line

HELP = "show a live run as a web page, and control it there"
ADVICE = {
    Problem.HOSTS: "Give its number: rtdenoise panel NUMBER",
    Problem.NO_HOST: "To start one on the page: rtdenoise panel",
}
US = (sys.executable, "-m", "rtdenoise")
# The options of `live` that the page may give, beside those of presets and boards.
GIVEN = (
    *("in", "out", "preset", "model", "board", "mix", "atten-lim", "residual", "force"),
    *("rate", "channels", "in-channels", "out-channels", "block", "latency", "record"),
)
WAIT_S = 0.5  # longest single wait: on Windows, Ctrl-C cannot interrupt it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --port, --open and the run to *parser*."""
    parser.add_argument(
        "--port", type=int, default=0, metavar="N", help="port of the page (default: a free one)"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument(
        "run_named", nargs="?", metavar="NUMBER|PRESET", help="run to show (default: the only one)"
    )


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C; return the exit code."""
    from ..panel.desk import Commands, Desk
    from ..panel.server import Panel

    pid = None
    if args.run_named is not None:
        with hosts.choose(args.run_named) as host:
            pid = host.pid
    with until_interrupted() as stop:
        panel = Panel(Desk(Commands(live_words, (*US, "devices", "--json"), store), pid), args.port)
        panel.serve()
        try:
            print(panel.url, flush=True)
            log_line("rtdenoise panel: this is the address of the page; Ctrl-C ends it")
            if args.open and not webbrowser.open(panel.once()):
                log_line("rtdenoise panel: there is no browser to open: paste the address in one")
            while not stop.wait(WAIT_S):
                pass
        finally:
            child = panel.desk.child
            if child is not None and child.running:
                log_line(f"rtdenoise panel: the run {child.pid}, which it started, ends with it")
            panel.close()
    return 0


def options(settings: dict[str, Any]) -> list[str]:
    """Return the options of `live` for *settings*.

    Raises:
        UsageError: If there is no such option, or it takes no such value.

    >>> options({"in": "file:x.wav", "mix": 60, "residual": False})
    ['--in=file:x.wav', '--mix=60']
    """
    words = []
    for key, value in settings.items():
        if key not in GIVEN:
            known = ", ".join(GIVEN)
            raise UsageError(f"a run has no {printable(repr(key)[:80])}; known: {known}")
        if value is True:
            words.append(f"--{key}")
        elif isinstance(value, str | float | int) and value is not False:
            words.append(f"--{key}={value}")
        elif value is not False:
            raise UsageError(f"{key} = {printable(repr(value)[:80])}: wanted a text or a number")
    return words


def live_words(settings: dict[str, Any]) -> list[str]:
    """Return the command line that starts a run with *settings*."""
    return [*US, "live", *options(settings)]


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are the page's to show."""

    def error(self, message: str) -> Any:
        """Raise what was wrong."""
        raise UsageError(message)


def store(name: str, settings: dict[str, Any], overwrite: bool) -> Path:
    """Write a preset, if `live` can use its settings, and return its file.

    Raises:
        UsageError: If it cannot.
        AudioError: If there is such a preset already, or its file cannot be written.
    """
    presets.checked_name(name)
    parser = _Parser(add_help=False, allow_abbrev=False)
    live.add_settings(parser)
    layers = Layers(parser)
    args = parser.parse_args(options(settings))
    live.checked(layers.settled(args, layered=False))
    return presets.save(name, layers.given(args), overwrite)
