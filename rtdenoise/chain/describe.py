"""An effect as plain data, as in a board file, from which another process makes the same effect."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import Problem, UsageError
from ..nets.card import Card
from . import native, recipe
from .board import Board, Mix, within
from .effect import Blended, Denoise, DryWet, Effect
from .parameter import from_signature
from .registry import OURS, make

CONTAINERS = {"Pedalboard": "Board", "Chain": "Board", "Mix": "Mix"}  # of pedalboard
FOREIGN = ("VST3",)
OUR_NAMES = {kind.name for kind in OURS}


def describe(effect: Any) -> dict[str, Any]:
    """Return an effect, as it is set, as the table of a board file that describes it.

    A net that was loaded by hand has no model. Settings that are None are left out. A VST3 has its
    whole state.

    Raises:
        UsageError: If the effect does not tell what it was made of.
    """
    if native.is_plugin(effect):
        return _of_recipe(recipe.of(effect))
    if type(effect) not in (Denoise, DryWet, Board, Mix):
        return _of_user(effect)
    table: dict[str, Any] = {"type": type(effect).__name__}
    if isinstance(effect, Blended):
        table |= effect.settings()
    if isinstance(effect, DryWet | Board):
        table["effect"] = [describe(inner) for inner in effect.inner if inner is not None]
    return _plain(table.items())


def _plain(settings: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return settings as a file can hold them: choices by their names, and without None."""
    chosen = {key: value for key, value in settings if value is not None}
    return {
        key: value.name if hasattr(type(value), "__members__") else value
        for key, value in chosen.items()
    }


def _of_recipe(made: recipe.Recipe) -> dict[str, Any]:
    """Return the table of a native plugin."""
    table: dict[str, Any] = {"type": CONTAINERS.get(made.kind, made.kind)}
    table |= _plain(made.settings.items())
    if made.kind in FOREIGN:
        table |= {"path": str(Path(table["path"]).absolute()), "state": made.state}
    if made.inner is not None:
        table["effect"] = [_of_recipe(inner) for inner in made.inner]
    return table


def _of_user(effect: Effect) -> dict[str, Any]:
    """Return the table of a user's effect, if it keeps its parameters under their names."""
    kind = type(effect)
    parameters = kind.parameters or from_signature(kind)
    ours = kind.__module__.startswith(f"{__package__}.") and kind.__name__ in OUR_NAMES
    place = kind.__name__ if ours else f"{kind.__module__}:{kind.__qualname__}"
    if lacking := [p.name for p in parameters if not hasattr(effect, p.name)]:
        raise UsageError(f"{place} does not tell its {lacking[0]}: keep it as an attribute")
    return {"type": place} | _plain((p.name, getattr(effect, p.name)) for p in parameters)


def models(effect: Any) -> list[Denoise]:
    """Return the effects with a model in *effect*, in the order of the sound."""
    return [part for part in within(effect) if isinstance(part, Denoise)]


def cards(effect: Any) -> list[Card]:
    """Return the cards of the models of an effect, in the order of the sound."""
    return [model.net.card for model in models(effect)]


def unnamed(effect: Any) -> list[Card]:
    """Return the cards of the models that were loaded by hand, and which no file can name."""
    return [model.net.card for model in models(effect) if model.model is None]


def effect_of(table: dict[str, Any], where: str) -> Any:
    """Return the effect that *table* describes; it may come from a stranger.

    Args:
        table: What `describe` returned.
        where: Where the table is from, for error messages.

    Raises:
        UsageError: If the table describes no effect, or one whose program is not rtdenoise's or
            pedalboard's, and would have to be run to make it.
        ModelError: If a model cannot be loaded.
    """
    settings = dict(table)
    kind, inner = settings.pop("type", None), settings.pop("effect", [])
    if not isinstance(kind, str) or not isinstance(inner, list):
        raise UsageError(f"{where}: wanted a table with the type of an effect")
    if kind in FOREIGN or ":" in kind:
        text = f"{where}: {kind} is a program of somebody, which is not run unasked"
        raise UsageError(text, Problem.NO_MODEL)
    if not all(isinstance(part, dict) for part in inner):
        raise UsageError(f"{where}: wanted a list of tables in {kind}")
    return make(kind, settings, [effect_of(part, where) for part in inner], f"{where}: ")
