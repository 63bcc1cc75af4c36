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

`described` and `save_board` go the other way: they say what makes a board as it is set.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from ..errors import UsageError
from .board import Board
from .describe import describe, unnamed
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
    return board_from(values, where)


def board_from(values: Mapping[str, Any], where: str) -> Board:
    """Return the board that *values*, what a board file holds, describes; see `open_board`.

    Args:
        values: The key `effect` with a list of tables.
        where: The place of the values, for messages.
    """
    if unknown := sorted(set(values) - {"effect"}):
        raise UsageError(f"{where}: unknown key {unknown[0]!r}; known: effect (as [[effect]])")
    return Board(_effects(values.get("effect", []), where))


def described(effect: Any) -> dict[str, Any]:
    """Return what a board file must hold for *effect* as it is set: the reverse of `board_from`.

    A board stands for its effects.

    Raises:
        UsageError: If an effect does not tell what it was made of.
    """
    if type(effect) is not Board:
        effect = Board([effect])
    for card in unnamed(effect):
        raise UsageError(f"the net {card.name!r} was loaded by hand: it has no name")
    return {"effect": [describe(one) for one in effect if one is not None]}


def save_board(effect: Any, path: str | Path) -> None:
    """Write a board file of *effect* as it is set; a file that is there is replaced.

    Raises:
        UsageError: If an effect does not tell what it was made of, or the file cannot be written.
    """
    try:
        text = tomli_w.dumps(described(effect))
    except TypeError as error:
        raise UsageError(f"an effect cannot be saved in a board file: {error}") from None
    half = Path(f"{path}.part")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write the board {path}: {error.strerror}") from None


def _effects(tables: Any, where: str) -> list[Any]:
    """Return the effects that *tables*, a list of tables, describes."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{where}: wanted [[effect]] with two brackets, a list of tables")
    effects = []
    for number, table in enumerate(tables, 1):
        settings, here = dict(table), f"{where}, effect {number}"
        name = settings.pop("type", None)
        if not isinstance(name, str):
            raise UsageError(f'{here}: wanted type = "...", got {name!r}')
        inner = _effects(settings.pop("effect", []), here)
        effects.append(make(name, settings, inner, f"{here}: "))
    return effects
