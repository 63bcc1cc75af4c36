"""The parameters of the effects that run: a list of them with their ranges, and setting one.

A path names a parameter: `1/threshold_db` is one of the first effect of a board, `2/1/room_size`
one of the first effect within the second.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ..errors import UsageError, last_line
from . import native, vst3
from .board import Board
from .effect import Blended, Effect
from .parameter import Parameter, from_signature
from .registry import STRENGTH

# These change by how much a plugin is late, or begin a codec anew: only a new stage can heed them.
FIXED = {
    "BrickwallLimiter": {"lookahead_ms", "true_peak"},
    "MP3Compressor": {"vbr_quality"},
    "Resample": {"target_sample_rate", "quality"},
}


@dataclass(frozen=True)
class Control:
    """A parameter of an effect that runs.

    Attributes:
        path: The place of the effect on the board, and the name, as `1/threshold_db`.
        owner: The effect or plugin that has it.
        effect: Name of the effect.
        parameter: The name, the range and the unit.
    """

    path: str
    owner: Any
    effect: str
    parameter: Parameter

    @property
    def value(self) -> Any:
        """The value: a number, a truth value, None, or the name of a choice."""
        value = _value(self.owner, self.parameter.name)
        return value.name if hasattr(type(value), "__members__") else value

    @property
    def choices(self) -> list[str]:
        """The names of which the value is one. Empty: it is a number or a truth value."""
        if native.is_external(self.owner):
            return vst3.choices(self.owner, self.parameter.name)
        return list(getattr(type(_value(self.owner, self.parameter.name)), "__members__", ()))

    @property
    def kind(self) -> str:
        """Whether the value is a `float`, a `bool` or a `choice`."""
        if self.choices:
            return "choice"
        return "bool" if isinstance(self.value, bool) else "float"

    def as_dict(self) -> dict[str, Any]:
        """Return what a panel needs; numbers that JSON does not have are None."""
        return {
            "path": self.path,
            "effect": self.effect,
            "name": self.parameter.name,
            "value": _finite(self.value),
            "least": self.parameter.low,
            "most": self.parameter.high,
            "unit": self.parameter.unit,
            "kind": self.kind,
            "choices": self.choices,
        }

    def set(self, value: Any, rate: int) -> None:
        """Set the value while the effect runs in a stream of *rate* Hz.

        Raises:
            UsageError: If the value is none that the parameter can have; the message says which it
                can.
        """
        name = self.parameter.name
        if native.is_external(self.owner):
            vst3.set_value(self.owner, name, value)
            return
        if self.choices:
            value = native.choice(type(self.owner), self.effect, name, value)
        elif self.kind == "bool" and not isinstance(value, bool):
            raise UsageError(f"{self.effect}: {name} = {value!r}: wanted true or false")
        else:
            self.parameter.check(self.effect, value)
            self.parameter.check_at(self.effect, value, rate)
        try:
            setattr(self.owner, name, value)
        except (AttributeError, TypeError, ValueError, RuntimeError) as error:
            raise UsageError(
                f"{self.effect} refuses {name} = {value!r}: {last_line(error)}"
            ) from None


def controls(effect: Any) -> list[Control]:
    """Return every parameter of *effect* that may be set while it runs, in the order of the board.

    A board counts from 1, and so does a single effect, which is then the first.
    """
    outer = effect if isinstance(effect, Board) else [effect]
    return [each for at, one in enumerate(outer, 1) for each in _of(one, str(at))]


def find(effect: Any, path: str) -> Control:
    """Return the parameter of *effect* called *path*.

    Raises:
        UsageError: If there is none; the message lists those that there are.
    """
    known = {control.path: control for control in controls(effect)}
    if path in known:
        return known[path]
    near = get_close_matches(path, known, 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UsageError(f"there is no parameter {path!r}; known: {', '.join(known) or 'none'}.{hint}")


def _of(effect: Any, place: str) -> Iterator[Control]:
    """Yield the parameters of *effect*, which stands at *place*, and of those within it."""
    if effect is None:
        return
    name = effect.name if native.is_external(effect) else type(effect).__name__
    for parameter in _parameters(effect):
        if _settable(effect, parameter):
            yield Control(f"{place}/{parameter.name}", effect, name, parameter)
    inner = effect.inner if isinstance(effect, Effect) else ()
    if not isinstance(effect, Effect) and hasattr(effect, "__iter__"):
        inner = tuple(effect)
    for at, one in enumerate(inner, 1):
        yield from _of(one, f"{place}/{at}")


def _parameters(effect: Any) -> tuple[Parameter, ...]:
    """Return the parameters that *effect* has."""
    if native.is_external(effect):
        return vst3.parameters(effect)
    if not isinstance(effect, Effect):
        return native.parameters(type(effect))
    if isinstance(effect, Blended):
        return (*STRENGTH, *getattr(effect, "knobs", ()))  # a model may have parameters
    return type(effect).parameters or from_signature(type(effect))


def _value(effect: Any, name: str) -> Any:
    """Return the value of a parameter as the effect has it."""
    return vst3.value(effect, name) if native.is_external(effect) else getattr(effect, name)


def _settable(effect: Any, parameter: Parameter) -> bool:
    """Return whether a parameter is a value that may be set while the sound goes on."""
    name = parameter.name
    if native.is_external(effect):
        return True
    if not hasattr(effect, name) or name in FIXED.get(type(effect).__name__, ()):
        return False
    place = getattr(type(effect), name, None)
    if isinstance(place, property) and place.fset is None:
        return False
    value = getattr(effect, name)
    plain = value is None and parameter.is_number
    return plain or isinstance(value, bool | int | float) or hasattr(type(value), "__members__")


def names(effect: Any) -> list[str]:
    """Return the names of the effects on a board, or of the single effect."""
    outer = effect if isinstance(effect, Board) else [effect]
    return [type(one).__name__ for one in outer if one is not None]


def _finite(value: Any) -> Any:
    """Return *value*, or None in place of a number that JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
