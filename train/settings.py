"""Dataclasses of settings from the tables of a TOML file: an unknown key is an error."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from rtdenoise.errors import UsageError


def build(kind: type[Any], values: dict[str, Any], where: str = "") -> Any:
    """Make a dataclass of *kind* from *values*, all the way down.

    Raises:
        UsageError: an unknown key (it lists the known ones) or a value of another type.
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
                raise UsageError(f"{where}{name} is a table, got {value!r}")
            ready[name] = build(hint, value, f"{where}{name}.")
        else:
            ready[name] = _fitted(value, getattr(kind(), name), f"{where}{name}")
    return kind(**ready)


def _fitted(value: Any, default: Any, where: str) -> Any:
    """*value* as the type of *default*."""
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        return tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        raise UsageError(f"{where} = {value!r}: wanted {type(default).__name__}")
    return value
