"""MU-GAN: Kim and Sathe, "Bandwidth extension on raw audio via GANs", ICLR submission of 2019.

arXiv:1903.09027. The generator has a convolution of 27 taps, L down blocks (multiscale convolution,
PReLU, superpixel), L up blocks (multiscale convolution, dropout, PReLU, subpixel, stack), another
convolution of 27 taps, and adds the input. A multiscale convolution stacks four parallel ones of 3,
9, 27 and 81 taps. The autoencoder of the feature loss is the generator without skips; its
bottleneck is the feature.

The appendix with the numbers of filters was empty in the copy used here. So level b has
min(2^(6+b), 512) channels after its superpixel, half of AudioUNet's. Depth 4 and width 1 have
15.6 M parameters and a receptive field of 3813 samples; depth 8 has 149 M parameters.

TorchScript reads the annotations, so this file has no `annotations` from __future__.
"""

import torch
from torch import Tensor, nn

from .contract import Causal, Conv, Patches, silence, subpixel, superpixel

TAPS = (3, 9, 27, 81)


class Multiscale(nn.Module):
    """Four parallel convolutions of different lengths, each with a quarter of the outputs.

    Args:
        inputs: Number of input channels.
        outputs: Number of output channels, a multiple of four.
        causal: Whether an output depends on past input only.
    """

    def __init__(self, inputs: int, outputs: int, causal: bool = False) -> None:
        super().__init__()
        if outputs % len(TAPS):
            raise ValueError(f"{outputs} outputs are not a multiple of {len(TAPS)} scales")
        each = outputs // len(TAPS)
        self.scales = nn.ModuleList(Conv(inputs, each, taps, causal=causal) for taps in TAPS)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, inputs, n) to (B, outputs, n)."""
        parts: list[Tensor] = []
        for scale in self.scales:
            parts.append(scale(x))
        return torch.cat(parts, 1)


class Down(nn.Module):
    """A block that halves the time: (B, inputs, n) -> (B, outputs, n / 2)."""

    def __init__(self, inputs: int, outputs: int, causal: bool) -> None:
        super().__init__()
        self.conv, self.bend = Multiscale(inputs, outputs // 2, causal), nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, n) to (B, outputs, n / 2)."""
        return superpixel(self.bend(self.conv(x)))


class Up(nn.Module):
    """A block that doubles the time: (B, inputs, n) -> (B, outputs, 2 n)."""

    def __init__(self, inputs: int, outputs: int, dropout: float, causal: bool) -> None:
        super().__init__()
        self.conv, self.bend = Multiscale(inputs, 2 * outputs, causal), nn.PReLU()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, n) to (B, outputs, 2 n)."""
        return subpixel(self.bend(self.dropout(self.conv(x))))


def channel_counts(depth: int, width: float) -> list[int]:
    """Return the number of channels of every level after its superpixel, multiples of 8."""
    return [max(8, round(width * min(2 ** (6 + b), 512)) // 8 * 8) for b in range(depth)]


class MuGanCore(nn.Module):
    """The generator, (B, 1, n) -> (B, 1, n); new weights make it almost the identity.

    Args:
        depth: Number of levels L; 4 and 8 in the paper. The stride is 2^L samples.
        width: Factor on the number of channels.
        dropout: Share of the activations that every up block sets to zero while training.
        causal: Whether an output depends on past input only.
    """

    def __init__(
        self, depth: int = 4, width: float = 1.0, dropout: float = 0.2, causal: bool = False
    ) -> None:
        super().__init__()
        sizes = channel_counts(depth, width)
        first = sizes[0] // 2
        self.stride = 2**depth
        self.enter = Conv(1, first, 27, causal=causal)
        inputs = [first, *sizes[:-1]]
        self.down = nn.ModuleList(Down(i, o, causal) for i, o in zip(inputs, sizes, strict=True))
        below, ups = sizes[-1], []
        for skip in reversed(inputs):
            ups.append(Up(below, skip, dropout, causal))
            below = 2 * skip
        self.up = nn.ModuleList(ups)
        self.leave = Conv(below, 1, 27, causal=causal)
        silence(self.leave)
        reach = (max(TAPS) - 1) * (2 ** (depth + 1) - 1 + 2**depth)
        self.receptive_field = 1 + 2 * 26 + reach

    def forward(self, x: Tensor) -> Tensor:
        """Restore sound (B, 1, n), n a multiple of the stride."""
        y = self.enter(x)
        skips: list[Tensor] = []
        for down in self.down:
            skips.append(y)
            y = down(y)
        for up in self.up:
            y = torch.cat([up(y), skips.pop()], 1)
        out: Tensor = x + self.leave(y)
        return out


class Autoencoder(nn.Module):
    """The generator without skips, whose bottleneck is the feature (B, C, n / 2^L) of a loss.

    Args:
        depth: Number of levels L; 4 in the paper, whatever the generator's depth is.
        width: Factor on the number of channels.
    """

    def __init__(self, depth: int = 4, width: float = 1.0) -> None:
        super().__init__()
        sizes = channel_counts(depth, width)
        first = sizes[0] // 2
        inputs = [first, *sizes[:-1]]
        self.stride = 2**depth
        self.enter = Conv(1, first, 27)
        self.down = nn.ModuleList(Down(i, o, False) for i, o in zip(inputs, sizes, strict=True))
        outputs = list(reversed(inputs))
        self.up = nn.ModuleList(
            Up(i, o, 0.0, False) for i, o in zip([sizes[-1], *outputs], outputs, strict=False)
        )
        self.leave = Conv(first, 1, 27)
        # With torch's initialisation each layer attenuates by 5 dB. Without skips nothing reached
        # the output: after 500 steps the loss was that of silence.
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight, a=0.25)

    def encode(self, x: Tensor) -> Tensor:
        """Compute the features (B, C, n / 2^L) of sound (B, 1, n)."""
        y: Tensor = self.enter(x)
        for down in self.down:
            y = down(y)
        return y

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct sound (B, 1, n) from its features."""
        y = self.encode(x)
        for up in self.up:
            y = up(y)
        out: Tensor = self.leave(y)
        return out


def mugan(
    depth: int = 4,
    width: float = 1.0,
    dropout: float = 0.2,
    causal: bool = False,
    window: int = 2048,
    rate_hz: int = 16_000,
) -> Patches | Causal:
    """Make the generator; see `MuGanCore` and `audiounet.audiounet` for the arguments."""
    core = MuGanCore(depth, width, dropout, causal)
    if causal:
        return Causal(core, window // 2, core.receptive_field + core.stride, rate_hz)
    return Patches(core, window, window // 2, rate_hz)
