"""Feature losses: differences of two sounds in the activations of a net trained beforehand.

Kim and Sathe 2019 take the mean squared difference at the bottleneck of an autoencoder, which needs
no labels. Germain, Chen and Koltun 2018 take the first layers of a classifier: the L1 difference of
each, divided by that layer's mean loss. train/run/pretrain.py trains both nets; here they are
frozen.
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
    """Divide both (B, n) by the reference's RMS: the feature nets were trained at that level."""
    rms = (reference**2).mean(1, keepdim=True).sqrt().clamp(min=1e-4)
    return estimate / rms, reference / rms


class AutoencoderFeatures(nn.Module):
    """The feature loss of an autoencoder: the squared difference at its bottleneck.

    It is relative to the energy of the reference's features, unlike in the paper, so that a
    weight in a recipe does not depend on the scale of the autoencoder's features.

    Args:
        net: The trained autoencoder.
    """

    def __init__(self, net: Autoencoder) -> None:
        super().__init__()
        self.net = net.requires_grad_(False).eval()

    def forward(self, estimate: Tensor, reference: Tensor) -> Tensor:
        """Compute the loss of waveforms (B, n) as a scalar."""
        estimate, reference = at_level(*sounding(estimate, reference))
        if not len(reference):
            return 0.0 * estimate.sum()
        features = self.net.encode(reference[:, None]).float()
        difference = ((self.net.encode(estimate[:, None]).float() - features) ** 2).mean()
        return difference / (features**2).mean().clamp(min=1e-12)


class GermainFeatures(nn.Module):
    """The feature loss of Germain et al. 2018: L1 differences of a classifier's first layers.

    The difference of each layer is divided by the mean that it had during a warm-up.

    Args:
        net: The trained classifier.
        warmup_steps: Length of the warm-up, in which the differences are measured and have weight
            one; the paper has 10 epochs.
    """

    def __init__(self, net: LossNetwork, warmup_steps: int = 100) -> None:
        super().__init__()
        self.net, self.warmup_steps = net.requires_grad_(False).eval(), warmup_steps
        self.usual: Tensor
        self.seen: Tensor
        self.register_buffer("usual", torch.zeros(GERMAIN_LAYERS))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, estimate: Tensor, reference: Tensor) -> Tensor:
        """Compute the loss of waveforms (B, n) as a scalar."""
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
    """Load a frozen feature loss from a file that `pretrain` wrote.

    Args:
        kind: autoencoder or germain.
        path: File with the weights.
        warmup_steps: Length of the warm-up of `GermainFeatures`.

    Raises:
        UsageError: the kind is unknown, the file does not exist or holds the other kind.
    """
    if kind not in ("autoencoder", "germain"):
        raise UsageError(
            f"objective.features_from = {kind!r}; known: autoencoder, germain, discriminator"
        )
    if not Path(path).is_file():
        raise ArgumentError(
            f"there are no weights of {kind} in {path!r} (objective.features_file)",
            "features_file",
        )
    saved = torch.load(path, weights_only=True)
    if saved["kind"] != kind:
        raise UsageError(f"{path} holds a {saved['kind']}, but the recipe asks for a {kind}")
    net = feature_net(kind, saved["settings"])
    net.load_state_dict(saved["net"])
    if isinstance(net, Autoencoder):
        return AutoencoderFeatures(net)
    return GermainFeatures(net, warmup_steps)


def feature_net(kind: str, settings: dict[str, Any]) -> Autoencoder | LossNetwork:
    """Make a feature net with new weights: the autoencoder, or else Germain's classifier."""
    return Autoencoder(**settings) if kind == "autoencoder" else LossNetwork(**settings)
