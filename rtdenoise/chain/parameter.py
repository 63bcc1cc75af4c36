"""Parameters of effects: their defaults, ranges and units, for board files and for panels."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError

REQUIRED = inspect.Parameter.empty  # the default of a parameter that has none
UNITS = {"hz": "Hz", "db": "dB", "ms": "ms", "seconds": "s", "s": "s", "semitones": "semitones"}


@dataclass(frozen=True)
class Parameter:
    """One parameter of an effect.

    Attributes:
        name: As in a board file and in the constructor.
        default: Its value when nobody gives one; `REQUIRED` where there is none.
        low: The smallest value. None: it has no range, or none that is known.
        high: The largest value. None: the same.
        unit: Of the value, as people write it; empty for a plain number or another thing.
        meaning: What the value does, for lists of effects.
    """

    name: str
    default: Any = REQUIRED
    low: float | None = None
    high: float | None = None
    unit: str = ""
    meaning: str = ""

    def check(self, effect: str, value: Any) -> None:
        """Refuse a number out of range.

        Raises:
            UsageError: it shows the range.
        """
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        low, high = self.low, self.high
        if (low is not None and value < low) or (high is not None and value > high):
            raise UsageError(f"{effect}: {self.name} = {value:g}: wanted {self.range}")

    @property
    def range(self) -> str:
        """The range with its unit; empty where none is known.

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
    """The unit that the end of a parameter's name says.

    >>> unit_of("cutoff_frequency_hz"), unit_of("ratio")
    ('Hz', '')
    """
    return UNITS.get(name.rpartition("_")[2], "")


def from_signature(maker: Any) -> tuple[Parameter, ...]:
    """The parameters of a Python class or function, from its signature.

    >>> from_signature(lambda cutoff_hz, order=4: None)[0].unit
    'Hz'
    """
    return tuple(
        Parameter(p.name, p.default, unit=unit_of(p.name))
        for p in inspect.signature(maker).parameters.values()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    )


def from_docstring(text: str) -> tuple[Parameter, ...]:
    """The parameters that the first line of a pybind11 docstring lists.

    >>> from_docstring("__init__(self: Gain, gain_db: float = 1.0) -> None")[0].default
    1.0
    """
    found = re.findall(r"(\w+): ([^=,()]+?)(?: = ([^,)]+))?(?=[,)])", text.partition("\n")[0])
    return tuple(
        Parameter(name, _value(default), unit=unit_of(name))
        for name, _, default in found
        if name != "self"
    )


def _value(text: str) -> Any:
    """A default as pybind11 prints it."""
    words: dict[str, Any] = {"": REQUIRED, "True": True, "False": False, "None": None}
    if text in words:
        return words[text]
    try:
        return float(text)
    except ValueError:
        return text
