"""Measure what the screen costs the sound: hop times and late hops with it and without it.

    python tools/tui_cost.py --pairs 6 --seconds 40 -m speech-small

Each run is `rtdenoise live` in a terminal of 100 x 30 on tools/jack_card.py (48 kHz, 512 samples a
callback): with its screen, or with the status line (--no-tui). The two take turns, and begin in
turn, so that what else the machine does meets both. It prints a row a run, the medians, and the
median of the differences within pairs, for docs/tui.md.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

import numpy as np
import soundfile as sf

ROOT = Path(__file__).parents[1]
SUMMARY = re.compile(
    rb"hops (\d+): p50 ([\d.]+), p99 ([\d.]+) .*?max ([\d.]+) ms; late (\d+), dry (\d+)"
)
XRUNS = re.compile(rb"xruns (\d+) in, (\d+) out")
NAMES = ("hops", "p50 ms", "p99 ms", "max ms", "late", "dry", "xruns", "bytes to the terminal")


def main() -> None:
    """Run the pairs and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("-m", "--model", default="speech-small")
    args = parser.parse_args()
    voice, rate = sf.read(ROOT / "examples" / "audio" / "noisy.flac", dtype="float32")
    found: dict[bool, list[list[float]]] = {True: [], False: []}
    print("| screen | " + " | ".join(NAMES) + " | load |")
    print("|---" * (len(NAMES) + 2) + "|")
    with tempfile.TemporaryDirectory() as folder:
        play = Path(folder) / "play.wav"
        sf.write(play, np.tile(voice, int((args.seconds + 10) * rate / len(voice)) + 1), rate)
        for pair in range(args.pairs):
            for screen in (True, False) if pair % 2 else (False, True):
                row = measured(play, args.model, args.seconds, screen)
                found[screen].append(row)
                shown(("with" if screen else "without"), row, os.getloadavg()[0])
    for screen, rows in found.items():
        medians = [statistics.median(column) for column in zip(*rows, strict=True)]
        shown(f"median {'with' if screen else 'without'}", medians)
    pairs = zip(found[True], found[False], strict=True)
    apart = [[a - b for a, b in zip(*pair, strict=True)] for pair in pairs]
    shown("median of with - without", [statistics.median(c) for c in zip(*apart, strict=True)])


def shown(name: str, row: list[float], load: float | None = None) -> None:
    """Print a row of the table."""
    cells = [
        f"{value:.0f}" if "ms" not in n else f"{value:.2f}"
        for n, value in zip(NAMES, row, strict=True)
    ]
    print("|", " | ".join([name, *cells, "" if load is None else f"{load:.1f}"]), "|", flush=True)


def measured(play: Path, model: str, seconds: float, screen: bool) -> list[float]:
    """Return the numbers of a run, in the order of `NAMES`."""
    live = [sys.executable, "-m", "rtdenoise", "live", "--in", "mic", "--out", "speakers"]
    live += ["-m", model, "--rate", "48000", "--channels", "1", "--block", "512"]
    live += ["--duration", str(seconds), *([] if screen else ["--no-tui"])]
    heard = play.with_name("heard.wav")
    card = [sys.executable, str(ROOT / "tools" / "jack_card.py"), str(play), str(heard), "--"]
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 30, 100, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    run = subprocess.Popen(
        ["setsid", "-c", *card, *live], stdin=slave, stdout=slave, stderr=slave, env=environment
    )
    os.close(slave)
    told = bytearray()  # to join bytes would cost more than the screen
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        told += part
    os.close(master)
    if run.wait() != 0:
        sys.exit(bytes(told[-3000:]).decode(errors="replace"))
    if screen != (b"\x1b[?1049h" in told):
        sys.exit("the screen did not open" if screen else "a screen opened")
    hops, xruns = SUMMARY.search(told), XRUNS.search(told)
    if hops is None or xruns is None:
        sys.exit(bytes(told[-3000:]).decode(errors="replace"))
    return [*map(float, hops.groups()), float(xruns[1]) + float(xruns[2]), float(len(told))]


if __name__ == "__main__":
    main()
