"""Feature losses: how differently a net that was trained for something else hears two sounds.

Kim and Sathe 2019: an autoencoder's bottleneck, mean squared difference; it needs no labels.
Germain, Chen and Koltun 2018: the first layers of a classifier, L1 difference of each over that
layer's usual loss. Both nets are trained before, by train/run/pretrain.py, and frozen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rtdenoise.errors import UsageError

from ..errors import ArgumentError
from ..networks.germain import LossNetwork
from ..networks.mugan import Autoencoder
from .wave import sounding

GERMAIN_LAYERS = 6


def at_level(estimate: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Both (B, n) over the reference's RMS: the feature nets have heard no other level."""
    rms = (reference**2).mean(1, keepdim=True).sqrt().clamp(min=1e-4)
    return estimate / rms, reference / rms


class AutoencoderFeatures(nn.Module):
    """The feature loss of an autoencoder: the squared difference at its bottleneck.

    It is relative to the energy of the reference's features.

    The paper does not divide: its features have the scale its training gave them. Here the weight
    in a recipe means the same whatever the autoencoder's scale is.
    """

    def __init__(self, net: Autoencoder) -> None:
        super().__init__()
        self.net = net.requires_grad_(False).eval()

    def forward(self, estimate: Tensor, reference: Tensor) -> Tensor:
        """(B, n), (B, n) -> scalar."""
        estimate, reference = at_level(*sounding(estimate, reference))
        if not len(reference):
            return 0.0 * estimate.sum()
        wanted = self.net.encode(reference[:, None]).float()
        difference = ((self.net.encode(estimate[:, None]).float() - wanted) ** 2).mean()
        return difference / (wanted**2).mean().clamp(min=1e-12)


class GermainFeatures(nn.Module):
    """The feature loss of Germain's classifier: the L1 differences of its first layers.

    Each is divided by its usual size.

    Args:
        net: The classifier.
        warmup_steps: In which the weights are 1, and the mean losses are measured (10 epochs in the
            paper).
    """

    def __init__(self, net: LossNetwork, warmup_steps: int = 100) -> None:
        super().__init__()
        self.net, self.warmup_steps = net.requires_grad_(False).eval(), warmup_steps
        self.usual: Tensor
        self.seen: Tensor
        self.register_buffer("usual", torch.zeros(GERMAIN_LAYERS))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, estimate: Tensor, reference: Tensor) -> Tensor:
        """(B, n), (B, n) -> scalar."""
        estimate, reference = at_level(*sounding(estimate, reference))
        if not len(reference):
            return 0.0 * estimate.sum()
        pairs = zip(
            self.net.activations(estimate[:, None], GERMAIN_LAYERS),
            self.net.activations(reference[:, None], GERMAIN_LAYERS),
            strict=True,
        )
        losses = torch.stack([(a - b).abs().float().mean() for a, b in pairs])
        if self.seen < self.warmup_steps:
            self.seen += 1
            self.usual += (losses.detach() - self.usual) / self.seen
            return losses.sum()
        return (losses / self.usual.clamp(min=1e-12)).sum()


def load(kind: str, path: str, warmup_steps: int = 100) -> nn.Module:
    """A frozen feature loss (estimate, reference) -> scalar from a file `pretrain` wrote.

    Raises:
        UsageError: no such file or kind, or it holds the other kind.
    """
    if kind not in ("autoencoder", "germain"):
        raise UsageError(
            f"objective.features_from = {kind!r}; known: autoencoder, germain, discriminator"
        )
    if not Path(path).is_file():
        raise ArgumentError(
            f"no weights of {kind} in {path!r} (objective.features_file)", "features_file"
        )
    saved = torch.load(path, weights_only=True)
    if saved["kind"] != kind:
        raise UsageError(f"{path} holds a {saved['kind']}, the recipe wants a {kind}")
    net = feature_net(kind, saved["settings"])
    net.load_state_dict(saved["net"])
    if isinstance(net, Autoencoder):
        return AutoencoderFeatures(net)
    return GermainFeatures(net, warmup_steps)


def feature_net(kind: str, settings: dict[str, Any]) -> Autoencoder | LossNetwork:
    """A feature net with new weights: autoencoder, or else germain's classifier."""
    return Autoencoder(**settings) if kind == "autoencoder" else LossNetwork(**settings)
