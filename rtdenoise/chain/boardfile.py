"""Boards as TOML files: which effects in which order, with which parameters.

[[effect]]
type = "HighpassFilter"          # any effect of the registry, by its name
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

[[effect]]
type = "DryWet"                  # its effect, mixed with the aligned input
mix = 60
[[effect.effect]]
type = "my_effects:Gate"         # module:Class, an rtdenoise.Effect of yours
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .board import Board
from .registry import make


def open_board(path: str | Path) -> Board:
    """The board that a TOML file describes.

    Raises:
        UsageError: it cannot be read, is not TOML, has other keys than `effect`, or an unknown
            effect or parameter; the choices are listed.
        ModelError: a model that cannot be loaded.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the board {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the board {path} is not TOML: {error}") from None
    if unknown := sorted(set(values) - {"effect"}):
        raise UsageError(f"{path}: unknown key {unknown[0]!r}; known: effect (as [[effect]])")
    return Board(_effects(values.get("effect", []), str(path)))


def _effects(tables: Any, where: str) -> list[Any]:
    """The effects that a list of tables describes."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{where}: wanted [[effect]] with two brackets, a list of tables")
    found = []
    for number, table in enumerate(tables, 1):
        settings, here = dict(table), f"{where}, effect {number}"
        kind = settings.pop("type", None)
        if not isinstance(kind, str):
            raise UsageError(f'{here}: wanted type = "...", got {kind!r}')
        inner = _effects(settings.pop("effect", []), here)
        found.append(make(kind, settings, inner, f"{here}: "))
    return found
