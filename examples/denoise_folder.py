"""Clean every recording in a folder and say how much was removed, in ten lines of API.

python examples/denoise_folder.py recordings cleaned [model]; without arguments: examples/audio
into a temporary folder. `rtdenoise file -r recordings -O cleaned` does the same, on all cores.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from rtdenoise import AudioError, Denoise
from rtdenoise.files.offline import process_file
from rtdenoise.sound.formats import SUFFIXES


class Levels:
    """Energy of the samples that go in, and of those that come out."""

    def __init__(self) -> None:
        self.energy = np.zeros(2)

    def before(self, block: np.ndarray) -> None:
        """Take the next (channels, n) of the input."""
        self.energy[0] += float(np.sum(block**2))

    def after(self, block: np.ndarray) -> None:
        """Take the next (channels, n) of the output."""
        self.energy[1] += float(np.sum(block**2))


def clean(file: Path, target: Path, denoise: Denoise) -> str:
    """Process one recording; returns what happened."""
    levels = Levels()
    try:
        done = process_file(
            file,
            target / file.name,
            denoise,
            listen=lambda reader: [levels],
        )
    except AudioError as error:  # one that is no audio does not stop the rest
        return str(error)
    change_db = 10 * np.log10((levels.energy[1] + 1e-9) / (levels.energy[0] + 1e-9))
    return f"{file.name:<24} {done.seconds:6.1f} s  {change_db:+6.1f} dB"


if __name__ == "__main__":
    folders = [Path(name) for name in sys.argv[1:3]] or [Path("examples/audio")]
    denoise = Denoise((sys.argv[3:] or ["speech"])[0])
    with tempfile.TemporaryDirectory() as temporary, denoise.one_thread():
        target = (folders[1:] or [Path(temporary)])[0]
        for file in sorted(f for f in folders[0].iterdir() if f.suffix.lower() in SUFFIXES):
            print(clean(file, target, denoise))
