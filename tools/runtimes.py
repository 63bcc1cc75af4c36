"""Measure models in TorchScript and in ONNX Runtime side by side, for the table in docs/models.md.

    python tools/runtimes.py rtdenoise/models/speech.pt rtdenoise/models/speech.onnx

The models take turns in every round, so that the load of the machine meets all of them; each row is
printed when it is measured, and the table has the medians of the rounds. "CPU" is the time that the
thread itself ran, so that it does not count while other programs run; they still slow it down, by
the caches and by the other half of its core. A start is a process of its own, from the first import
to the end of the twentieth hop, and its memory is what the process then holds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

import numpy as np

from rtdenoise.core.stream import Stream
from rtdenoise.nets import box
from rtdenoise.nets.line import Line
from rtdenoise.nets.net import Net
from rtdenoise.proof.bench import paced_timing
from rtdenoise.proof.verify import voice

HEADS = (
    "tight hop, ms", "tight hop, CPU ms", "paced hop, CPU ms", "file, CPU ms a s", "start, s",
    "start, CPU s", "memory, MB",
)  # fmt: skip
START = """
import sys, time
begin = time.perf_counter()
import numpy as np
from rtdenoise.cli.lean import import_lean
import_lean(sys.argv[1])
from rtdenoise.nets import box
net = box.find(sys.argv[1])
from rtdenoise.core.stream import Stream
from rtdenoise.nets.line import Line
net.prepare_thread()
line = Line(net, Stream(48_000, 1, 512))
for _ in range(20):
    line.push(np.full((1, 512), 0.1, np.float32))
took_s = time.perf_counter() - begin
held = [line for line in open("/proc/self/status") if line.startswith("VmRSS")]
print(took_s, time.process_time(), int(held[0].split()[1]) / 1024)
"""


def tight(net: Net, count: int) -> tuple[float, float]:
    """Return the median time of a hop in a loop, in ms: by the wall, and of the thread."""
    rate, hop = net.card.sample_rate, net.card.hop
    line, times_s = Line(net, Stream(rate, 1, hop)), []
    for block in np.split(voice(rate, count * hop / rate), range(hop, count * hop, hop), axis=1):
        wall_s, thread_s = time.perf_counter(), time.thread_time()
        line.push(block)
        times_s.append((time.perf_counter() - wall_s, time.thread_time() - thread_s))
    wall_ms, thread_ms = 1e3 * np.median(times_s[count // 10 :], axis=0)
    return float(wall_ms), float(thread_ms)


def file(net: Net, seconds: float) -> float:
    """Return the time of the thread for a second of mono sound in large blocks, in ms."""
    rate = net.card.sample_rate
    sound, line = voice(rate, seconds), Line(net, Stream(rate, 1))
    line.push(sound[:, : rate // 2])
    begin_s = time.thread_time()
    line.push(sound)
    return 1e3 * (time.thread_time() - begin_s) / seconds


def measure(name: str, seconds: float) -> list[float]:
    """Return the values of one round, in the order of `HEADS`."""
    net = box.find(name)
    net.prepare_thread()
    hop_ms = tight(net, 300)
    paced = paced_timing(net, net.card.sample_rate, 1, seconds, clock=time.thread_time)
    child = [sys.executable, "-c", START, name]
    told = subprocess.run(child, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return [*hop_ms, paced.p50_ms, file(net, 5.0), *map(float, told)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="names or paths of models")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="paced, in each round")
    args = parser.parse_args()
    rounds: dict[str, list[list[float]]] = {name: [] for name in args.models}
    for _ in range(args.rounds):
        for name in args.models:
            rounds[name].append(measure(name, args.seconds))
            print(name, *(f"{each:.3g}" for each in rounds[name][-1]), file=sys.stderr, flush=True)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {args.rounds} rounds")
    print(f"| model | {' | '.join(HEADS)} |")
    print("|---" * (1 + len(HEADS)) + "|")
    for name, values in rounds.items():
        cells = [f"{statistics.median(each):.3g}" for each in zip(*values, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
