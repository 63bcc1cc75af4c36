"""Board files: TOML that lists the effects of a board in order, with their parameters.

[[effect]]
type = "HighpassFilter"          # the name of any effect of the registry
cutoff_frequency_hz = 80

[[effect]]
type = "Denoise"
model = "speech"
atten_lim_db = 24

[[effect]]
type = "Mix"                     # it adds up the effects within it
[[effect.effect]]
type = "Gain"
[[effect.effect]]
type = "Reverb"
room_size = 0.2

[[effect]]
type = "DryWet"                  # it mixes its effect with the aligned input
mix = 60
[[effect.effect]]
type = "my_effects:Gate"         # module:Class names your own rtdenoise.Effect
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .board import Board
from .registry import make

SUFFIX = ".toml"


def open_board(path: str | Path) -> Board:
    """Return the board that the TOML file *path* describes.

    Raises:
        UsageError: If the file cannot be read, is not TOML in UTF-8, has other keys than `effect`,
            or has an unknown effect or parameter; the message lists the choices, and says which
            effect of the file it is about.
        ModelError: If a model cannot be loaded.
    """
    try:  # Windows' editors put a byte order mark before UTF-8
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read the board {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the board {path} is not UTF-8 ({error.reason}): save it as UTF-8"
        ) from None
    if "\0" in text:
        raise UsageError(f"the board {path} is not UTF-8 (it may be UTF-16): save it as UTF-8")
    board = board_of(text, str(path))
    board.file = Path(path).absolute()
    return board


def board_of(text: str, where: str = "the board") -> Board:
    """Return the board that TOML describes; see `open_board`.

    Args:
        text: The TOML.
        where: What error messages call it.
    """
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        named = where if where == "the board" else f"the board {where}"
        raise UsageError(f"{named} is not TOML: {error}") from None
    if unknown := sorted(set(values) - {"effect"}):
        raise UsageError(f"{where}: unknown key {unknown[0]!r}; known: effect (as [[effect]])")
    return Board(_effects(values.get("effect", []), where))


def _effects(tables: Any, where: str) -> list[Any]:
    """Return the effects that *tables*, a list of tables, describes."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{where}: wanted [[effect]] with two brackets, a list of tables")
    effects = []
    for number, table in enumerate(tables, 1):
        settings, here = dict(table), f"{where}, effect {number}"
        kind = settings.pop("type", None)
        if not isinstance(kind, str):
            raise UsageError(f'{here}: wanted type = "...", got {kind!r}')
        inner = _effects(settings.pop("effect", []), here)
        effects.append(make(kind, settings, inner, f"{here}: "))
    return effects
