"""Pairs of degraded and clean sound from sources outside the training side, to score systems on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from rtdenoise.degrade import Degraded, parse
from rtdenoise.degrade.language import Chain
from rtdenoise.degrade.sounds import Provider
from rtdenoise.errors import AudioError, UsageError
from rtdenoise.files.digest import of_text
from rtdenoise.sound.pending import Pending

from ..claim import claimed
from ..config import Recipe
from ..data.library import NARROW_HZ, Library, is_active
from ..data.pauses import range_db
from ..errors import ArgumentError
from ..fanout import Lost, Workers, workers
from ..lines import Appended, Line, read_lines
from ..sections import Data
from .checks import Link, link
from .deck import ANY, Choice, Deck, OriginDeck
from .pairs import ORIGINS, Origin, stock, write_origins

SNR_DB = (-5.0, 0.0, 5.0, 10.0, 15.0)
SECONDS = 6
LEVEL_DB = (-16.0, -3.0)  # range of the peak of a clean excerpt
LOUDEST = 0.95  # largest peak of a degraded file
TRIES = 100  # excerpts of a source that are drawn before it counts as silent
FOLDERS = ("degraded", "clean")
BEGUN = "pairs.jsonl"  # a line for each pair, until pairs.csv is there


def make(
    cache: Path,
    recipe: Recipe,
    out: Path,
    count: int = 80,
    side: str = "dev",
    snr_db: Sequence[float] = SNR_DB,
    seed: int = 7,
    jobs: int = 1,
    on: str | None = None,
    choice: Choice = ANY,
) -> str:
    """Write *count* pairs degraded/NAME.wav and clean/NAME.wav, and their origins in pairs.csv.

    Speakers are dealt like cards: each is heard once before any is heard twice, whatever the length
    of their recordings, and so are noises. A quarter of the voices has a bandwidth of at most
    8 kHz, as long as a round has such voices. *choice* may let origins take turns instead, and
    leave out what has noise of its own. The recipe's `degradation` is applied (000.wav, ..);
    without one, recorded noise is mixed at each SNR in turn (snr+05_016.wav, ..).

    The pairs do not depend on where they are made. What was interrupted is continued.

    Args:
        cache: Folder that `prepare` wrote.
        recipe: Recipe whose split, kind and degradation are used.
        out: Folder for the pairs, which is created if necessary.
        count: Number of pairs.
        side: dev or test.
        snr_db: SNRs of the mixtures, where the recipe has no degradation.
        seed: Seed of sources, noises and levels.
        jobs: Number of processes that make pairs at the same time, on this machine.
        on: Where to make them, see `fanout.workers`. All nodes of a cluster have to see the same
            cache and output.
        choice: Which excerpts are taken, and how sources take turns.

    Returns:
        What stands behind the pairs, in a line.

    Raises:
        UsageError: the side lacks voices, music or noise, or is the training side; or *out* already
            holds pairs, which would be scored together with the new ones; or the workers cannot be
            used.
        AudioError: a pair cannot be made or written.
    """
    if side == "train":
        raise UsageError("the train side is what nets are trained on: take dev or test")
    if count < 1:
        raise UsageError(f"wanted one pair or more, got {count}")
    cache, out = cache.absolute(), out.absolute()
    library = _library(cache, recipe, side)
    told = (library.contents.digest, recipe, count, side, list(snr_db), seed, choice)
    header = {"pairs": of_text(repr(told))}
    begun = next(read_lines(out / BEGUN), None) == header and not (out / ORIGINS).exists()
    there = chain([out / ORIGINS], *((out / name).glob("*") for name in FOLDERS))
    if not begun and any(path.exists() for path in there):
        raise UsageError(f"{out} holds pairs already; take another folder, or delete it")
    with workers(on, jobs) as hands:
        rng = np.random.default_rng(seed)
        plans = _plans(library, recipe, out, count, snr_db, rng, choice)
        first = next(plans)  # an empty side is an error before anything is written
        with claimed(out):
            for name in FOLDERS:
                (out / name).mkdir(exist_ok=True)
            try:
                origins = _made(hands, chain([first], plans), out / BEGUN, header)
            except OSError as error:
                raise AudioError(
                    f"cannot write to {out}: {error.strerror}. The pairs so far are kept; make "
                    "room and run the same command again"
                ) from None
            write_origins(out / ORIGINS, origins)
            (out / BEGUN).unlink()
    return f"{count} pairs of {stock(list(origins.values()))}; {side} side, seed {seed}"


@dataclass(frozen=True)
class Plan:
    """A pair that is to be made, with all that was drawn for it.

    Attributes:
        name: Name of its files.
        out: Folder of the pairs.
        cache: Folder that `prepare` wrote.
        recipe: The recipe.
        side: Side of the split.
        speaker: Source of the clean sound.
        clean: The clean sound (samples,) at its level.
        text: The steps of the damage.
        noises: For each recorded noise the sources that are tried, of which the last has sound.
        rng: Random generator of the damage.
    """

    name: str
    out: Path
    cache: Path
    recipe: Recipe
    side: str
    speaker: str
    clean: NDArray[np.float32]
    text: str
    noises: tuple[tuple[str, ...], ...]
    rng: np.random.Generator


def _plans(
    library: Library,
    recipe: Recipe,
    out: Path,
    count: int,
    snr_db: Sequence[float],
    rng: np.random.Generator,
    choice: Choice,
) -> Iterator[Plan]:
    """Deal sources and draw excerpts for all pairs, one after the other.

    Raises:
        UsageError: the side lacks voices, music or noise.
    """
    texts = {"": recipe.degradation}
    if not recipe.degradation:
        texts = {f"snr{snr:+03.0f}_": f"noise library snr={snr:g}" for snr in snr_db}
    kind = recipe.kind
    library.need(kind, *(["noise"] if any("noise library" in t for t in texts.values()) else []))
    all_voices = library.sources(kind)
    voices, noises = (_deck(library, name, rng, choice) for name in (kind, "noise"))
    wide = library.sources(kind, above_hz=0.0 if kind == "music" else NARROW_HZ)
    narrow = frozenset(all_voices - wide)
    for number in range(count):
        prefix, text = list(texts.items())[number * len(texts) // count]
        first = narrow if number % 4 == 3 else frozenset(wide)
        least_db = choice.least_range_db
        tried, clean = _sounding(library, kind, voices, first, SECONDS, rng, least_db)
        clean = clean * (10 ** (rng.uniform(*LEVEL_DB) / 20) / float(np.abs(clean).max()))
        before, dealt = deepcopy(rng), list[tuple[str, ...]]()

        def noise(samples: int, rate: int, own: np.random.Generator, dealt=dealt) -> Any:
            names, sound = _sounding(library, "noise", noises, frozenset(), samples / rate, own)
            dealt.append(names)
            return sound[None, :samples]

        _noises_only(text, noise)(clean[None], recipe.data.rate_hz, rng)
        yield Plan(
            f"{prefix}{number:03d}", out, library.cache, recipe, library.side, tried[-1], clean,
            text, tuple(dealt), before,
        )  # fmt: skip


def _deck(
    library: Library, kind: str, rng: np.random.Generator, choice: Choice
) -> Deck | OriginDeck:
    if choice.by_origin:
        return OriginDeck(library.origins(kind), rng)
    return Deck(library.sources(kind), rng)


def _noises_only(text: str, noise: Provider) -> Chain:
    """Return the chain of *text* without the steps that draw no recorded noise.

    Every step has a generator of its own, so that those that stay draw the same.
    """

    def nothing(batch: object, draws: object) -> None:
        pass

    steps = parse(text, noises={"library": noise}).steps
    return Chain(tuple(s if s.name == "noise" else replace(s, run=nothing) for s in steps))


def _made(hands: Workers, plans: Iterator[Plan], begun: Path, header: Line) -> dict[str, Origin]:
    """Make the pairs that are not made, and return the origins of all, in order.

    Raises:
        AudioError: a pair ends the workers that make it.
        OSError: a file cannot be written.
    """
    lines_of = read_lines(begun)
    known = {line["pair"]: line for line in lines_of} if next(lines_of, None) == header else {}
    order = list[str]()

    def left() -> Iterator[Plan]:
        for plan in plans:
            order.append(plan.name)
            if plan.name not in known:
                yield plan

    with Appended(begun) as lines:
        if not known:
            lines.restart(header)
        for plan, found in hands.each(pair_of, left()):
            if isinstance(found, Lost):
                raise AudioError(
                    f"the pair {plan.name} ({plan.text}) was {found.why}. The pairs so far are "
                    "kept; run the same command again"
                )
            line = known[plan.name] = {"pair": plan.name, **asdict(found)}
            lines.add(line)
    return {name: _origin_of(known[name]) for name in order}


def _origin_of(line: Line) -> Origin:
    values = {name: value for name, value in line.items() if name != "pair"}
    return Origin(**values | {"made": Link(**values["made"])})


def pair_of(plan: Plan) -> Origin:
    """Make a pair, and return what it was made of; a worker's task."""
    library, rate_hz = _opened(plan.cache, plan.recipe.data, plan.side), plan.recipe.data.rate_hz
    left, dealt = iter(plan.noises), list[str]()

    def noise(samples: int, rate: int, rng: np.random.Generator) -> NDArray[np.float32]:
        for name in next(left):
            sound = _excerpt(library, "noise", name, samples / rate, rng)
        dealt.append(name)
        return np.asarray(sound)[None, :samples]

    done = parse(plan.text, noises={"library": noise})(plan.clean[None], rate_hz, plan.rng)
    room = min(1.0, LOUDEST / float(np.abs(done.audio).max() + 1e-9))
    for folder, audio in zip(FOLDERS, (done.audio, done.reference), strict=True):
        path = plan.out / folder / f"{plan.name}.wav"
        with Pending(path, overwrite=True) as pending, pending.path.open("wb") as file:
            sf.write(file, room * audio.T, rate_hz, "FLOAT", format="WAV")
    return origin(done, rate_hz, plan.speaker, " + ".join(dealt))


