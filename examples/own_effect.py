"""An effect of yours that is no net: on a board, in a board file, in files and live, with --mix.

python examples/own_effect.py
"""

import tempfile
from pathlib import Path

import numpy as np
import soundfile as sf

from rtdenoise import DryWet, Effect, Stream
from rtdenoise.cli import main

CLIPS = Path(__file__).parent / "audio"
FRAME = 480


class Gated:
    """The stage: silences frames of 480 samples whose level is below a threshold."""

    def __init__(self, stream: Stream, threshold_db: float) -> None:
        self.stream, self.latency, self._threshold = stream, FRAME, 10 ** (threshold_db / 20)
        self._waiting = self._ready = np.zeros((0, 0), np.float32)
        self.reset()

    def push(self, block: np.ndarray) -> np.ndarray:
        """Whole frames go on, the rest waits: as many samples out as in, a frame late."""
        waiting = np.concatenate((self._waiting, block), axis=1)
        whole = waiting.shape[1] // FRAME * FRAME
        frames = waiting[:, :whole].reshape(len(waiting), -1, FRAME).copy()
        frames[np.sqrt((frames**2).mean(2)) < self._threshold] = 0
        ready = np.concatenate((self._ready, frames.reshape(len(waiting), -1)), axis=1)
        self._waiting, self._ready = waiting[:, whole:], ready[:, block.shape[1] :]
        return ready[:, : block.shape[1]]

    def reset(self) -> None:
        """A frame of silence is on its way."""
        self._ready = np.zeros((self.stream.channels, FRAME), np.float32)
        self._waiting = self._ready[:, :0]


class Gate(Effect):
    """Silences what is softer than `threshold_db`."""

    def __init__(self, threshold_db: float = -45.0) -> None:
        self.threshold_db = threshold_db

    def stage(self, stream: Stream, counters: object = None) -> Gated:
        """A new gate for a stream."""
        return Gated(stream, self.threshold_db)


if __name__ == "__main__":
    audio, rate = sf.read(CLIPS / "noisy.flac", dtype="float32")
    half = DryWet(Gate(-24), mix=50)(audio, rate)
    print(f"{np.mean(half != audio):.0%} of the samples were gated, by 6 dB")
    with tempfile.TemporaryDirectory() as folder:
        board = Path(folder) / "board.toml"
        board.write_text('[[effect]]\ntype = "own_effect:Gate"\nthreshold_db = -24\n')
        out = str(Path(folder) / "out.wav")
        main(["file", str(CLIPS / "noisy.flac"), "-o", out, "--board", str(board), "--mix", "50"])
        print(f"the board file gives the same: {np.abs(sf.read(out)[0] - half).max() < 1e-4}")
