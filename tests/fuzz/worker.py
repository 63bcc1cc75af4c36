"""The worker: a process with limits, which runs the cases of one target and reports each."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import traceback
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np

# Target: the module that makes its cases, as `case(rng, folder) -> what came out`.
TARGETS = ("files", "boards", "cards", "nets", "language", "arguments", "manifests", "media")
MOST_BYTES = 256 << 20  # of a file that a case writes


def limit() -> None:
    """Limit this process, so that a case that runs wild harms nobody."""
    if sys.platform == "win32":
        return
    import resource

    for what, most in (
        (resource.RLIMIT_FSIZE, MOST_BYTES),
        (resource.RLIMIT_AS, 24 << 30),  # torch and numba reserve much more than they use
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 512),
    ):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most if hard < 0 else min(most, hard), hard))


def run(case: Callable[[np.random.Generator, Path], str], seed: list[int]) -> tuple[str, str]:
    """Run one case in a folder of its own; return (how it ended, why it failed)."""
    from rtdenoise.errors import RtdenoiseError

    folder = Path("case").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    said = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
            contextlib.chdir(folder),
        ):
            return case(np.random.default_rng(seed), folder), ""
    except RtdenoiseError as error:
        if "\n" in str(error):
            return "", f"an error of several lines: {str(error)!r}"
        return "refused", ""
    except BaseException:
        return "", traceback.format_exc(limit=-8) + said.getvalue()[-1000:]


def main(target: str, seed: int, first: int, last: int) -> None:
    """Run the cases first..last - 1 (without end if *last* is negative)."""
    reports = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not look like a report
    warnings.filterwarnings("ignore", message=r"`torch\.jit", category=DeprecationWarning)
    limit()
    case = import_module(f"tests.fuzz.{target}").case
    at = first
    while last < 0 or at < last:
        how, failed = run(case, [seed, at, TARGETS.index(target)])
        print(json.dumps({"case": at, "how": how, "failed": failed}), file=reports)
        at += 1


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
