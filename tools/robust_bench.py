"""Count silent and late blocks of live sound on a busy machine: the default against --robust.

    python tools/robust_bench.py --rounds 5 --seconds 10 -m speech

A private JACK server with the dummy driver calls every 512 samples at 48 kHz, and does not wait. In
one process, each round tries all ways under each load in turn, so that what else runs on the
machine is the same for all. The loads: none; a thread that runs Python in the same process; three
processes that never wait. The table has the medians of the rounds: counts a minute; the share of
the sound that was lost, be it silent or because the device went on without it; and hop times.
`--realtime` gives the server and its calls real-time priority. The tool needs jackd2; see
tools/jack_card.py.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
from jack_card import PERIOD, RATE_HZ, alone, server

from rtdenoise.chain.effect import Denoise
from rtdenoise.live import robust
from rtdenoise.live.devices import PortAudio
from rtdenoise.live.ends import DeviceEnd
from rtdenoise.proof.rehearsal import Setting, rehearse

HOGS = 3
SPIN = "while True: pass"
HEADER = "| load | way | xruns | silent | late hops | lost % | p50 ms | p99 ms | max ms |"


@contextmanager
def idle() -> Iterator[None]:
    """Return a context without a load."""
    yield


@contextmanager
def busy_thread() -> Iterator[None]:
    """Return a context in which a thread of this process runs Python."""
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            pass

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def hogs() -> Iterator[None]:
    """Return a context in which other processes never wait."""
    busy = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(HOGS)]
    try:
        yield
    finally:
        for hog in busy:
            hog.kill()
            hog.wait()


LOADS = {"none": idle, "busy thread": busy_thread, f"{HOGS} hogs": hogs}


def ways() -> dict[str, tuple[int, bool]]:
    """Return the ways by their names: hops, and whether the worker's priority may be raised."""
    allowed: list[str] = []
    thread = threading.Thread(target=lambda: allowed.append(robust.raise_priority()))
    thread.start()
    thread.join()
    raised = {f"--robust {hops}, {allowed[0]}": (hops, True) for hops in (2, 3, 4)}
    return {"default": (0, False), "--robust 3, normal": (3, False)} | raised


def run(args: argparse.Namespace, effect: Denoise, hops: int, raised: bool) -> list[float]:
    """Return the counts a minute, the share of the sound that was lost, and the times of a run."""
    end = DeviceEnd("system")
    setting = Setting(end, end, RATE_HZ, 1, PERIOD, robust=hops or False)
    raising = robust.raise_priority if raised else lambda: "normal"
    with patch.object(robust, "raise_priority", raising):
        t = rehearse(args.model, effect, setting, args.seconds, PortAudio(), quiet=True)
    took_s = t.seconds / t.pace
    counts = [60 / took_s * n for n in (max(t.lost_in, t.lost_out), t.silent, t.late)]
    lost = 100 * max(1 - t.pace, t.silent_s / took_s, 0)
    return [*counts, lost, t.hops.p50_ms, t.hops.p99_ms, t.hops.max_ms]


def measure(args: argparse.Namespace) -> None:
    """Run all rounds and print the table."""
    effect, chosen = Denoise(args.model), ways()
    found: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for number in range(args.rounds):
        for load, loaded in LOADS.items():
            for way, how in chosen.items():
                with loaded():
                    numbers = run(args, effect, *how)
                found[load, way].append(numbers)
                row = " ".join(f"{n:.2f}" for n in numbers)
                print(f"{number} {load}, {way}: {row}", file=sys.stderr, flush=True)
    print(f"load average {os.getloadavg()[2]:.1f}\n\n{HEADER}\n{'|---' * HEADER.count(' | ')}|---|")
    for key, rounds in found.items():
        numbers = np.median(rounds, axis=0)
        cells = [*key, *(f"{n:.0f}" for n in numbers[:3]), *(f"{n:.1f}" for n in numbers[3:])]
        print("|", " | ".join(cells), "|")


def main() -> None:
    """Start the server, measure, and end it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--realtime", action="store_true")
    parser.add_argument("-m", "--model", default="speech")
    args = parser.parse_args()
    alone()
    how = "--realtime" if args.realtime else "--no-realtime"
    with server(how=[how], ports=()):
        measure(args)
        PortAudio().relist()  # PortAudio must end before the server


if __name__ == "__main__":
    main()
