"""Pairs of degraded and clean sound from sources outside the training side, to score systems on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile as sf

from rtdenoise.degrade import parse
from rtdenoise.errors import UsageError

from ..config import Recipe
from ..data.library import Library

SNR_DB = (-5.0, 0.0, 5.0, 10.0, 15.0)
SECONDS = 6
LEVEL_DB = (-16.0, -3.0)  # range of the peak of a clean excerpt
LOUDEST = 0.95  # largest peak of a degraded file
FOLDERS = ("degraded", "clean")


def make(
    cache: Path,
    recipe: Recipe,
    out: Path,
    count: int = 80,
    side: str = "dev",
    snr_db: Sequence[float] = SNR_DB,
    seed: int = 7,
) -> None:
    """Write *count* pairs degraded/NAME.wav and clean/NAME.wav.

    Sources are drawn with equal probability whatever their length, so that no long talker
    dominates the score; a quarter of the voices has a bandwidth of at most 8 kHz. The recipe's
    `degradation` is applied (000.wav, ..); without one, recorded noise is mixed at each SNR in turn
    (snr+05_016.wav, ..).

    Args:
        cache: Folder that `prepare` wrote.
        recipe: Recipe whose split, kind and degradation are used.
        out: Folder for the pairs, which is created if necessary.
        count: Number of pairs.
        side: dev or test.
        snr_db: SNRs of the mixtures, where the recipe has no degradation.
        seed: Seed of sources, noises and levels.

    Raises:
        UsageError: the side lacks voices, music or noise, or is the training side; or *out* already
            holds pairs, which would be scored together with the new ones.
    """
    if side == "train":
        raise UsageError("the train side is what nets are trained on: take dev or test")
    if any((out / name).exists() for name in FOLDERS):
        raise UsageError(f"{out} holds pairs already; take another folder, or delete it")
    library, rng = Library(cache, recipe.data, side), np.random.default_rng(seed)
    texts = {"": recipe.degradation}
    if not recipe.degradation:
        texts = {f"snr{snr:+03.0f}_": f"noise library snr={snr:g}" for snr in snr_db}
    kind = "music" if recipe.kind == "music" else "speech"
    library.need(kind, *(["noise"] if any("noise library" in t for t in texts.values()) else []))
    for name in FOLDERS:
        (out / name).mkdir(parents=True, exist_ok=True)
    rate_hz = recipe.data.rate_hz
    noises = sorted({r.source for r in library.recordings["noise"]})

    def noise(samples: int, rate: int, rng: np.random.Generator) -> np.ndarray:
        for _ in range(12):
            piece = library.piece("noise", str(rng.choice(noises)), samples / rate, rng)
            if piece.std() > 1e-5:
                break
        return piece[None, :samples]

    for number in range(count):
        prefix, text = list(texts.items())[number * len(texts) // count]
        clean = _excerpt(library, kind, number, rng)
        done = parse(text, noises={"library": noise})(clean[None], rate_hz, rng)
        room = min(1.0, LOUDEST / float(np.abs(done.audio).max() + 1e-9))
        name = f"{prefix}{number:03d}.wav"
        for folder, audio in zip(FOLDERS, (done.audio, done.reference), strict=True):
            sf.write(out / folder / name, room * audio.T, rate_hz, "FLOAT")


def _excerpt(library: Library, kind: str, number: int, rng: np.random.Generator) -> np.ndarray:
    """Draw an excerpt (samples,) that is not silent, and give it a random level."""
    recordings = library.recordings[kind]
    full = sorted({r.source for r in recordings if r.bandwidth_hz > 8000 or kind == "music"})
    narrow = sorted({r.source for r in recordings} - set(full))
    sources = full or narrow
    if number % 4 == 3 and narrow:
        sources = narrow
    for _ in range(100):
        piece = library.piece(kind, str(rng.choice(sources)), SECONDS, rng)
        if piece.std() > 1e-3:
            break
    return piece * (10 ** (rng.uniform(*LEVEL_DB) / 20) / float(np.abs(piece).max() + 1e-9))
