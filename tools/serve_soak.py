"""Run a server of streams at a share of what its core carries, and look for growth and late hops.

    python tools/serve_soak.py -m speech --streams 48 --minutes 10

The server runs on core 0, and all clients in one process on core 1, as in tools/serve_bench.py. The
tool prints a table for docs/serve.md. Its exit code is 1 if the memory grew after the first
minute, samples are missing, a hop failed, or a hop came back more than two hops after it was sent:
the second of them is that by which the stream is late. Hops that were on their way while one of the
two cores stood still (tools/witness.py) are counted apart, since no program could have had them in
time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time

import numpy as np
from idle import resident_mb
from serve_load import HOP_S, Load, loaded, pinned, servers
from witness import LEAST_MS, Stall, touched, witnesses

GROWTH_MB = 2.0
LOOK_S = 5.0
HEAD = """\
| streams | minutes | hops | p50 ms | p99 ms | p99.9 ms | max ms | over 1 hop | over 2 hops \
| of these in a stall | stalls of the machine | their worst ms \
| missing frames | MB after 1 min | growth MB | server's core % | load |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"""


async def watched(pid: int, memory: list[tuple[float, float]]) -> None:
    """Look at the memory of the server again and again."""
    begin_s = time.monotonic()
    while True:
        memory.append((time.monotonic() - begin_s, resident_mb(pid)))
        await asyncio.sleep(LOOK_S)


def growth_mb(memory: list[tuple[float, float]], settle_s: float) -> tuple[float, float]:
    """Return the memory after *settle_s*, and the growth from then on by a line through all."""
    seconds, mb = np.array([each for each in memory if each[0] >= settle_s]).T
    slope, begin = np.polyfit(seconds, mb, 1)
    return float(begin + slope * seconds[0]), float(slope * (seconds[-1] - seconds[0]))


def row(
    streams: int,
    minutes: float,
    load: Load,
    stalls: list[Stall],
    memory: list[tuple[float, float]],
) -> str:
    """Return the row of the table."""
    p50, p99, p999 = np.percentile(load.delays_ms, [50, 99, 99.9])
    begin, growth = growth_mb(memory, min(60.0, memory[-1][0] / 4))
    cells = [f"{streams}", f"{minutes:g}", f"{len(load.delays_ms)}", f"{p50:.2f}", f"{p99:.2f}"]
    late, excused = too_late(load, stalls)
    cells += [f"{p999:.2f}", f"{load.delays_ms.max():.1f}", f"{load.late}", f"{late + excused}"]
    cells += [f"{excused}", f"{len(stalls)}"]
    cells += [f"{1000 * max((stop_s - start_s for start_s, stop_s in stalls), default=0):.1f}"]
    cells += [f"{missing(streams, load)}", f"{begin:.1f}", f"{growth:+.2f}"]
    cells += [f"{100 * load.server_share:.0f}", f"{os.getloadavg()[0]:.1f}"]
    return f"| {' | '.join(cells)} |"


def too_late(load: Load, stalls: list[Stall]) -> tuple[int, int]:
    """Return the hops that were late by more than a hop: by themselves, and in a stall."""
    late = load.delays_ms > 2000 * HOP_S
    ends_s = load.starts_s + load.delays_ms / 1000
    spans = zip(load.starts_s[late], ends_s[late], strict=True)
    excused = sum(touched(stalls, start_s, end_s) for start_s, end_s in spans)
    return int(np.count_nonzero(late)) - excused, excused


def missing(streams: int, load: Load) -> int:
    """Return the frames that did not come back; those of the latency come on top."""
    return load.done["frames_in"] + 1024 * streams - load.done["frames_out"]


def main() -> int:
    """Soak, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-m", "--model", default="speech")
    parser.add_argument("--streams", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=10.0)
    args = parser.parse_args()
    pinned(os.getpid(), 1)
    memory: list[tuple[float, float]] = []
    with (
        servers(args.model, args.streams, 0, apart=False) as (server,),
        witnesses((0, 1)) as stalls,
    ):
        watch = watched(server.pid, memory)
        load = asyncio.run(loaded([server], args.streams, 60 * args.minutes, watch=watch))
    print(HEAD)
    print(row(args.streams, args.minutes, load, stalls, memory))
    grown = growth_mb(memory, min(60.0, memory[-1][0] / 4))[1]
    late, _ = too_late(load, stalls)
    faults = {
        f"the memory grew by {grown:.1f} MB": grown > GROWTH_MB,
        f"{late} hops were late by more than a hop, with no stall of {LEAST_MS:g} ms": late > 0,
        f"{missing(args.streams, load)} frames are missing": missing(args.streams, load) != 0,
        f"{load.done['failed']} hops failed": load.done["failed"] > 0,
        f"streams were ended: {load.faults[:1]}": bool(load.faults),
    }
    for fault, found in faults.items():
        if found:
            print(fault)
    return 1 if any(faults.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
