"""The nets of a recipe, and what one step does to them."""

from __future__ import annotations

from rtdenoise.errors import UsageError

from .. import networks
from ..config import Recipe
from ..networks.protocol import TrainableOnSpectra, TrainableOnWaves
from ..team import Team
from .base import System
from .spectral import SpectralSystem


def make(recipe: Recipe, team: Team) -> System:
    """The recipe's net with new weights, and the kind of training that [train] names.

    Raises:
        UsageError: an unknown network or setting (the known ones are listed), a net of another
            sample rate than the data, or one that cannot be trained as [train] wants it.
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
    raise UsageError(
        f"{recipe.net['network']} cannot be trained on {recipe.train.on} (train.on); waves need a "
        "degradation too"
    )
