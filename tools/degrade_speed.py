"""Measure the speed of each degradation, and print the table of docs/degrade.md.

OMP_NUM_THREADS=1 python tools/degrade_speed.py
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

from rtdenoise.degrade import parse

VOICE = Path(__file__).parents[1] / "examples" / "audio" / "clean.flac"
TEXTS = (
    "lowpass 2500..8000",
    "resample 8k..16k",
    "noise pink snr=0..20",
    "rir t60=0.2..0.9",
    "codec opus 8..32",
    "codec gsm",
    "codec mp3 32",
    "clip -12..-3",
    "packetloss 5%",
    "mic eq",
    "hum 50",
    "lowpass 2500..8000 | noise white snr=0..20",
)
ROWS, SECONDS = 32, 2


def main() -> None:
    """Print the median speed of five runs of each degradation."""
    voice, rate = sf.read(VOICE, dtype="float32")
    print("| step | 16 kHz | 48 kHz |\n|---|---|---|")
    for text in TEXTS:
        cells = []
        for to_hz in (16_000, 48_000):
            sound = soxr.resample(voice, rate, to_hz)[to_hz : to_hz * (1 + SECONDS)]
            batch, chain, times_s = np.tile(sound, (ROWS, 1)), parse(text), []
            for seed in range(6):
                start = time.perf_counter()
                chain.batch(batch, to_hz, np.random.default_rng(seed))
                times_s.append(time.perf_counter() - start)
            cells.append(f"{ROWS * SECONDS / statistics.median(times_s[1:]):.0f} x")
        print(f"| `{text.replace('|', chr(92) + '|')}` | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
