"""Cross voices and noises of two sides, to see which of them a model does not generalise to.

    python tools/cross_sides.py CACHE OUT

OUT gets four caches, OUT/tt, OUT/td, OUT/dt and OUT/dd: the first letter says whether the voices
are of the training or of the development side, the second one whose noises they get. All of it is
called the development side there, so that `mixes` makes pairs of it; their files are links. Pairs
of OUT/tt are what a model was trained on: the scores on the others tell what strangers cost.

    python -m train mixes RECIPE --cache OUT/td -o PAIRS --least-range 45 --by-origin
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from train.data.cache import read
from train.data.index import Recording, link_files
from train.data.indexer import write_index
from train.data.split import side_of
from train.sections import Data

SIDES = {"t": "train", "d": "dev"}


def crossed(recordings: list[Recording], voices: str, noises: str) -> list[Recording]:
    """Return the voices of one side and the noises of another, all as of the development side."""
    wanted = {("speech", SIDES[voices]), ("noise", SIDES[noises])}
    return [replace(r, split="dev") for r in recordings if (r.kind, side_of(r, Data())) in wanted]


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("cache", type=Path)
    parser.add_argument("out", type=Path, help="a folder that is not there yet")
    args = parser.parse_args()
    contents = read(args.cache)
    args.out.mkdir(parents=True)
    for voices in SIDES:
        for noises in SIDES:
            kept, folder = (
                crossed(contents.recordings, voices, noises),
                args.out / (voices + noises),
            )
            link_files(args.cache, folder, kept)
            write_index(folder, contents.rate_hz, kept)
            print(f"{folder}: {len(kept)} recordings")


if __name__ == "__main__":
    main()
