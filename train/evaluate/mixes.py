"""Pairs of degraded and clean sound from sources outside the training side, to score systems on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from rtdenoise.degrade import Degraded, parse
from rtdenoise.errors import UsageError

from ..config import Recipe
from ..data.library import NARROW_HZ, Library, is_active
from ..errors import ArgumentError
from .checks import link
from .pairs import ORIGINS, Origin, stock, write_origins

SNR_DB = (-5.0, 0.0, 5.0, 10.0, 15.0)
SECONDS = 6
LEVEL_DB = (-16.0, -3.0)  # range of the peak of a clean excerpt
LOUDEST = 0.95  # largest peak of a degraded file
TRIES = 100  # excerpts of a source that are drawn before it counts as silent
FOLDERS = ("degraded", "clean")


class Deck:
    """Sources in random order: all are dealt once before any is dealt twice.

    Args:
        sources: Names of the sources.
        rng: Random generator of the order.
    """

    def __init__(self, sources: Collection[str], rng: np.random.Generator) -> None:
        self._all, self._rng = sorted(set(sources)), rng
        self._left: list[str] = []

    def deal(self, first: frozenset[str] = frozenset()) -> str:
        """Take the next source, one of *first* if any of them is left in this round."""
        if not self._left:
            self._left = [str(name) for name in self._rng.permutation(self._all)]
        name = next((name for name in self._left if name in first), self._left[0])
        self._left.remove(name)
        return name

    def discard(self, name: str) -> None:
        """Never deal *name* again.

        Raises:
            UsageError: no other source is left.
        """
        self._all.remove(name)
        if not self._all:
            raise UsageError("no source has sound: all of them are silent, or nearly so")


def make(
    cache: Path,
    recipe: Recipe,
    out: Path,
    count: int = 80,
    side: str = "dev",
    snr_db: Sequence[float] = SNR_DB,
    seed: int = 7,
) -> str:
    """Write *count* pairs degraded/NAME.wav and clean/NAME.wav, and their origins in pairs.csv.

    Speakers are dealt like cards: each is heard once before any is heard twice, whatever the length
    of their recordings, and so are noises. A quarter of the voices has a bandwidth of at most
    8 kHz, as long as a round has such voices. The recipe's `degradation` is applied (000.wav, ..);
    without one, recorded noise is mixed at each SNR in turn (snr+05_016.wav, ..).

    Args:
        cache: Folder that `prepare` wrote.
        recipe: Recipe whose split, kind and degradation are used.
        out: Folder for the pairs, which is created if necessary.
        count: Number of pairs.
        side: dev or test.
        snr_db: SNRs of the mixtures, where the recipe has no degradation.
        seed: Seed of sources, noises and levels.

    Returns:
        What stands behind the pairs, in a line.

    Raises:
        UsageError: the side lacks voices, music or noise, or is the training side; or *out* already
            holds pairs, which would be scored together with the new ones.
    """
    if side == "train":
        raise UsageError("the train side is what nets are trained on: take dev or test")
    if count < 1:
        raise UsageError(f"wanted one pair or more, got {count}")
    if any((out / name).exists() for name in (*FOLDERS, ORIGINS)):
        raise UsageError(f"{out} holds pairs already; take another folder, or delete it")
    library, rng = _library(cache, recipe, side), np.random.default_rng(seed)
    texts = {"": recipe.degradation}
    if not recipe.degradation:
        texts = {f"snr{snr:+03.0f}_": f"noise library snr={snr:g}" for snr in snr_db}
    kind = recipe.kind
    library.need(kind, *(["noise"] if any("noise library" in t for t in texts.values()) else []))
    rate_hz, all_voices = recipe.data.rate_hz, library.sources(kind)
    voices, noises = Deck(all_voices, rng), Deck(library.sources("noise"), rng)
    wide = library.sources(kind, above_hz=0.0 if kind == "music" else NARROW_HZ)
    narrow = frozenset(all_voices - wide)
    dealt: list[str] = []

    def noise(samples: int, rate: int, rng: np.random.Generator) -> NDArray[np.float32]:
        name, sound = _sounding(library, "noise", noises, frozenset(), samples / rate, rng)
        dealt.append(name)
        return sound[None, :samples]

    for name in FOLDERS:
        (out / name).mkdir(parents=True, exist_ok=True)
    origins: dict[str, Origin] = {}
    for number in range(count):
        prefix, text = list(texts.items())[number * len(texts) // count]
        first = narrow if number % 4 == 3 else frozenset(wide)
        speaker, clean = _sounding(library, kind, voices, first, SECONDS, rng)
        clean = clean * (10 ** (rng.uniform(*LEVEL_DB) / 20) / float(np.abs(clean).max()))
        dealt.clear()
        done = parse(text, noises={"library": noise})(clean[None], rate_hz, rng)
        room = min(1.0, LOUDEST / float(np.abs(done.audio).max() + 1e-9))
        name = f"{prefix}{number:03d}"
        for folder, audio in zip(FOLDERS, (done.audio, done.reference), strict=True):
            sf.write(out / folder / f"{name}.wav", room * audio.T, rate_hz, "FLOAT")
        origins[name] = origin(done, rate_hz, speaker, " + ".join(dealt))
    write_origins(out / ORIGINS, origins)
    return f"{count} pairs of {stock(list(origins.values()))}; {side} side, seed {seed}"


def _library(cache: Path, recipe: Recipe, side: str) -> Library:
    try:
        return Library(cache, recipe.data, side)
    except ArgumentError:
        raise
    except UsageError as error:
        raise ArgumentError(str(error), "side") from None


def origin(done: Degraded, rate_hz: int, speaker: str, noise: str) -> Origin:
    """Describe a pair: what it was made of, and what its damage did to level and timing."""
    made = link(done.audio[0], done.reference[0], rate_hz)
    if done.keeps_level:  # then gain, lag and polarity are known, and must be found again
        made = type(made)(0, 0.0, 1, made.correlation)
    rooms = [step for step in done.steps if step.split()[0] == "rir"]
    return Origin(speaker, noise, " | ".join(rooms), made, " | ".join(done.steps))


def _sounding(
    library: Library,
    kind: str,
    deck: Deck,
    first: frozenset[str],
    seconds: float,
    rng: np.random.Generator,
) -> tuple[str, NDArray[np.float32]]:
    """Deal a source, and draw an excerpt (samples,) of it that is not mostly silence."""
    while True:
        source = deck.deal(first)
        for _ in range(TRIES):
            piece = library.piece(kind, source, seconds, rng)
            raw = np.round(piece * 32768).astype(np.int16)
            # Noise may come in bursts; speech has to be there for a good part of the excerpt.
            if piece.std() > 1e-5 if kind == "noise" else is_active(raw, len(raw)):
                return source, piece
        deck.discard(source)
