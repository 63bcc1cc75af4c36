"""Small nets on spectra, each far from where it starts."""

from __future__ import annotations

from typing import Any

import torch

from train.networks.banded import Banded
from train.networks.extension import Extension
from train.networks.spectral import Spectral

SPECTRAL = {"hidden": 24, "layers": 2, "bands": 16, "low_bins": 16, "taps": 3}
BANDED = {"width": 8, "blocks": 2, "positions": 12, "heads": 2, "whole": 16, "bands": 16}
BANDED |= {"low_bins": 24, "fading": 8, "taps": 3}
EXTENSION = {"hidden": 24, "layers": 2, "bands": 24, "channels": 2}
# Class, settings, and by how much the weights are moved.
NETS: dict[str, tuple[Any, dict[str, int], float]] = {
    "flat": (Spectral, {**SPECTRAL, "deeper": 0}, 0.3),
    "deeper": (Spectral, {**SPECTRAL, "deeper": 2}, 0.3),
    "banded": (Banded, BANDED, 0.1),
    "extension": (Extension, EXTENSION, 0.1),
}


def shaken(name: str) -> Any:
    """The net *name* of `NETS`."""
    kind, settings, by = NETS[name]
    torch.manual_seed(0)
    net = kind(**settings)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return net
