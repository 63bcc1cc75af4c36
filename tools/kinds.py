"""Count how many recordings of a corpus `rtdenoise file` would take for music.

    python tools/kinds.py CACHE [--count 250]

CACHE is what `python -m train prepare` wrote. The first 10 s of one recording a source are judged.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from rtdenoise.files.kinds import STRETCH_S, is_music
from train.data.cache import read


def main() -> None:
    """Print a row for each kind."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cache", type=Path)
    parser.add_argument("--count", type=int, default=250, help="recordings of each kind")
    args = parser.parse_args()
    contents = read(args.cache)
    for kind in ("speech", "music", "noise"):
        sources = {
            r.source: r
            for r in contents.recordings
            if r.kind == kind and r.stop - r.start >= 6 * contents.rate_hz
        }
        chosen = np.random.default_rng(3).permutation(sorted(sources))[: args.count]
        samples, found = np.memmap(args.cache / f"{kind}.i16", np.int16, "r"), 0
        for r in (sources[name] for name in chosen):
            stop = min(r.stop, r.start + round(STRETCH_S * contents.rate_hz))
            sound = samples[r.start : stop].astype(np.float32) / 32768
            found += is_music(sound, contents.rate_hz)
        print(f"{kind}: {found} of {len(chosen)} sound like music")


if __name__ == "__main__":
    main()
