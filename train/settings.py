"""Construction of settings dataclasses from the tables of a TOML file; unknown keys are errors."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from rtdenoise.errors import UsageError


def build(kind: type[Any], values: dict[str, Any], where: str = "") -> Any:
    """Make a dataclass of *kind* from *values*; tables inside become dataclasses too.

    Args:
        kind: The dataclass to make.
        values: Values by key; a key that is absent keeps its default.
        where: Prefix of the keys in messages, such as `optim.`.

    Raises:
        UsageError: a key is unknown (the message lists the known ones), or a value has another
            type than its default.
    """
    known = {f.name for f in fields(kind)}
    if unknown := sorted(set(values) - known):
        raise UsageError(f"unknown setting {where}{unknown[0]}; known: {', '.join(sorted(known))}")
    hints, ready = get_type_hints(kind), {}
    for name, value in values.items():
        hint = hints[name]
        if hint == dict[str, Any]:
            ready[name] = getattr(kind(), name) | value
        elif isinstance(hint, type) and is_dataclass(hint):
            if not isinstance(value, dict):
                raise UsageError(f"{where}{name} has to be a table, got {value!r}")
            ready[name] = build(hint, value, f"{where}{name}.")
        else:
            ready[name] = _fitted(value, getattr(kind(), name), f"{where}{name}")
    return kind(**ready)


def _fitted(value: Any, default: Any, where: str) -> Any:
    """Return *value* converted to the type of *default*, or refuse it."""
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        return tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        raise UsageError(f"{where} = {value!r}: wanted {type(default).__name__}")
    return value
