"""Check that a model keeps the contract on this machine.

Live, file and effect must give the same samples. The latency must be the declared one. Silence
must stay silent, and NaN, infinity, denormals, DC and a full-scale square wave must not make the
output grow without bounds. The exit code is 4 if a check fails.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from .arguments import add_json, add_model_name, add_parameters, parameters

HELP = "check that a model keeps the contract here"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add MODEL, --seed, --parameters and --json to *parser*."""
    add_model_name(parser)
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the random values (default: 0)"
    )
    add_parameters(parser)
    add_json(parser, "a list of checks")


def run(args: argparse.Namespace) -> int:
    """Print each check as soon as it is done; return the exit code, 4 if one fails."""
    from ..chain.effect import Denoise
    from ..errors import ModelError
    from ..proof.verify import verify

    net, checks = Denoise(args.model, **parameters(args)).net, []
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
