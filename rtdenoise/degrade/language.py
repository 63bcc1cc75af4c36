"""The parser of the language: `lowpass 2500..8000 family=any | noise white snr=5 p=0.5`.

Every step has a random generator of its own for every row, seeded by one number of the caller's
generator: a step that is added at the end does not change what the steps before it draw.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.named import find_named
from ..errors import AudioError, UsageError
from . import damage, filters, sounds
from .batch import Batch
from .grammar import DB, HZ, KBPS, NUMBER, Drawable, Field, show
from .sounds import Provider

Run = Callable[[Batch, list[dict[str, Any]]], None]
CUTOFF = Field("cutoff_hz", None, 1, 1e6, log=True, units=HZ)
FAMILY = Field("family", "any", choices=filters.FAMILIES)
ORDER = Field("order", "8", 1, 20)
FOLDER = Field("folder", "")

STEPS: dict[str, tuple[Run, tuple[Field, ...]]] = {
    "lowpass": (filters.lowpass, (CUTOFF, FAMILY, ORDER)),
    "highpass": (filters.highpass, (CUTOFF, FAMILY, ORDER)),
    "resample": (filters.resample, (Field("rate_hz", None, 1000, 768_000, log=True, units=HZ),)),
    "mic": (
        filters.mic,
        (Field("kind", "eq", choices=("eq",)), Field("depth_db", "6", 0, 40, units=DB)),
    ),
    "noise": (
        partial(sounds.noise, providers={}),
        (Field("kind", "white"), Field("snr_db", "0..20", -60, 120, units=DB), FOLDER),
    ),
    "hum": (
        sounds.hum,
        (
            Field("mains_hz", "50", 20, 500, units=HZ),
            Field("level_db", "-40..-20", -120, 40, units=DB),
        ),
    ),
    "rir": (
        sounds.rir,
        (
            Field("t60_s", "0.2..0.9", 0.05, 10, units=(("s", 1.0),)),
            Field("drr_db", "-6..6", -40, 60, units=DB),
            Field("method", "decay", choices=("decay", "shoebox")),
            Field("early_ms", "0", 0, 1000, units=(("ms", 1.0),)),
            FOLDER,
        ),
    ),
    "codec": (
        damage.codec,
        (
            Field("codec", None, choices=tuple(damage.CODEC_RATES_HZ)),
            Field("kbps", "8..32", 4, 512, units=KBPS),
        ),
    ),
    "clip": (damage.clip, (Field("level_db", None, -60, 0, units=DB),)),
    "packetloss": (
        damage.packetloss,
        (
            Field("lost_percent", None, 0, 90, units=(("%", 1.0),)),
            Field("packet_ms", "20", 1, 1000, units=(("ms", 1.0),)),
            Field("fill", "zeros", choices=("zeros", "repeat")),
        ),
    ),
    "quantise": (damage.quantise, (Field("bits", None, 1, 24),)),
    "gain": (damage.gain, (Field("gain_db", None, -80, 40, units=DB),)),
}
SHORT = {"snr": "snr_db", "t60": "t60_s", "drr": "drr_db", "ms": "packet_ms", "early": "early_ms"}
CHANCE = Field("p", "1", 0, 1)
# Steps after which what audio and reference have in common has the same level, place and polarity.
KEEPS_LEVEL = frozenset({"lowpass", "highpass", "resample", "noise", "hum", "gain"})


@dataclass(frozen=True)
class Step:
    """A step of a chain.

    Attributes:
        name: Name of the step, as in the text.
        run: Function that damages a batch, with drawn values for each row.
        values: Names of the parameters with their values or ranges.
        chance: Probability that a row is damaged, which may be a range.
    """

    name: str
    run: Run
    values: tuple[tuple[str, Drawable], ...]
    chance: Drawable

    def draw(self, rng: np.random.Generator) -> dict[str, Any] | None:
        """Return drawn values for one row. None: the step leaves this row as it is."""
        used = rng.random() < float(self.chance.draw(rng))
        values = {name: drawable.draw(rng) for name, drawable in self.values}
        return values if used else None

    def text(self, values: Mapping[str, Any]) -> str:
        """Return the step with *values*, as a user would write it."""
        shown = (f"{k}={shlex.quote(show(v))}" for k, v in values.items() if v != "")
        return " ".join([self.name, *shown])

    def __str__(self) -> str:
        chance = f" p={self.chance}" if str(self.chance) != "1" else ""
        return self.text({name: str(value) for name, value in self.values}) + chance


@dataclass(frozen=True)
class Degraded:
    """A degraded recording.

    Attributes:
        audio: The degraded sound (channels, samples) float32, aligned with the input.
        reference: What a perfect restorer gives, of the same shape: it has the level of `audio`,
            and none of the damage.
        steps: The steps that were used, with their drawn values, as texts that `parse` reads.
    """

    audio: NDArray[np.float32]
    reference: NDArray[np.float32]
    steps: tuple[str, ...]

    @property
    def keeps_level(self) -> bool:
        """Whether `audio` holds the sound of `reference` at its level, to the sample.

        Clipping, lost packets, codecs, microphones, rooms and users' steps do not promise that.
        """
        return all(step.split()[0] in KEEPS_LEVEL for step in self.steps)


class Chain:
    """A chain of steps, which `parse` makes.

    Args:
        steps: The steps in order.
    """

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self.steps = steps

    def recordings(self) -> list[Path]:
        """Return the names of the recordings that the steps draw from."""
        folders = [
            dict(step.values)["folder"] for step in self.steps if "folder" in dict(step.values)
        ]
        names = [name for folder in folders for name in getattr(folder, "words", ()) if name]
        return [path for name in names for path in sounds.listing(name)]

    def __call__(
        self, audio: NDArray[np.float32], rate_hz: int, rng: np.random.Generator
    ) -> Degraded:
        """Damage a recording: all its channels alike, except for the noise.

        Args:
            audio: The recording (channels, samples), full scale 1.0.
            rate_hz: Sample rate of the recording in Hz.
            rng: Random generator that decides all that is random.

        Raises:
            AudioError: If *audio* is not 2-D.
        """
        if audio.ndim != 2:
            raise AudioError(f"wanted (channels, samples), got shape {audio.shape}")
        batch, steps = self._run(audio[None], rate_hz, rng)
        return Degraded(batch.audio[0], batch.reference[0], steps[0])

    def batch(
        self, audio: NDArray[np.float32], rate_hz: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Damage many mono excerpts, each in its own way.

        Args:
            audio: The excerpts (B, samples).
            rate_hz: Sample rate of the excerpts in Hz.
            rng: Random generator that decides all that is random.

        Returns:
            The degraded excerpts and the references, both (B, samples) float32.
        """
        made, _ = self._run(audio[:, None], rate_hz, rng)
        return made.audio[:, 0], made.reference[:, 0]

    def _run(
        self, audio: NDArray[np.float32], rate_hz: int, rng: np.random.Generator
    ) -> tuple[Batch, list[tuple[str, ...]]]:
        """Damage *audio* (rows, channels, samples); return it, and the steps of each row."""
        whole = Batch(np.array(audio, np.float32), np.array(audio, np.float32), rate_hz)
        seed = int(rng.integers(2**62))
        used: list[list[str]] = [[] for _ in audio]
        for number, step in enumerate(self.steps):
            whole.rngs = [np.random.default_rng([seed, row, number]) for row in range(len(audio))]
            draws = [step.draw(row_rng) for row_rng in whole.rngs]
            rows = [row for row, values in enumerate(draws) if values is not None]
            values = [drawn for drawn in draws if drawn is not None]
            if not rows:
                continue
            part = whole.part(rows)
            step.run(part, values)
            whole.audio[rows], whole.reference[rows] = part.audio, part.reference
            for row, drawn in zip(rows, values, strict=True):
                used[row].append(step.text(drawn))
        return whole, [tuple(texts) for texts in used]

    def __str__(self) -> str:
        return " | ".join(str(step) for step in self.steps)


