"""MU-GAN: Kim and Sathe, "Bandwidth extension on raw audio via GANs", ICLR submission of 2019.

arXiv:1903.09027. Generator: 27 taps, L down blocks (multiscale convolution, PReLU, superpixel), L
up blocks (multiscale convolution, dropout, PReLU, subpixel, stack), 27 taps, plus the input. A
multiscale convolution is four side by side, of 3, 9, 27 and 81 taps, stacked. The autoencoder of
the feature loss is the generator without any skip; its bottleneck is the feature.

The appendix that names the filters is empty in the copy we have. Here the level b has
min(2^(6+b), 512) channels after its superpixel, half of AudioUNet's. At depth 4 and width 1:
15.6 M parameters, receptive field 3813 samples; at depth 8: 149 M.

TorchScript reads the annotations, so this file has no `annotations` from __future__.
"""

import torch
from torch import Tensor, nn

from .contract import Causal, Conv, Patches, silence, subpixel, superpixel

TAPS = (3, 9, 27, 81)


class Multiscale(nn.Module):
    """Four convolutions side by side, (B, inputs, n) -> (B, outputs, n).

    Each length of filter gives a quarter of the outputs.
    """

    def __init__(self, inputs: int, outputs: int, causal: bool = False) -> None:
        super().__init__()
        if outputs % len(TAPS):
            raise ValueError(f"{outputs} outputs do not divide by {len(TAPS)} scales")
        each = outputs // len(TAPS)
        self.scales = nn.ModuleList(Conv(inputs, each, taps, causal=causal) for taps in TAPS)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
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
        """See the class."""
        return superpixel(self.bend(self.conv(x)))


class Up(nn.Module):
    """A block that doubles the time: (B, inputs, n) -> (B, outputs, 2 n)."""

    def __init__(self, inputs: int, outputs: int, dropout: float, causal: bool) -> None:
        super().__init__()
        self.conv, self.bend = Multiscale(inputs, 2 * outputs, causal), nn.PReLU()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return subpixel(self.bend(self.dropout(self.conv(x))))


def channel_counts(depth: int, width: float) -> list[int]:
    """Of every level after its superpixel, multiples of 8."""
    return [max(8, round(width * min(2 ** (6 + b), 512)) // 8 * 8) for b in range(depth)]


class MuGanCore(nn.Module):
    """The generator (B, 1, n) -> (B, 1, n); it starts as nearly the identity.

    Args:
        depth: L; 4 and 8 in the paper. `stride` is 2^L.
        width: Multiplier of all channels.
        dropout: In every up block.
        causal: Look back only.
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
        """(B, 1, n) -> the same."""
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
    """The generator without any skip; `encode` gives the features (B, C, n / 2^L).

    Args:
        depth: L; 4 in the paper, whatever the generator's is.
        width: Multiplier of all channels.
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
        # torch's own start takes 5 dB at each layer: without skips nothing arrives, and 500 steps
        # ended at the loss of silence.
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight, a=0.25)

    def encode(self, x: Tensor) -> Tensor:
        """(B, 1, n) -> (B, C, n / 2^L)."""
        y: Tensor = self.enter(x)
        for down in self.down:
            y = down(y)
        return y

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, n) -> the same, from its features alone."""
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
    """The generator in windows; see `audiounet.audiounet` for what the arguments mean."""
    core = MuGanCore(depth, width, dropout, causal)
    if causal:
        return Causal(core, window // 2, core.receptive_field + core.stride, rate_hz)
    return Patches(core, window, window // 2, rate_hz)
