"""Measure the hop times and late hops of a model in minutes of a paced stream on this machine.

    python tools/paced.py --minutes 10 -m speech

It loops the demo's noisy voice through `rtdenoise live` on tools/jack_card.py (48 kHz, 512 samples
a callback) and prints a line for docs/live.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile as sf

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Run the stream and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("-m", "--model", default="speech")
    args = parser.parse_args()
    seconds = 60 * args.minutes
    voice, rate = sf.read(ROOT / "examples" / "audio" / "noisy.flac", dtype="float32")
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        play, recorded = Path(folder) / "play.wav", Path(folder) / "recorded.wav"
        sf.write(play, np.tile(voice, int(seconds * rate / len(voice)) + 1), rate)
        live = [sys.executable, "-m", "rtdenoise", "live", "--in", "mic", "--out", "speakers"]
        live += ["-m", args.model, "--json", "--rate", "48000", "--channels", "1", "--block", "512"]
        card = [
            sys.executable,
            str(ROOT / "tools" / "jack_card.py"),
            str(play),
            str(recorded),
            "--",
        ]
        done = subprocess.run(
            [*card, *live, "--duration", str(seconds)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    s = json.loads(done.stdout.splitlines()[-1])
    print("| minutes | hops | late | dry | p50 ms | p99 ms | max ms | deadline ms | xruns | load |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    cells = [f"{s['seconds'] / 60:.1f}", s["hops"], s["late"], s["dry"]]
    cells += [
        f"{s[name]:.2f}" for name in ("hop_p50_ms", "hop_p99_ms", "hop_max_ms", "deadline_ms")
    ]
    cells += [f"{s['xruns_in']} in, {s['xruns_out']} out", f"{load_before:.1f}"]
    print("|", " | ".join(map(str, cells)), "|")


if __name__ == "__main__":
    main()