def parse(text: str, noises: Mapping[str, Provider] | None = None) -> Chain:
    """Return the chain that *text* describes.

    Args:
        text: Steps with `|` between them. An empty text is a chain that changes nothing.
        noises: Functions that make noise, by the name that follows `noise` in the text.

    Raises:
        UsageError: If a step or a value is unknown or out of range; the message lists the choices.

    >>> chain = parse("lowpass 4k family=fir | gain -6")
    >>> out = chain(np.ones((1, 4800), np.float32), 48_000, np.random.default_rng(0))
    >>> out.steps[1], round(float(out.reference[0, 0]), 3)
    ('gain gain_db=-6', 0.501)
    """
    steps = [_step(part, dict(noises or {})) for part in text.split("|") if part.strip()]
    return Chain(tuple(steps))


def _words(text: str) -> tuple[str, list[str], dict[str, str]]:
    """Return the name of a step, its values without a name, and its values by name."""
    try:
        name, *words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{text.strip()}: {error}") from None
    given = [word.partition("=") for word in words if "=" in word]
    bare = [word for word in words if "=" not in word]
    return name, bare, {SHORT.get(key, key): value for key, _, value in given}


def _step(text: str, noises: dict[str, Provider]) -> Step:
    """Return the step that *text* describes."""
    name, bare, named = _words(text)
    chance = CHANCE.check(name, named.pop("p", "1"))
    if ":" in name:
        find_named(name, "step")
        return Step(name, partial(damage.user, place=name), _free(name, named, bare), chance)
    if name not in STEPS:
        raise UsageError(f"unknown step {name!r}; known: {', '.join(STEPS)}, module:function")
    run, fields = STEPS[name]
    values = _values(name, fields, bare, named)
    if name == "noise":
        run = partial(sounds.noise, providers=noises)
        sounds.check(dict(values), noises)
    return Step(name, run, values, chance)


