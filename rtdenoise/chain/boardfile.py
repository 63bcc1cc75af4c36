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
from . import recipe
from .board import Board, Mix
from .effect import Denoise, DryWet
from .registry import STRENGTH, kind, make


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
        if "\0" in text:
            raise UsageError(f"the board {path} is not UTF-8 (it may be UTF-16): save it as UTF-8")
        values = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"cannot read the board {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the board {path} is not UTF-8 ({error.reason}): save it as UTF-8"
        ) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"the board {path} is not TOML: {error}") from None
    return board_of(values, str(path))


def board_of(values: Mapping[str, Any], where: str) -> Board:
    """Return the board that *values*, what a board file holds, describes; see `open_board`.

    Args:
        values: The key `effect` with a list of tables.
        where: The place of the values, for messages.
    """
    if unknown := sorted(set(values) - {"effect"}):
        raise UsageError(f"{where}: unknown key {unknown[0]!r}; known: effect (as [[effect]])")
    return Board(_effects(values.get("effect", []), where))


def described(effect: Any) -> dict[str, Any]:
    """Return what a board file must hold for *effect* as it is set: the reverse of `board_of`.

    A VST3 gets its whole state. A board stands for its effects.

    Raises:
        UsageError: If an effect does not tell what it was made of.
    """
    if type(effect) is not Board:
        effect = Board([effect])
    return {"effect": [_table(one) for one in effect if one is not None]}


def save_board(effect: Any, path: str | Path) -> None:
    """Write a board file of *effect* as it is set; a file that is there is replaced.

    Raises:
        UsageError: If an effect does not tell what it was made of, or the file cannot be written.
    """
    text = tomli_w.dumps(described(effect))
    half = Path(f"{path}.part")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write the board {path}: {error.strerror}") from None


def _table(effect: Any) -> dict[str, Any]:
    """Return the table of one effect in a board file."""
    kept = recipe.of(effect)
    if isinstance(kept, recipe.Recipe):
        table = {"type": kept.kind, **kept.settings}
        if kept.inner is not None:
            table["effect"] = [_table(inner) for inner in effect if inner is not None]
        if kept.kind == "VST3":
            table |= {"path": str(Path(table["path"]).absolute()), "state": kept.state}
    elif isinstance(effect, Denoise):
        table = {"type": "Denoise", **effect.settings()}
    elif type(effect) in (Board, Mix, DryWet):
        table = {"type": type(effect).__name__, "effect": [_table(e) for e in effect.inner if e]}
        if isinstance(effect, DryWet):
            table |= {p.name: getattr(effect, p.name) for p in STRENGTH}
    else:
        table = _table_of_user(effect)
    return {key: getattr(v, "name", v) for key, v in table.items() if v is not None}


def _table_of_user(effect: Any) -> dict[str, Any]:
    """Return the table of an effect of the user's own, whose attributes tell its parameters."""
    maker = type(effect)
    place = f"{maker.__module__}:{maker.__name__}"
    names = [parameter.name for parameter in kind(place).parameters]
    if lacking := [name for name in names if not hasattr(effect, name)]:
        raise UsageError(f"{place} cannot be saved: it has no attribute {lacking[0]!r}")
    return {"type": place, **{name: getattr(effect, name) for name in names}}


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