@lru_cache(maxsize=1)
def _opened(cache: Path, data: Data, side: str) -> Library:
    """Open a side of a cache, once in each worker."""
    return Library(cache, data, side)


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
    deck: Deck | OriginDeck,
    first: frozenset[str],
    seconds: float,
    rng: np.random.Generator,
    least_range_db: float = 0.0,
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Deal a source, and draw an excerpt (samples,) of it that is not mostly silence.

    Returns:
        The sources that were dealt, of which only the last has sound, and the excerpt.
    """
    tried = list[str]()
    while True:
        tried.append(deck.deal(first))
        piece = _excerpt(library, kind, tried[-1], seconds, rng, least_range_db)
        if piece is not None:
            return tuple(tried), piece
        deck.discard(tried[-1])


def _excerpt(
    library: Library,
    kind: str,
    source: str,
    seconds: float,
    rng: np.random.Generator,
    least_range_db: float = 0.0,
) -> NDArray[np.float32] | None:
    """Draw an excerpt (samples,) of a source that is neither mostly silence nor noisy, or None."""
    for _ in range(TRIES):
        piece = library.piece(kind, source, seconds, rng)
        raw = np.round(piece * 32768).astype(np.int16)
        # Noise may come in bursts; speech has to be there for a good part of the excerpt.
        fit = piece.std() > 1e-5 if kind == "noise" else is_active(raw, len(raw))
        if fit and (least_range_db <= 0 or range_db(piece, library.rate_hz) >= least_range_db):
            return piece
    return None
