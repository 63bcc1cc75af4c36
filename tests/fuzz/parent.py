"""The parent: it starts workers, gives each case a time limit, and replaces workers that die."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).parents[2]
START_S = 180.0  # torch, numba and the first compilation, on a busy machine
CASE_S = 60.0  # a case takes milliseconds; one that takes this long hangs
MOST = 10  # kinds of failures after which a target is given up


@dataclass
class Failure:
    """A kind of failure: the first case that failed so, how, and how many did."""

    case: int
    what: str
    times: int = 1

    @property
    def kind(self) -> str:
        """The last place in a traceback and the type of the error: equal for equal faults."""
        places = re.findall(r'File ".*?", line \d+', self.what)
        return str((places[-1:] or [self.what[:60]])[0]) + self.what.strip().split("\n")[-1][:20]


@dataclass
class Found:
    """What a run of one target found."""

    counts: dict[str, int] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """The number of cases that were run."""
        return sum(self.counts.values()) + sum(f.times for f in self.failures)

    def fail(self, case: int, what: str) -> None:
        """Count a failure as one of its kind."""
        new = Failure(case, what)
        for known in self.failures:
            if known.kind == new.kind:
                known.times += 1
                return
        self.failures.append(new)

    def line(self) -> str:
        """Return the counts as text."""
        counts = ", ".join(f"{count} {what}" for what, count in sorted(self.counts.items()))
        return (
            f"{self.cases} cases: {counts or 'none passed'}, {len(self.failures)} kinds of failures"
        )


def fuzz(
    target: str, seed: int, first: int = 0, cases: int | None = None, seconds: float = 1e9
) -> Found:
    """Run the cases *first*, *first* + 1, ... of a target, until time or *cases* run out."""
    found, case, end = Found(), first, time.monotonic() + seconds
    last = None if cases is None else first + cases
    with tempfile.TemporaryDirectory(prefix="rtdenoise-fuzz-") as folder:
        while (last is None or case < last) and time.monotonic() < end:
            case = _one_worker(target, seed, case, last, end, folder, found)
            if len(found.failures) >= MOST:
                break
    return found


def _one_worker(
    target: str, seed: int, case: int, last: int | None, end: float, folder: str, found: Found
) -> int:
    """Run cases in one worker until it dies or all is done; return the next case."""
    command = [sys.executable, "-W", "error", "-m", "tests.fuzz.worker"]
    # Python's own import of numba's and torch's deprecated parts is not what is tested.
    with subprocess.Popen(
        [*command, target, str(seed), str(case), str(last if last is not None else -1)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "HOME": folder, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    ) as worker:
        lines: queue.Queue[bytes | None] = queue.Queue()
        errors: list[bytes] = []
        threads = [
            threading.Thread(target=_read, args=(worker.stdout, lines.put, lines.put)),
            threading.Thread(target=_read, args=(worker.stderr, errors.append)),
        ]
        for thread in threads:
            thread.start()
        try:
            return _listen(case, lines, end, found, worker, errors)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            for thread in threads:
                thread.join(10)


def _read(
    pipe: IO[bytes], put: Callable[[bytes], None], end: Callable[[None], None] | None = None
) -> None:
    """Pass on the lines of a pipe, and its end as None."""
    for line in iter(pipe.readline, b""):
        put(line)
    if end is not None:
        end(None)


def _listen(
    case: int,
    lines: queue.Queue[bytes | None],
    end: float,
    found: Found,
    worker: subprocess.Popen[bytes],
    errors: list[bytes],
) -> int:
    """Take the worker's reports; return the case after the last one that ended."""
    limit_s = START_S
    while True:
        try:
            line = lines.get(timeout=limit_s)
        except queue.Empty:
            found.fail(case, f"hangs: nothing for {limit_s:.0f} s")
            return case + 1
        limit_s = CASE_S
        if line is None:
            code = worker.wait(10)
            if code != 0:
                said = b"".join(e for e in errors if e)[-2000:].decode(errors="replace")
                found.fail(case, f"the process died, exit code {code}\n{said}")
            return case + 1
        report = json.loads(line)
        if report["failed"]:
            found.fail(report["case"], report["failed"])
        else:
            found.counts[report["how"]] = found.counts.get(report["how"], 0) + 1
        case = int(report["case"]) + 1
        if time.monotonic() > end or len(found.failures) >= MOST:
            return case
