"""Check that a generator keeps the contract on this machine.

Live, file and effect must give the same samples; the latency must be the declared one; silence,
NaN, denormals, DC and a full-scale square must come out sane. Exit code 4 when a check fails.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from .arguments import DEFAULT_MODEL

HELP = "check that a generator keeps the contract here"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add MODEL, --seed and --json to *parser*."""
    parser.add_argument(
        "model", nargs="?", default=DEFAULT_MODEL, help="name in the box, or a path"
    )
    parser.add_argument("--seed", type=int, default=0, help="of signals and cuts (default: 0)")
    parser.add_argument("--json", action="store_true", help="one JSON list of checks")


def run(args: argparse.Namespace) -> int:
    """Print each check as soon as it is done; return the exit code, 4 if one fails."""
    from ..errors import ModelError
    from ..nets.box import find
    from ..proof.verify import verify

    net, checks = find(args.model), []
    net.prepare_thread()
    for check in verify(net, args.seed):
        checks.append(check)
        if not args.json:
            print(f"{'ok  ' if check.passed else 'FAIL'}  {check.rule}: {check.found}", flush=True)
    if args.json:
        print(json.dumps([asdict(check) for check in checks], indent=1))
    failed = sum(not check.passed for check in checks)
    if not args.json:
        print(f"{net.card.name}: {len(checks) - failed} of {len(checks)} checks passed")
    return ModelError.exit_code if failed else 0
