"""From a recipe to what trains it."""

from __future__ import annotations

from typing import Any

from rtdenoise.errors import UsageError

from .config import Recipe
from .spectral import Spectral
from .spectral_system import SpectralSystem
from .team import Team
from .trainer import System


def network(recipe: Recipe) -> Any:
    """The recipe's net, with new weights.

    Raises:
        UsageError: an unknown network or setting; the known ones are listed.
    """
    settings = dict(recipe.net)
    name = settings.pop("network")
    if name != "spectral":
        raise UsageError(f"net.network = {name!r}; known: spectral")
    return Spectral(**settings)


def make(recipe: Recipe, team: Team) -> System:
    """Nets and what a step does to them."""
    return SpectralSystem(recipe, team, network(recipe))
