"""Training systems: the nets of a recipe, their losses and optimisers, and the training step."""

from __future__ import annotations

from rtdenoise.errors import UsageError

from .. import networks
from ..config import Recipe
from ..networks.extension import Extension
from ..networks.protocol import TrainableOnSpectra, TrainableOnWaves
from ..team import Team
from .base import System
from .extension import ExtensionSystem
from .spectral import SpectralSystem


def make(recipe: Recipe, team: Team) -> System:
    """Make the system of a recipe: its net with new weights, trained as [train] says.

    Raises:
        UsageError: a network or setting is unknown (the message lists the known ones), the net has
            another sample rate than the data, or it cannot be trained in this way.
    """
    net = networks.make(**recipe.net)
    if net.rate_hz != recipe.data.rate_hz:
        raise UsageError(
            f"the net {recipe.net['network']} works at {net.rate_hz} Hz, but data.rate_hz = "
            f"{recipe.data.rate_hz}: its recordings would sound too fast or too slow"
        )
    if recipe.train.on == "waves" and isinstance(net, TrainableOnWaves):
        from .wave import WaveSystem  # its packages are not needed to train on spectra

        return WaveSystem(recipe, team, net)
    if recipe.train.on == "spectra" and isinstance(net, TrainableOnSpectra):
        return SpectralSystem(recipe, team, net)
    if recipe.train.on == "envelopes" and isinstance(net, Extension):
        return ExtensionSystem(recipe, team, net)
    raise UsageError(
        f"{recipe.net['network']} cannot be trained on {recipe.train.on} (train.on); waves need a "
        "degradation too"
    )
