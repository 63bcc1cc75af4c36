"""SEGAN: Pascual, Bonafonte and Serra, "Speech enhancement GAN", 2017 (arXiv:1703.09452).

    16384 samples, pre-emphasis 0.95 -> 11 convolutions of 31 taps, stride 2, PReLU,
    16 32 32 64 64 128 128 256 256 512 1024 channels -> + z, 1024 x 8 -> the mirror of it,
    transposed, every level stacked with that of the encoder -> tanh -> de-emphasis

It has 73.1 M parameters at width 1. A window is 16384 samples, a second at 16 kHz, so it is not for
live use. In training the latent z is drawn anew in every step. At inference z is constant, because
the host promises the same output for the same input; users report that the net learns to ignore z
(santi-pdp/segan issue 71).

TorchScript reads the annotations, so this file has no `annotations` from __future__.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .contract import Patches

MAPS = (16, 32, 32, 64, 64, 128, 128, 256, 256, 512, 1024)
TAPS = 31
EMPHASIS = 0.95
DECAY = 512  # taps of the de-emphasis; 0.95^512 is 4e-12


class Emphasis(nn.Module):
    """The pre-emphasis y[t] = x[t] - 0.95 x[t - 1] and its inverse, from silence."""

    def __init__(self) -> None:
        super().__init__()
        self.share, self.decay = EMPHASIS, DECAY

    def forward(self, x: Tensor) -> Tensor:
        """Apply the pre-emphasis to (B, 1, n)."""
        return x - self.share * functional.pad(x, (1, -1))

    def undo(self, y: Tensor) -> Tensor:
        """Apply the de-emphasis to (B, 1, n).

        1 / (1 - a z) = (1 + a z) (1 + a^2 z^2) (1 + a^4 z^4) ...: nine shifts make 512 taps.
        Autocast would round a convolution to bfloat16, which adds 26 dB of noise to low tones.
        """
        share, shift = self.share, 1
        while shift < self.decay:
            y = y + share * functional.pad(y, (shift, -shift))
            share, shift = share * share, 2 * shift
        return y


def encoder_sizes(width: float, maps: tuple[int, ...] = MAPS) -> list[int]:
    """Return the number of channels of every level."""
    return [max(1, round(width * size)) for size in maps]


class SeganCore(nn.Module):
    """The generator, (B, 1, n) -> (B, 1, n), n a multiple of `stride` (2048 with 11 levels).

    Args:
        width: Factor on the number of channels.
        levels: Number of levels of the encoder; 11 in the paper.
        window: Samples after which the z of inference repeats.
    """

    z: Tensor

    def __init__(self, width: float = 1.0, levels: int = 11, window: int = 16_384) -> None:
        super().__init__()
        sizes = encoder_sizes(width, MAPS[:levels])
        self.stride = 2**levels
        inputs = [1, *sizes[:-1]]
        self.down = nn.ModuleList(
            nn.Conv1d(i, o, TAPS, 2, TAPS // 2) for i, o in zip(inputs, sizes, strict=True)
        )
        self.bends = nn.ModuleList(nn.PReLU(size) for size in sizes)
        below, ups, up_bends = 2 * sizes[-1], [], []
        for output in reversed(inputs):
            ups.append(nn.ConvTranspose1d(below, output, TAPS, 2, TAPS // 2, 1))
            up_bends.append(nn.PReLU(output))
            below = 2 * output
        self.up, self.up_bends = nn.ModuleList(ups), nn.ModuleList(up_bends[:-1])
        seed = torch.Generator().manual_seed(0)
        self.register_buffer("z", torch.randn(1, sizes[-1], window // self.stride, generator=seed))
        self.emphasis = Emphasis()

    def forward(self, x: Tensor) -> Tensor:
        """Denoise sound (B, 1, n)."""
        y = self.emphasis(x)
        skips: list[Tensor] = []
        for conv, bend in zip(self.down, self.bends):  # noqa: B905 - TorchScript has no strict
            y = bend(conv(y))
            skips.append(y)
        code = skips.pop()
        if self.training:
            z = torch.randn_like(code)
        else:
            repeats = (code.shape[2] + self.z.shape[2] - 1) // self.z.shape[2]
            z = self.z.repeat(code.shape[0], 1, repeats)[:, :, : code.shape[2]]
        y = torch.cat([code, z], 1)
        for i, up in enumerate(self.up):
            y = up(y)
            if i < len(self.up) - 1:
                y = torch.cat([self.bend(i, y), skips.pop()], 1)
        return self.emphasis.undo(torch.tanh(y))

    def bend(self, level: int, y: Tensor) -> Tensor:
        """Apply the PReLU of a decoder level; TorchScript cannot index modules by a variable."""
        for i, bend in enumerate(self.up_bends):
            if i == level:
                y = bend(y)
        return y


def segan(
    width: float = 1.0, levels: int = 11, window: int = 16_384, rate_hz: int = 16_000
) -> Patches:
    """Make the generator; see `SeganCore` and `audiounet.audiounet` for the arguments."""
    return Patches(SeganCore(width, levels, window), window, window // 2, rate_hz)
