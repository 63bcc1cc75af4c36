"""From a recipe to what trains it."""

from __future__ import annotations

from typing import Any

from rtdenoise.errors import UsageError

from .. import networks
from ..config import Recipe
from ..team import Team
from .base import System
from .spectral import SpectralSystem


def network(recipe: Recipe) -> Any:
    """The recipe's net, with new weights.

    Raises:
        UsageError: an unknown network or setting; the known ones are listed.
    """
    return networks.make(**recipe.net)


def make(recipe: Recipe, team: Team) -> System:
    """Nets and what a step does to them."""
    net = network(recipe)
    if hasattr(net, "decide_all") and not recipe.degradation:  # they train on spectra
        return SpectralSystem(recipe, team, net)
    if not recipe.degradation:
        raise UsageError(
            f"{recipe.net['network']} trains on waveforms: say what to undo, as in "
            'degradation = "lowpass 2500..8000"'
        )
    from .wave import WaveSystem  # its packages are not needed to train on spectra

    return WaveSystem(recipe, team, net)
