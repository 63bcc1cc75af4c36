"""The command line: `python -m tests.fuzz`, which `make fuzz` runs."""

from __future__ import annotations

import argparse
import sys
import time

from .parent import fuzz
from .worker import TARGETS


def main() -> int:
    """Run the targets; print a line each, and every failure with the command that repeats it."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this (repeatable)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="default: the clock")
    parser.add_argument("--case", type=int, help="run only the case of this number")
    parser.add_argument("--seconds", type=float, default=300, help="time in all (default 300)")
    args = parser.parse_args()
    targets = args.target or list(TARGETS)
    failed = 0
    for target in targets:
        if args.case is not None:
            found = fuzz(target, args.seed, first=args.case, cases=1)
        else:
            found = fuzz(target, args.seed, seconds=args.seconds / len(targets))
        failed += len(found.failures)
        print(f"{target}: seed {args.seed}, {found.line()}", flush=True)
        for failure in found.failures:
            print(f"  {failure.times} x, first case {failure.case}: {failure.what}", flush=True)
            print(f"  again: make fuzz FUZZ='--target {target} --seed {args.seed} "
                  f"--case {failure.case}'", flush=True)  # fmt: skip
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
