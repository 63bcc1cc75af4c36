"""The board that runs as the tables of a board file, which a page rearranges, and as TOML.

An effect is a table with its `type`, its settings, and under `effect` those within it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w

from ..chain.boardfile import SUFFIX
from ..errors import UsageError, printable
from ..sound.pending import Pending, exists_error, make_folder

Table = dict[str, Any]
STRENGTH = ("mix", "atten_lim_db", "residual")  # of a single model these are the run's own


def tables(effect: Table) -> list[Table]:
    """Return the effects of what runs, in order.

    Args:
        effect: What runs, as the control socket describes it.

    >>> tables({"type": "Denoise", "model": "speech", "mix": 60.0})
    [{'type': 'Denoise', 'model': 'speech'}]
    """
    if effect["type"] == "Board":
        return list(effect["effect"])
    if effect["type"] == "Denoise":
        return [{name: value for name, value in effect.items() if name not in STRENGTH}]
    return [effect]


def with_values(effects: list[Table], parameters: list[dict[str, Any]]) -> list[Table]:
    """Return *effects* with the values that the parameters of plugins from files have.

    A VST3 is described by its file alone, and its board file lists its parameters.
    """
    values: dict[str, Table] = {}
    for row in parameters:
        place, _, name = row["path"].rpartition("/")
        values.setdefault(place, {})[name] = row["value"]
    return [_filled(one, str(at), values) for at, one in enumerate(effects, 1)]


def _filled(one: Table, place: str, values: dict[str, Table]) -> Table:
    """Return the table of the effect at *place*, filled."""
    more = values.get(place, {}) if one["type"] == "VST3" else {}
    filled = one | {name: value for name, value in more.items() if value is not None}
    if "effect" in one:
        inner = [_filled(two, f"{place}/{at}", values) for at, two in enumerate(one["effect"], 1)]
        filled["effect"] = inner
    return filled


def toml(effects: Any) -> str:
    """Return the board file of *effects*, which came from a page.

    Raises:
        UsageError: If they are no list of tables, or hold what no TOML can.
    """
    if not isinstance(effects, list) or not all(isinstance(one, dict) for one in effects):
        raise UsageError("wanted a list of effects")
    try:
        return tomli_w.dumps({"effect": [_without_none(one) for one in effects]})
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"no board file can hold this: {printable(error)}") from None


def _without_none(table: Table) -> Table:
    """Return *table* without what is None: TOML has no such value, and it means the default."""
    kept = {name: value for name, value in table.items() if value is not None}
    if isinstance(kept.get("effect"), list):
        kept["effect"] = [_without_none(one) for one in kept["effect"] if isinstance(one, dict)]
    return kept


def save(effects: list[Table], path: str, overwrite: bool) -> Path:
    """Write a board file, whole or not at all, and return its absolute path.

    Raises:
        UsageError: If the name has another suffix than .toml.
        AudioError: If it exists, or cannot be written.
    """
    file = Path(path).expanduser().absolute()
    if file.suffix.lower() != SUFFIX:
        raise UsageError(f"{printable(path)}: wanted a name that ends in {SUFFIX}")
    if file.exists() and not overwrite:
        raise exists_error(str(file))
    text = toml(effects)
    make_folder(file.parent)
    with Pending(file, overwrite) as pending:
        pending.path.write_text(text, encoding="utf-8")
    return file
