"""The parameters of effects, with defaults, ranges and units, for board files and for panels."""

from __future__ import annotations

import inspect
import math
import re
import sys
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError

REQUIRED = inspect.Parameter.empty  # stands for the default of a parameter that has none
UNITS = {"hz": "Hz", "db": "dB", "ms": "ms", "seconds": "s", "s": "s", "semitones": "semitones"}


@dataclass(frozen=True)
class Parameter:
    """A parameter of an effect.

    Attributes:
        name: Name in a board file and in the constructor.
        default: Value when nobody gives one. `REQUIRED`: there is no default.
        low: Smallest value. None: there is no limit, or it is not published.
        high: Largest value. None: there is no limit, or it is not published.
        unit: Unit of the value, as people write it. Empty: a plain number, or no number.
        meaning: What the value does, for lists of effects.
    """

    name: str
    default: Any = REQUIRED
    low: float | None = None
    high: float | None = None
    unit: str = ""
    meaning: str = ""

    def check(self, effect: str, value: Any) -> None:
        """Refuse a value of another kind than the default's, or a number that is out of range.

        Args:
            effect: Name of the effect, for the error message.
            value: The value to check.

        Raises:
            UsageError: If *value* is none that the parameter can have; the message shows the range.
        """
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if self.is_number and not number and not (value is None and self.default is None):
            wanted = f"a number, {self.range}" if self.range else "a number"
            raise UsageError(f"{effect}: {self.name} = {value!r}: wanted {wanted}")
        if isinstance(self.default, bool) and not isinstance(value, bool):
            raise UsageError(f"{effect}: {self.name} = {value!r}: wanted true or false")
        self.check_at(effect, value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        low, high = self.low, self.high
        if (low is not None and value < low) or (high is not None and value > high):
            raise UsageError(f"{effect}: {self.name} = {value:g}: wanted {self.range}")

    def check_at(self, effect: str, value: Any, rate: int | None = None) -> None:
        """Refuse NaN, infinity, and a frequency that a stream of *rate* Hz cannot have.

        Plugins take such values without a word, and give silence, NaN or a crash for them. A level
        of -inf dB is a number: it mutes.

        Args:
            effect: Name of the effect, for the error message.
            value: The value to check; what is no number passes.
            rate: Sample rate of the stream in Hz. None: it is not known.

        Raises:
            UsageError: If *value* is not finite, or is a frequency of half the rate or more.
        """
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        if abs(value) > sys.float_info.max and isinstance(value, int):
            value = math.inf  # TOML's whole numbers have no end
        mutes = self.unit == "dB" and value == -math.inf
        if not (math.isfinite(value) or mutes):
            wanted = self.range or "a finite number"
            raise UsageError(f"{effect}: {self.name} = {value:g}: wanted {wanted}")
        if self.unit == "Hz" and rate is not None and value >= rate / 2:
            raise UsageError(
                f"{effect}: {self.name} = {value:g}: wanted less than {rate / 2:g} Hz, half the "
                f"sample rate of this sound ({rate} Hz); lower it, or take {effect} out"
            )

    @property
    def is_number(self) -> bool:
        """Whether the value is a number: by the default, or because there is a range or a unit."""
        default = self.default
        ranged = self.low is not None or self.high is not None or bool(self.unit)
        return ranged or (isinstance(default, int | float) and not isinstance(default, bool))

    @property
    def range(self) -> str:
        """The range with its unit as text; only the unit if there is no range.

        >>> Parameter("mix", 100, 0, 100, "%").range
        '0 to 100 %'
        """
        if self.low is None and self.high is None:
            return self.unit
        if self.high is None:
            return f"{self.low:g} or more {self.unit}".strip()
        if self.low is None:
            return f"{self.high:g} or less {self.unit}".strip()
        return f"{self.low:g} to {self.high:g} {self.unit}".strip()


def unit_of(name: str) -> str:
    """Return the unit that is the last word of a parameter's name, or "" if there is none.

    >>> unit_of("cutoff_frequency_hz"), unit_of("ratio")
    ('Hz', '')
    """
    return UNITS.get(name.rpartition("_")[2], "")


def from_signature(maker: Any) -> tuple[Parameter, ...]:
    """Return the parameters in the signature of *maker*, a Python class or function.

    >>> from_signature(lambda cutoff_hz, order=4: None)[0].unit
    'Hz'
    """
    return tuple(
        Parameter(p.name, p.default, unit=unit_of(p.name))
        for p in inspect.signature(maker).parameters.values()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    )


def from_docstring(text: str) -> tuple[Parameter, ...]:
    """Return the parameters in the first line of *text*, a docstring of pybind11.

    >>> from_docstring("__init__(self: Gain, gain_db: float = 1.0) -> None")[0].default
    1.0
    """
    matches = re.findall(r"(\w+): ([^=,()]+?)(?: = ([^,)]+))?(?=[,)])", text.partition("\n")[0])
    return tuple(
        Parameter(name, _value(default), unit=unit_of(name))
        for name, _, default in matches
        if name != "self"
    )


def _value(text: str) -> Any:
    """Return the value of a default that pybind11 printed as *text*."""
    words: dict[str, Any] = {"": REQUIRED, "True": True, "False": False, "None": None}
    if text in words:
        return words[text]
    try:
        return float(text)
    except ValueError:
        return text
