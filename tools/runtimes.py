"""Measure models in TorchScript and in ONNX Runtime side by side, for the table in docs/models.md.

    python -m train export speech --onnx /tmp/speech.onnx
    python tools/runtimes.py speech /tmp/speech.onnx

The models take turns in every round, so that the load of the machine meets all of them; the table
has the medians of the rounds. A start is a process of its own, from the first import to the end of
the twentieth hop, and its memory is what the process then holds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

from rtdenoise.nets import box
from rtdenoise.proof.bench import engine_timings, offline_speed, paced_timing

HEADS = "tight hop ms", "paced p50 ms", "paced p99 ms", "file x real time", "start s", "memory MB"
START = """
import sys, time
begin = time.perf_counter()
import numpy as np
from rtdenoise.cli.lean import import_lean
from rtdenoise.nets import box
import_lean(sys.argv[1])
net = box.find(sys.argv[1])
from rtdenoise.core.stream import Stream
from rtdenoise.nets.line import Line
net.prepare_thread()
line = Line(net, Stream(48_000, 1, 512))
for _ in range(20):
    line.push(np.full((1, 512), 0.1, np.float32))
took_s = time.perf_counter() - begin
held = [line for line in open("/proc/self/status") if line.startswith("VmRSS")]
print(took_s, int(held[0].split()[1]) / 1024)
"""


def measure(name: str, seconds: float) -> list[float]:
    """Return the values of one round, in the order of `HEADS`."""
    net = box.find(name)
    *_, tight = engine_timings(net, 400)
    paced = paced_timing(net, net.card.sample_rate, 1, seconds)
    speed = offline_speed(net, seconds=10.0)
    child = [sys.executable, "-c", START, name]
    told = subprocess.run(child, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return [tight.p50_ms, paced.p50_ms, paced.p99_ms, speed, *map(float, told)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="names or paths of models")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="paced, in each round")
    args = parser.parse_args()
    rounds: dict[str, list[list[float]]] = {name: [] for name in args.models}
    for _ in range(args.rounds):
        for name in args.models:
            rounds[name].append(measure(name, args.seconds))
            print(name, *(f"{each:.3g}" for each in rounds[name][-1]), file=sys.stderr, flush=True)
    print(f"load {os.getloadavg()[0]:.1f}, {args.rounds} rounds")
    print(f"| model | {' | '.join(HEADS)} |")
    print("|---" * (1 + len(HEADS)) + "|")
    for name, values in rounds.items():
        cells = [f"{statistics.median(each):.3g}" for each in zip(*values, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
