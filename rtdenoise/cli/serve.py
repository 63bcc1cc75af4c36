"""Serve the models of this machine to many live streams, over WebSockets.

  rtdenoise serve                       serve `speech` on this machine; Ctrl-C ends it
  rtdenoise serve -m speech -m music    serve two models; the first one is the default
"""

from __future__ import annotations

import argparse

from ..errors import UsageError
from .arguments import DEFAULT_MODEL

HELP = "serve the models to many live streams, over WebSockets"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the models, the address and the limits to *parser*."""
    parser.add_argument("-m", "--model", action="append", metavar="MODEL", help="model to serve")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, default=8765, help="port to listen at")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal; return the exit code."""
    from ..nets.box import find

    try:
        from ..serve.server import Settings, run
    except ModuleNotFoundError as error:
        raise UsageError(
            f"a server needs the package {error.name}: pip install 'rtdenoise[serve]'"
        ) from None
    run(Settings({name: find(name) for name in args.model or [DEFAULT_MODEL]}), args.host, args.port)
    return 0
