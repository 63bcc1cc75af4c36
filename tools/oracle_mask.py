"""Measure what windows of a length can reach at most: the Wiener gain of each bin, known exactly.

    python tools/oracle_mask.py PAIRS [--windows 1024,2048,4096]

PAIRS is a folder with clean/ and degraded/, as `python -m train mixes` makes it. No gain in [0, 1]
on the bins of such windows has a smaller expected error, so a net that gives gains to the bins
cannot be above this SI-SDR; one with complex taps over several windows can, by what the taps tell
apart within a bin.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import istft, stft

from rtdenoise.files.scores import score
from train.evaluate.pairs import find, read

Floats = NDArray[np.float64]


def masked(clean: Floats, degraded: Floats, window: int) -> Floats:
    """Return *degraded* (n,) times the Wiener gains of its bins, with half-overlapping windows."""
    taper = np.sqrt(np.hanning(window + 1)[:-1])
    s, y = (stft(x, window=taper, nperseg=window)[2] for x in (clean, degraded))
    noise = np.abs(y - s) ** 2
    power = np.abs(s) ** 2
    _, out = istft(y * power / (power + noise + 1e-20), window=taper, nperseg=window)
    return np.asarray(out[: len(clean)], np.float64)


def main() -> None:
    """Read the command line and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--windows", default="1024,2048,4096", help="samples, with commas between")
    args = parser.parse_args()
    windows = [int(word) for word in args.windows.split(",")]
    rows = []
    for pair in find(args.pairs):
        clean, degraded = (
            read(path)[0][0].astype(np.float64) for path in (pair.clean, pair.degraded)
        )
        made = [degraded, *(masked(clean, degraded, window) for window in windows)]
        rows.append([score(x[None], clean[None])["SI-SDR dB"] for x in made])
    print("| " + " | ".join(["input", *(f"{window} samples" for window in windows)]) + " |")
    print("|" + "---|" * (len(windows) + 1))
    print("| " + " | ".join(f"{value:.2f}" for value in np.nanmean(rows, axis=0)) + " |")


if __name__ == "__main__":
    main()