def _values(
    name: str, fields: tuple[Field, ...], bare: list[str], named: dict[str, str]
) -> tuple[tuple[str, Drawable], ...]:
    """Return the value of every field of a step: the user's, or else the default."""
    if len(bare) > len(fields):
        raise UsageError(f"{name} takes {len(fields)} values, got {len(bare)}")
    for field, value in zip(fields, bare, strict=False):
        if named.setdefault(field.name, value) is not value:
            raise UsageError(f"{name}: {field.name} is given twice")
    names = [field.name for field in fields]
    if wrong := [key for key in named if key not in names]:
        raise UsageError(f"{name} has no {wrong[0]!r}; known: {', '.join(names)}, p")
    values = []
    for field in fields:
        given = named.get(field.name, field.default)
        if given is None:
            raise UsageError(f"{name}: {field.name} is missing, as in `{name} {EXAMPLES[name]}`")
        values.append((field.name, field.check(name, given)))
    return tuple(values)


EXAMPLES = {
    "lowpass": "2500..8000",
    "highpass": "80",
    "resample": "16k",
    "codec": "opus 16",
    "clip": "-12..-3",
    "packetloss": "5%",
    "quantise": "8",
    "gain": "-12..3",
}


def _free(name: str, named: dict[str, str], bare: list[str]) -> tuple[tuple[str, Drawable], ...]:
    """Return the parameters of a user's own step: as numbers where possible, or as words."""
    if bare:
        raise UsageError(f"{name}: give its parameters names, as in depth={bare[0]}")
    values = []
    for key, value in named.items():
        number = all(_is_number(end) for end in value.split(".."))
        field = Field(key, None, -1e30, 1e30) if number else Field(key)
        values.append((key, field.check(name, value)))
    return tuple(values)


def _is_number(text: str) -> bool:
    return re.fullmatch(NUMBER, text) is not None
