"""The values of the language: the fields that a step declares, with numbers, ranges and words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UsageError

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
Value = float | str


@dataclass(frozen=True)
class Field:
    """A parameter of a step.

    Attributes:
        name: Name in `name=value`. A value without a name is that of the next field in order.
        default: Value if the user gives none, as text. None: the user must give one.
        low: Smallest number. None: the value is a word.
        high: Largest number.
        log: Whether ranges are drawn on a logarithmic scale, as is right for frequencies.
        choices: The words that the value may be; `any` draws one of them. Empty: any word.
        units: Suffixes that a number may have, each with its factor.
    """

    name: str
    default: str | None = None
    low: float | None = None
    high: float = float("inf")
    log: bool = False
    choices: tuple[str, ...] = ()
    units: tuple[tuple[str, float], ...] = ()

    def check(self, step: str, text: str) -> Drawable:
        """Return the value *text* of this field as something to draw from.

        Args:
            step: Name of the step, for the error message.
            text: A word, several with commas, a number, or a range `low..high`.

        Raises:
            UsageError: If *text* is no number, is out of range, or is not one of the choices.
        """
        if self.low is None:
            words = self.choices if text == "any" and self.choices else tuple(text.split(","))
            if self.choices and (wrong := [w for w in words if w not in self.choices]):
                raise UsageError(
                    f"{step}: {self.name} = {wrong[0]!r}; known: {', '.join(self.choices)}, any"
                )
            return Drawable(self, words=words)
        ends = text.split("..")
        numbers = [self._number(step, end, text) for end in ends]
        if len(numbers) > 2 or numbers[0] > numbers[-1]:
            raise UsageError(f"{step}: {self.name} = {text}: wanted a number, or low..high")
        return Drawable(self, numbers=(numbers[0], numbers[-1]))

    def _number(self, step: str, end: str, text: str) -> float:
        """Return *end*, a number with or without a unit, as a float."""
        match = re.fullmatch(rf"({NUMBER})(\D*)", end.strip())
        scale = dict(self.units) | {"": 1.0}
        if not match or match[2] not in scale:
            units = ", ".join(unit for unit, _ in self.units)
            raise UsageError(
                f"{step}: {self.name} = {text}: wanted a number or low..high"
                + (f"; units: {units}" if units else "")
            )
        number = float(match[1]) * scale[match[2]]
        if not (self.low or 0.0) <= number <= self.high:
            raise UsageError(f"{step}: {self.name} = {text}: wanted {self.low:g} to {self.high:g}")
        return number


HZ = (("k", 1000.0), ("Hz", 1.0), ("kHz", 1000.0))
KBPS = (("k", 1.0), ("kbps", 1.0))
DB = (("dB", 1.0),)


@dataclass(frozen=True)
class Drawable:
    """A value of a field, which may be a range or several words.

    Attributes:
        field: The field of the value.
        numbers: The ends of the range, equal for a single number. None: the value is a word.
        words: The words to draw from.
    """

    field: Field
    numbers: tuple[float, float] | None = None
    words: tuple[str, ...] = ()

    def draw(self, rng: np.random.Generator) -> Value:
        """Return a random value; a fixed value takes no random number, so others stay the same."""
        if self.numbers is None:
            return self.words[0] if len(self.words) == 1 else str(rng.choice(list(self.words)))
        low, high = self.numbers
        if low == high:
            return low
        if self.field.log and low > 0:
            return float(np.exp(rng.uniform(np.log(low), np.log(high))))
        return float(rng.uniform(low, high))

    def __str__(self) -> str:
        if self.numbers is None:
            return ",".join(self.words)
        low, high = self.numbers
        return f"{low:g}" if low == high else f"{low:g}..{high:g}"


def show(value: Any) -> str:
    """Return a drawn value as text, from which the same float32 number can be read."""
    return f"{value:.9g}" if isinstance(value, float) else str(value)
