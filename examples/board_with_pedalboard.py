"""Denoise between pedalboard's own plugins, edited like a list, whole and streamed.

python examples/board_with_pedalboard.py
"""

from pathlib import Path

import numpy as np
import soundfile as sf
from pedalboard import Compressor, Gain, HighpassFilter, Limiter, Reverb

from rtdenoise import Board, Denoise, Mix

CLIPS = Path(__file__).parent / "audio"

audio, rate = sf.read(CLIPS / "noisy_stereo_44k.flac", dtype="float32", always_2d=True)
board = Board([HighpassFilter(80), Denoise("speech"), Compressor(-24, 2.5), Limiter(-1.0)])
board.insert(3, Mix([Gain(0), Reverb(room_size=0.2, wet_level=0.1, dry_level=0.0)]))
print(board)

mastered = board(audio, rate)  # (samples, channels) in, the same out
print(f"{audio.shape} in, {mastered.shape} out, peak {np.abs(mastered).max():.2f}")

board.reset()
blocks = [
    board.process(audio[start : start + 512], rate, reset=False)
    for start in range(0, len(audio), 512)
]
streamed = np.concatenate(blocks)
print(f"streamed: largest difference {np.abs(streamed - mastered[: len(streamed)]).max():.1e}")
