"""Measure what a live stream costs: its start, its memory, and a core with and without sound.

    python tools/idle.py -m speech

It plays noise and then digital silence through `rtdenoise live` at the pace of a sound card. The
start is the time from the start of the process to its first line, when the sound runs. (Linux only,
because it reads /proc.)
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile as sf

RATE = 48_000


def cpu_s(process: int) -> float:
    """Return the time in seconds that the threads of a process have run."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def share_percent(process: int, seconds: float) -> float:
    """Return the share of one core that a process takes in the next *seconds*."""
    wall_s, before_s = time.monotonic(), cpu_s(process)
    time.sleep(seconds)
    return 100 * (cpu_s(process) - before_s) / (time.monotonic() - wall_s)


def resident_mb(process: int) -> float:
    """Return the resident memory of a process in MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def main() -> None:
    """Run the stream and print a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-m", "--model", default="speech")
    parser.add_argument("--seconds", type=float, default=60.0, help="of noise, and of silence")
    args = parser.parse_args()
    samples = round(args.seconds * RATE)
    noise = np.random.default_rng(1).normal(0, 0.05, samples).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sound.wav")
        sf.write(path, np.concatenate([noise, np.zeros(samples, np.float32)]), RATE)
        ends = ["--in", f"file:{path}", "--out", "null", "--block", "512"]
        begin_s = time.monotonic()
        live = subprocess.Popen(
            [sys.executable, "-m", "rtdenoise", "live", "-m", args.model, *ends],
            stderr=subprocess.PIPE,
        )
        if live.stderr is not None:
            live.stderr.readline()
        start_s, start_cpu_s = time.monotonic() - begin_s, cpu_s(live.pid)
        time.sleep(1.0)
        loud = share_percent(live.pid, args.seconds - 2.0)
        time.sleep(0.75 * args.seconds)  # until the net has come to rest
        quiet = share_percent(live.pid, 0.25 * args.seconds - 1.0)
        memory_mb = resident_mb(live.pid)
        live.terminate()
        live.communicate()
    print("| model | start s | start, s of a core | with sound | in silence | resident MB | load |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {args.model} | {start_s:.1f} | {start_cpu_s:.1f} | {loud:.1f} % | {quiet:.1f} % "
        f"| {memory_mb:.0f} | {os.getloadavg()[0]:.1f} |"
    )


if __name__ == "__main__":
    main()
