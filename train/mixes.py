"""Noisy and clean files of sources no training saw, for scoring any system on the same sounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile as sf

from rtdenoise import generator
from rtdenoise.line import Line
from rtdenoise.stage import process

from .config import Data
from .data import Library
from .spectral import RATE_HZ

SNR_DB = (0, 5, 10, 15)
SECONDS = 6


def make(cache: Path, data: Data, out: Path, count: int = 64, seed: int = 7) -> None:
    """Write *count* pairs noisy/SS_NNN.wav and clean/SS_NNN.wav; SS is the SNR in dB.

    Sources, not lengths, are drawn evenly, so that no long talker decides the score. Speech below
    8 kHz of bandwidth is a quarter, as in the training set. Levels vary by 13 dB.

    Args:
        cache: What `data.prepare` made.
        data: The recipe's; its development side is used.
        out: Folder; made if it is not there.
        count: Pairs.
        seed: Of everything drawn.
    """
    library, rng = Library(cache, data, "dev"), np.random.default_rng(seed)
    library.need("speech", "noise")
    for name in ("noisy", "clean"):
        (out / name).mkdir(parents=True, exist_ok=True)
    full = sorted({r.source for r in library.recordings["speech"] if r.bandwidth_hz > 8000})
    narrow = sorted({r.source for r in library.recordings["speech"]} - set(full))
    noises = sorted({r.source for r in library.recordings["noise"]})
    done = 0
    while done < count:
        speakers = narrow if done % 4 == 3 and narrow else full
        voice = library.piece("speech", str(rng.choice(speakers)), SECONDS, rng)
        noise = library.piece("noise", str(rng.choice(noises)), SECONDS, rng)
        if voice.std() < 1e-3 or noise.std() < 1e-5:
            continue
        snr_db = SNR_DB[done * len(SNR_DB) // count]
        voice *= 10 ** (rng.uniform(-16, -3) / 20) / np.abs(voice).max()
        noise *= voice.std() / noise.std() * 10 ** (-snr_db / 20)
        room = min(1.0, 0.95 / float(np.abs(voice + noise).max()))
        name = f"{snr_db:02d}_{done:03d}.wav"
        sf.write(out / "noisy" / name, room * (voice + noise), RATE_HZ, "FLOAT")
        sf.write(out / "clean" / name, room * voice, RATE_HZ, "FLOAT")
        done += 1


def enhance(model: str, noisy: Path, out: Path) -> None:
    """Run a generator (name or file) over every wav of a folder: same names, length, alignment."""
    generator.prepare_thread()
    net = generator.find(model)
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(noisy.glob("*.wav")):
        audio, rate = sf.read(path, dtype="float32", always_2d=True)
        line = Line(net, rate, audio.shape[1])
        sf.write(out / path.name, process(line, np.ascontiguousarray(audio.T)).T, rate, "FLOAT")
