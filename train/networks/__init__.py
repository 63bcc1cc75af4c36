"""The networks by name; each maker gives a module of the generator contract."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from rtdenoise.errors import UsageError

from .audiounet import audiounet
from .banded import Banded
from .extension import Extension
from .germain import germain
from .mugan import mugan
from .protocol import Trainable
from .segan import segan
from .spectral import Spectral

MAKERS: dict[str, Callable[..., Trainable]] = {
    "audiounet": audiounet,
    "banded": Banded,
    "extension": Extension,
    "germain": germain,
    "mugan": mugan,
    "segan": segan,
    "spectral": Spectral,
}


def make(network: str, **settings: Any) -> Trainable:
    """Make a generator with new weights.

    Args:
        network: Name of the network.
        settings: Arguments of its maker.

    Raises:
        UsageError: a name is unknown (the message lists the known ones), or a value is refused.
    """
    if network not in MAKERS:
        raise UsageError(f"net.network = {network!r}; known: {', '.join(sorted(MAKERS))}")
    known = inspect.signature(MAKERS[network]).parameters
    if unknown := sorted(set(settings) - set(known)):
        raise UsageError(f"unknown setting net.{unknown[0]}; {network} knows: {', '.join(known)}")
    try:
        return MAKERS[network](**settings)
    except (TypeError, ValueError) as error:
        raise UsageError(f"net: {network} refuses {settings}: {error}") from None
