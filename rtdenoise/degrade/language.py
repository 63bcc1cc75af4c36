"""The text becomes a chain of steps: `lowpass 2500..8000 family=any | noise white snr=5 p=0.5`.

Every row and every step has a random generator of its own, made of one number that the caller's
generator draws: a step added at the end changes nothing of what those before it draw.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
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


@dataclass(frozen=True)
class Step:
    """One step of a chain: what it draws, and what it does."""

    name: str
    run: Run
    values: tuple[tuple[str, Drawable], ...]
    chance: Drawable

    def draw(self, rng: np.random.Generator) -> dict[str, Any] | None:
        """Values for one row; None: this row is left out."""
        used = rng.random() < float(self.chance.draw(rng))
        values = {name: drawable.draw(rng) for name, drawable in self.values}
        return values if used else None

    def text(self, values: Mapping[str, Any]) -> str:
        """As a user would write it."""
        shown = (f"{k}={shlex.quote(show(v))}" for k, v in values.items() if v != "")
        return " ".join([self.name, *shown])

    def __str__(self) -> str:
        chance = f" p={self.chance}" if str(self.chance) != "1" else ""
        return self.text({name: str(value) for name, value in self.values}) + chance


@dataclass(frozen=True)
class Degraded:
    """What came out.

    Attributes:
        audio: (channels, samples) float32, aligned with what went in.
        reference: What a perfect restorer gives, same shape: the level of `audio`, no damage.
        steps: What was drawn, one text a step that was used; it reads back as a chain.
    """

    audio: NDArray[np.float32]
    reference: NDArray[np.float32]
    steps: tuple[str, ...]


class Chain:
    """Steps in order; made by `parse`."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self.steps = steps

    def __call__(
        self, audio: NDArray[np.float32], rate_hz: int, rng: np.random.Generator
    ) -> Degraded:
        """Damage a recording; all its channels alike, noise aside.

        Args:
            audio: (channels, samples).
            rate_hz: Its rate.
            rng: Decides everything.

        Raises:
            AudioError: another shape.
        """
        if audio.ndim != 2:
            raise AudioError(f"wanted (channels, samples), got shape {audio.shape}")
        batch, steps = self._run(audio[None], rate_hz, rng)
        return Degraded(batch.audio[0], batch.reference[0], steps[0])

    def batch(
        self, audio: NDArray[np.float32], rate_hz: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Damage many mono excerpts (B, samples), each in its own way: degraded, reference."""
        made, _ = self._run(audio[:, None], rate_hz, rng)
        return made.audio[:, 0], made.reference[:, 0]

    def _run(
        self, audio: NDArray[np.float32], rate_hz: int, rng: np.random.Generator
    ) -> tuple[Batch, list[tuple[str, ...]]]:
        whole = Batch(np.array(audio, np.float32), np.array(audio, np.float32), rate_hz)
        seed = int(rng.integers(2**62))
        used: list[list[str]] = [[] for _ in audio]
        for number, step in enumerate(self.steps):
            whole.rngs = [np.random.default_rng([seed, row, number]) for row in range(len(audio))]
            draws = [step.draw(row_rng) for row_rng in whole.rngs]
            rows = [row for row, values in enumerate(draws) if values is not None]
            values = [found for found in draws if found is not None]
            if not rows:
                continue
            part = whole.part(rows)
            step.run(part, values)
            whole.audio[rows], whole.reference[rows] = part.audio, part.reference
            for row, found in zip(rows, values, strict=True):
                used[row].append(step.text(found))
        return whole, [tuple(texts) for texts in used]

    def __str__(self) -> str:
        return " | ".join(str(step) for step in self.steps)


def parse(text: str, noises: Mapping[str, Provider] | None = None) -> Chain:
    """Read a chain.

    Args:
        text: Steps with `|` between; an empty text changes nothing.
        noises: Noises that the program gives, by the name after `noise`.

    Raises:
        UsageError: it names the step, what was wanted and what is known.

    >>> chain = parse("lowpass 4k family=fir | gain -6")
    >>> out = chain(np.ones((1, 4800), np.float32), 48_000, np.random.default_rng(0))
    >>> out.steps[1], round(float(out.reference[0, 0]), 3)
    ('gain gain_db=-6', 0.501)
    """
    steps = [_step(part, dict(noises or {})) for part in text.split("|") if part.strip()]
    return Chain(tuple(steps))


def _words(text: str) -> tuple[str, list[str], dict[str, str]]:
    """Name, values without a name, values with one."""
    try:
        name, *words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{text.strip()}: {error}") from None
    given = [word.partition("=") for word in words if "=" in word]
    bare = [word for word in words if "=" not in word]
    return name, bare, {SHORT.get(key, key): value for key, _, value in given}


def _step(text: str, noises: dict[str, Provider]) -> Step:
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
    """Every field of a step, given or by default."""
    if len(bare) > len(fields):
        raise UsageError(f"{name}: {len(bare)} values without a name, it has {len(fields)}")
    for field, value in zip(fields, bare, strict=False):
        if named.setdefault(field.name, value) is not value:
            raise UsageError(f"{name}: {field.name} is given twice")
    known = [field.name for field in fields]
    if wrong := [key for key in named if key not in known]:
        raise UsageError(f"{name}: no {wrong[0]}; known: {', '.join(known)}, p")
    values = []
    for field in fields:
        found = named.get(field.name, field.default)
        if found is None:
            raise UsageError(f"{name}: {field.name} is missing, as in `{name} {EXAMPLES[name]}`")
        values.append((field.name, field.check(name, found)))
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
    """Parameters of a user's own step: numbers and ranges where they look so, else words."""
    if bare:
        raise UsageError(f"{name}: give its parameters names, as in depth={bare[0]}")
    found = []
    for key, value in named.items():
        number = all(_is_number(end) for end in value.split(".."))
        field = Field(key, None, -1e30, 1e30) if number else Field(key)
        found.append((key, field.check(name, value)))
    return tuple(found)


def _is_number(text: str) -> bool:
    return re.fullmatch(NUMBER, text) is not None
