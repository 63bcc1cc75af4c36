"""Boards as TOML files: what effects in which order, with which parameters. Nothing is loaded here.

[[effect]]
type = "HighpassFilter"          # any pedalboard effect, by its name
cutoff_frequency_hz = 80

[[effect]]
type = "Denoise"
model = "speech"
atten_lim_db = 24

[[effect]]
type = "Mix"                     # its effects side by side, added up
[[effect.effect]]
type = "Gain"
[[effect.effect]]
type = "Reverb"
room_size = 0.2
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError

CONTAINERS = ("Mix", "Board")


@dataclass(frozen=True)
class EffectSettings:
    """One `[[effect]]` table.

    Attributes:
        type: Name of the effect.
        parameters: Everything else in the table.
        effects: The tables within, for a container.
    """

    type: str
    parameters: dict[str, Any]
    effects: tuple[EffectSettings, ...] = ()


def load_board(path: str | Path) -> tuple[EffectSettings, ...]:
    """Read a board file.

    Raises:
        UsageError: it cannot be read, is not TOML, has other keys than `effect`, or an effect
            without a type.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the board {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the board {path} is not TOML: {error}") from None
    if unknown := sorted(set(values) - {"effect"}):
        raise UsageError(f"{path}: unknown key {unknown[0]!r}; known: effect (as [[effect]])")
    return _effects(values.get("effect", []), str(path))


def _effects(tables: Any, where: str) -> tuple[EffectSettings, ...]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{where}: wanted [[effect]] with two brackets, a list of tables")
    found = []
    for number, table in enumerate(tables, 1):
        parameters = dict(table)
        kind = parameters.pop("type", None)
        if not isinstance(kind, str):
            raise UsageError(f'{where}, effect {number}: wanted type = "...", got {kind!r}')
        inner = parameters.pop("effect", [])
        if kind in CONTAINERS and parameters:
            raise UsageError(
                f"{where}, effect {number}: {kind} has no {sorted(parameters)[0]!r}; known: effect"
            )
        if kind not in CONTAINERS and inner:
            raise UsageError(
                f"{where}, effect {number}: {kind} holds no effects; {' and '.join(CONTAINERS)} do"
            )
        found.append(EffectSettings(kind, parameters, _effects(inner, f"{where}, effect {number}")))
    return tuple(found)
