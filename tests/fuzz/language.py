"""Damaged texts of the degradation language, and values at the edges of their ranges."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rtdenoise.degrade import parse

from . import mutate

STEPS = (
    "lowpass 2500..8000 family=any", "highpass 300 order=4", "resample 8k", "mic eq depth_db=6",
    "noise white snr=0..20", "noise pink 5", "noise brown snr_db=-5", "hum 50 level_db=-30",
    "rir t60=0.2..0.9 p=0.7", "rir method=shoebox", "codec gsm", "codec opus 8..32",
    "codec mp3 kbps=32", "clip -12..-3", "packetloss 5%", "packetloss 20% 10 repeat", "quantise 8",
    "gain -6dB", "math:sqrt", "numpy:zeros_like", "noise folder=.",
)  # fmt: skip


def case(rng: np.random.Generator, folder: Path) -> str:
    """Parse a text and degrade an array: sound and reference keep their shape, and are finite."""
    steps = rng.choice(STEPS, int(rng.integers(1, 4)))
    text = " | ".join(str(step) for step in steps)
    if rng.random() < 0.8:
        text = mutate.text(text, rng)
    chain = parse(text)
    rate = int(rng.choice([8000, 16_000, 44_100, 48_000]))
    sound = 0.1 * rng.standard_normal((int(rng.integers(1, 3)), int(rng.choice([0, 1, 400, 9000]))))
    audio = sound.astype(np.float32)
    kept = audio.copy()
    out = chain(audio, rate, np.random.default_rng(1))
    assert np.array_equal(audio, kept), "the input was changed"
    for what in (out.audio, out.reference):
        assert what.shape == audio.shape, (what.shape, audio.shape)
        assert np.isfinite(what).all()
    return "degraded"
