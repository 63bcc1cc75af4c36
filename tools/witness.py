"""Notice when a core stands still: a process that only sleeps, before all others on that core.

    python tools/witness.py CORE [LEAST_MS]      print each stall, "FROM TO" in seconds, as it ends

It asks to be woken every millisecond. If it wakes much later, the core ran nothing of this machine
that this process would have had to wait for: the hypervisor gave it to another machine, or the
kernel was busy. The clock is that of `time.perf_counter`, which all processes of a machine share.
Without the right to SCHED_FIFO it may also have waited for other programs, and says so first.
"""

from __future__ import annotations

import bisect
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

TURN_S = 0.001
LEAST_MS = 3.0  # a stall that a hop can notice
Stall = tuple[float, float]


def watch(core: int, least_ms: float) -> None:
    """Print the stalls of a core until the process is ended."""
    os.sched_setaffinity(0, {core})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(90))
    except PermissionError:
        print("no right to SCHED_FIFO: a stall may be another program", file=sys.stderr)
    last_s = time.perf_counter()
    while True:
        time.sleep(TURN_S)
        now_s = time.perf_counter()
        if now_s - last_s - TURN_S > least_ms / 1000:
            print(last_s, now_s, flush=True)
        last_s = now_s


@contextmanager
def witnesses(cores: Sequence[int]) -> Iterator[list[Stall]]:
    """Return a context that watches cores, and a list that has all stalls, in order, at its end."""
    stalls: list[Stall] = []
    command = [sys.executable, __file__]
    seen = [
        subprocess.Popen([*command, str(core)], stdout=subprocess.PIPE, text=True) for core in cores
    ]
    try:
        yield stalls
    finally:
        for one in seen:
            one.terminate()
            lines = one.communicate()[0].splitlines()
            stalls += [(float(a), float(b)) for a, b in (line.split() for line in lines)]
        stalls.sort()


def touched(stalls: Sequence[Stall], begin_s: float, end_s: float) -> bool:
    """Return whether one of *stalls*, in order, overlaps the time from *begin_s* to *end_s*."""
    at = bisect.bisect_left(stalls, (end_s, 0.0))
    # Those of two cores can overlap each other, but none lasts a second.
    return any(
        stop_s > begin_s for start_s, stop_s in stalls[max(0, at - 1000) : at] if start_s < end_s
    )


if __name__ == "__main__":
    watch(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else LEAST_MS)
