"""AudioUNet: Kuleshov, Enam and Ermon, "Audio super-resolution using neural nets", 2017.

    x (B, 1, n) -> D down blocks, n halves, 128 256 512 512 .. filters, kernels 65 33 17 9 ..
                -> bottleneck, 512 filters of 9 -> D up blocks: conv, dropout, ReLU, subpixel, stack
                -> 2 filters of 9, subpixel -> + x

arXiv:1708.00853. The paper's formulas have max(2^(6+b), 512) filters and min(2^(7-b) + 1, 9) taps,
but its text and code have min and max, as here. Batch norm is commented out in its code, and left
out here. With width 1:

| depth | parameters | receptive field | stride |
|---|---|---|---|
| 4 | 56.4 M | 1425 samples | 32 |
| 8 | 103.6 M | 12945 samples | 512 |

TorchScript reads the annotations, so this file has no `annotations` from __future__.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .contract import Causal, Conv, Patches, silence, subpixel


class AudioUNetCore(nn.Module):
    """The AudioUNet itself, (B, 1, n) -> (B, 1, n) with n a multiple of `stride`.

    New weights make it almost the identity.

    Args:
        depth: Number of down blocks; 4 and 8 in the paper.
        width: Factor on the number of filters; 1 is the paper's.
        dropout: Share of the activations set to zero after the bottleneck and in every up block
            while training; 0.5 in the paper.
        causal: Whether an output depends on past input only.
    """

    def __init__(
        self, depth: int = 4, width: float = 1.0, dropout: float = 0.5, causal: bool = False
    ) -> None:
        super().__init__()
        sizes = [max(2, round(width * min(2 ** (7 + b), 512)) // 2 * 2) for b in range(depth)]
        kernels = [max(2 ** (6 - b) + 1, 9) for b in range(depth)]
        self.stride = 2 ** (depth + 1)
        inputs = [1, *sizes[:-1]]
        self.down = nn.ModuleList(
            Conv(i, o, k, 2, causal=causal) for i, o, k in zip(inputs, sizes, kernels, strict=True)
        )
        self.bottleneck = Conv(sizes[-1], sizes[-1], kernels[-1], 2, causal=causal)
        below = sizes[-1]
        ups = []
        for size, kernel in zip(reversed(sizes), reversed(kernels), strict=True):
            ups.append(Conv(below, 2 * size, kernel, causal=causal))
            below = 2 * size  # channels of the up block, stacked with those of the skip
        self.up = nn.ModuleList(ups)
        self.last = Conv(below, 2, 9, causal=causal)
        silence(self.last)
        self.dropout = nn.Dropout(dropout)
        self.receptive_field = self._reach(kernels)

    def _reach(self, kernels: list[int]) -> int:
        """Return the receptive field in samples: each kernel reaches k - 1 steps of its level.

        A block starts at a multiple of the stride, which adds at most half a stride.
        """
        depth = len(kernels)
        down = sum((k - 1) * 2**b for b, k in enumerate(kernels))
        bottleneck = (kernels[-1] - 1) * 2**depth
        up = sum((k - 1) * 2 ** (b + 2) for b, k in enumerate(kernels))
        return int(1 + down + bottleneck + up + (9 - 1) * 2)

    def forward(self, x: Tensor) -> Tensor:
        """Restore sound (B, 1, n)."""
        y = x
        skips: list[Tensor] = []
        for down in self.down:
            y = functional.leaky_relu(down(y), 0.2)
            skips.append(y)
        y = functional.leaky_relu(self.dropout(self.bottleneck(y)), 0.2)
        for up in self.up:
            y = subpixel(torch.relu(self.dropout(up(y))))
            y = torch.cat([y, skips.pop()], 1)
        return x + subpixel(self.last(y))


def audiounet(
    depth: int = 4,
    width: float = 1.0,
    dropout: float = 0.5,
    causal: bool = False,
    window: int = 2048,
    rate_hz: int = 16_000,
) -> Patches | Causal:
    """Make the net, non-causal in each window as in the paper, or causal for live use.

    Args:
        depth: Number of down blocks.
        width: Factor on the number of filters.
        dropout: Share of the activations that training sets to zero.
        causal: Use past input only, kept as state from window to window.
        window: Samples of a window, a multiple of twice the stride; the hop is half of it.
        rate_hz: Sample rate of the sound.
    """
    core = AudioUNetCore(depth, width, dropout, causal)
    if causal:
        return Causal(core, window // 2, core.receptive_field + core.stride, rate_hz)
    return Patches(core, window, window // 2, rate_hz)
