"""Measure how many live streams a core carries: one server for all, against a process a stream.

    python tools/serve_bench.py -m speech --streams 8,16,32,48,64 --apart 4,8,12,16

The servers run on core 0 and all clients, in one process, on core 1. A client sends a hop of 512
samples every 10.67 ms; what is measured is the time until as many samples have come back. A core
carries a number of streams if 99 of 100 hops of each stream come back within a hop. The tool
prints a row a number of streams, for docs/serve.md. Of each kind it ends with the first number
that is too many.
"""

from __future__ import annotations

import argparse
import asyncio
import os

import numpy as np
from idle import resident_mb
from serve_load import HOP_S, Load, loaded, pinned, servers

HEAD = """\
| servers | streams | p50 ms | p99 ms | worst p99 ms | max ms | later than a hop % | late hops \
| computed ms a hop | server's core % | clients' core % | clients late p99 ms | MB | load |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"""


def row(kind: str, streams: int, load: Load, mb: float) -> str:
    """Return a row of the table."""
    p50, p99 = np.percentile(load.delays_ms, [50, 99])
    cells = [kind, f"{streams}", f"{p50:.2f}", f"{p99:.2f}", f"{load.worst_ms:.2f}"]
    cells += [f"{load.delays_ms.max():.1f}", f"{100 * load.late / len(load.delays_ms):.2f}"]
    cells += [f"{load.done['late']}", f"{load.hop_ms:.3f}", f"{100 * load.server_share:.0f}"]
    cells += [f"{100 * load.client_share:.0f}", f"{load.sender_ms:.2f}", f"{mb:.0f}"]
    return f"| {' | '.join([*cells, f'{os.getloadavg()[0]:.1f}'])} |"


def numbers(text: str) -> list[int]:
    """Return the numbers in *text*, which commas separate."""
    return [int(word) for word in text.split(",") if word]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-m", "--model", default="speech")
    parser.add_argument("--streams", type=numbers, default=[8, 16, 24, 32, 40, 48, 56, 64, 72, 80])
    parser.add_argument("--apart", type=numbers, default=[2, 4, 6, 8, 10, 12, 16])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--all", action="store_true", help="go on beyond what is too much")
    args = parser.parse_args()
    pinned(os.getpid(), 1)
    print(HEAD, flush=True)
    for apart, kind in ((False, "one"), (True, "one a stream")):
        for streams in args.apart if apart else args.streams:
            with servers(args.model, streams, 0, apart) as running:
                load = asyncio.run(loaded(running, streams, args.seconds))
                mb = sum(resident_mb(server.pid) for server in running)
            print(row(kind, streams, load, mb), flush=True)
            for fault in load.faults[:1]:
                print(f"{len(load.faults)} streams were ended: {fault}", flush=True)
            if load.worst_ms > 1000 * HOP_S and not args.all:
                break


if __name__ == "__main__":
    main()
