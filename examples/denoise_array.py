"""A recording as an array, whole and block by block: the same samples, the second ones later.

python examples/denoise_array.py
"""

from pathlib import Path

import numpy as np
import soundfile as sf

from rtdenoise import Denoise
from rtdenoise.files.scores import score

CLIPS = Path(__file__).parent / "audio"


def si_sdr_db(estimate: np.ndarray, reference: np.ndarray) -> float:
    """SI-SDR of mono sound (samples,)."""
    return score(estimate[None], reference[None])["SI-SDR dB"]


audio, rate = sf.read(CLIPS / "noisy.flac", dtype="float32")
clean, _ = sf.read(CLIPS / "clean.flac", dtype="float32")
denoise = Denoise("speech")

whole = denoise(audio, rate)
print(f"SI-SDR {si_sdr_db(audio, clean):.1f} dB before, {si_sdr_db(whole, clean):.1f} dB after")

denoise.reset()
blocks = [
    denoise.process(audio[start : start + 480], rate, reset=False)
    for start in range(0, len(audio), 480)
]
streamed = np.concatenate(blocks)
print(f"streamed: {len(audio) - len(streamed)} samples late, as declared: {denoise.latency(rate)}")
print(f"largest difference {np.abs(streamed - whole[: len(streamed)]).max():.1e}")

denoise.atten_lim_db = 12  # any time, in a stream too
print(f"at most 12 dB removed: SI-SDR {si_sdr_db(denoise(audio, rate), clean):.1f} dB")
