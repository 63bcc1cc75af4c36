"""Germain, Chen and Koltun, "Speech denoising with deep feature losses", 2018 (arXiv:1806.10522).

The denoiser has 64 channels of 3 taps, dilated by 1, 2, 4 .. 4096, one more layer without dilation,
and a linear layer of one tap; leaky ReLU 0.2 and an adaptive norm a x + b BN(x), with a = 1 and
b = 0 at first. Its receptive field is 16385 samples, a second at 16 kHz, of which half lies in the
future, so it is not for live use. It has 0.16 M parameters at width 64.

The loss network (`LossNetwork`) has 14 layers of 3 taps that halve the time, 32 channels that
double every 5 layers, batch norm and leaky ReLU; a mean over time and a linear layer classify the
sound. The loss is the difference of its first 6 layers' activations, see train/losses/features.py.

TorchScript reads the annotations, so this file has no `annotations` from __future__.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .contract import Causal, Conv, Patches


class AdaptiveNorm(nn.Module):
    """The norm a x + b BN(x) with learned a and b (Chen, Xu and Koltun 2017)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, channels, n)."""
        y: Tensor = self.a * x + self.b * self.norm(x)
        return y


class GermainCore(nn.Module):
    """The denoiser, (B, 1, n) -> (B, 1, n) for any n.

    Args:
        width: Number of channels; 64 in the paper.
        dilations: Number of layers whose dilation doubles; 13 in the paper.
        causal: Whether an output depends on past input only; not in the paper.
    """

    def __init__(self, width: int = 64, dilations: int = 13, causal: bool = False) -> None:
        super().__init__()
        steps = [2**i for i in range(dilations)] + [1]
        inputs = [1] + [width] * dilations
        self.convs = nn.ModuleList(
            Conv(i, width, 3, dilation=d, causal=causal) for i, d in zip(inputs, steps, strict=True)
        )
        self.norms = nn.ModuleList(AdaptiveNorm(width) for _ in steps)
        self.last = nn.Conv1d(width, 1, 1)
        self.stride = 1
        self.receptive_field = 1 + 2 * sum(steps)
        # As in the paper's code, new layers are the identity of their channels: fourteen layers of
        # random filters would first have to learn to pass the voice.
        for name, parameter in self.convs.named_parameters():
            nn.init.normal_(parameter, std=0.02 if name.endswith("weight") else 0.0)
            if name.endswith("weight"):
                centre = 2 if causal else 1
                with torch.no_grad():
                    one = torch.eye(width) if parameter.shape[1] > 1 else torch.ones(width, 1)
                    parameter[:, :, centre] += one
        nn.init.constant_(self.last.weight, 1.0 / width)

    def forward(self, x: Tensor) -> Tensor:
        """Denoise sound (B, 1, n)."""
        y = x
        for conv, norm in zip(self.convs, self.norms):  # noqa: B905 - TorchScript has no strict
            y = functional.leaky_relu(norm(conv(y)), 0.2)
        out: Tensor = self.last(y)
        return out


class LossNetwork(nn.Module):
    """The classifier of the feature loss: (B, 1, n) -> scores of the labels (B, labels).

    Args:
        labels: Number of labels.
        base: Number of channels of the first layers; 32 in the paper's code.
        layers: Number of convolutions; 14 in the paper's code.
    """

    def __init__(self, labels: int, base: int = 32, layers: int = 14) -> None:
        super().__init__()
        sizes = [base * 2 ** (i // 5) for i in range(layers)]
        self.convs = nn.ModuleList(
            Conv(i, o, 3, 2) for i, o in zip([1, *sizes[:-1]], sizes, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(size) for size in sizes)
        self.last = nn.Linear(sizes[-1], labels)

    def activations(self, x: Tensor, layers: int) -> list[Tensor]:
        """Return the activations of the first *layers* layers."""
        outputs: list[Tensor] = []
        for conv, norm in list(zip(self.convs, self.norms, strict=True))[:layers]:
            if x.shape[2] % 2:
                x = functional.pad(x, (0, 1))
            x = functional.leaky_relu(norm(conv(x)), 0.2)
            outputs.append(x)
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        """Classify sound (B, 1, n): scores (B, labels)."""
        scores: Tensor = self.last(self.activations(x, len(self.convs))[-1].mean(2))
        return scores


def germain(
    width: int = 64,
    dilations: int = 13,
    causal: bool = False,
    window: int = 32_768,
    rate_hz: int = 16_000,
) -> Patches | Causal:
    """Make the denoiser; see `GermainCore` and `audiounet.audiounet` for the arguments."""
    core = GermainCore(width, dilations, causal)
    if causal:
        return Causal(core, window // 2, core.receptive_field, rate_hz)
    return Patches(core, window, window // 2, rate_hz)
