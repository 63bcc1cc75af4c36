"""Blind listening tests as a web page: ACR (MOS) and MUSHRA. See docs/listening.md."""

from __future__ import annotations

import argparse
from pathlib import Path

from rtdenoise.errors import UsageError

from ..evaluate.run import named
from .results import report
from .server import serve
from .stimuli import prepare
from .store import Store

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def listen(args: argparse.Namespace) -> str:
    """Serve a test until Ctrl-C, or print the results of one.

    Raises:
        UsageError: files or flags that make no test.
    """
    if args.results:
        return report(args.results, args.csv)
    if not args.systems or not args.reference:
        raise UsageError("wanted --systems NAME=FOLDER .. and --reference FOLDER, or --results DB")
    folders = {name: Path(folder) for name, folder in named(args.systems, "--systems").items()}
    test = prepare(args.reference, folders, args.items, _anchors(args.anchors, args.method))
    store = Store(args.db, args.title, args.method, test)
    server = serve(store, test, args.host, args.port)
    for warning in test.warnings:
        print(f"note: {warning}")
    print(f"{args.method.upper()}, {len(test.items)} items, {len(test.systems)} stimuli each")
    if args.host not in LOOPBACK:
        print(f"warning: {args.host} is not loopback; whoever reaches this port can take part")
    print(f"http://{args.host}:{server.server_port}/   ratings go to {args.db}; Ctrl-C ends it")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
    return f"python -m train listen --results {args.db}\n"


def _anchors(text: str, method: str) -> tuple[float, ...]:
    """Cut-offs of low-passed references; ACR has none.

    Raises:
        UsageError: no numbers.
    """
    if text == "none" or method == "acr":
        return ()
    try:
        return tuple(float(hz) for hz in text.split(","))
    except ValueError:
        raise UsageError(f"--anchors {text}: wanted Hz with commas between, or none") from None
