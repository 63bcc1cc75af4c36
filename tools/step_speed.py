"""Measure the seconds of a step, forward and backward, of the papers' networks on one core.

    python tools/step_speed.py

Each network of a recipe is measured as it is trained, and with float32 and torch's own gradient of
convolutions. The GRU of `speech` is measured as torch's in float32 and in bfloat16, and as
train/networks/recurrence.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from statistics import median

import torch
from torch import nn

from train.networks import contract
from train.networks.audiounet import AudioUNetCore
from train.networks.germain import GermainCore
from train.networks.mugan import Autoencoder, MuGanCore
from train.networks.recurrence import from_silence
from train.networks.segan import SeganCore
from train.systems.base import half

SIZES: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "seed-superres": (lambda: AudioUNetCore(4, 0.25, 0.2), (32, 1, 1024)),
    "seed-denoise": (lambda: AudioUNetCore(6, 0.125, 0.0), (8, 1, 8192)),
    "seed-mugan": (lambda: MuGanCore(4, 0.25), (32, 1, 1024)),
    "its autoencoder": (lambda: Autoencoder(4, 0.25), (32, 1, 1024)),
    "seed-germain": (lambda: GermainCore(24, 10), (8, 1, 16384)),
    "seed-segan": (lambda: SeganCore(0.25), (8, 1, 16384)),
}


def seconds(net: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, plain: bool) -> float:
    """Return the median time of five steps."""
    took = []
    for _ in range(6):
        begin = time.perf_counter()
        with nullcontext() if plain else half(x.device):
            y = net(x)
        y.float().square().mean().backward()
        took.append(time.perf_counter() - begin)
    return median(took[1:])


torch.set_num_threads(1)
torch.set_flush_denormal(True)
quick = contract.quick
print("| recipe | plain s | as trained s |\n|---|---|---|")
for name, (make, shape) in SIZES.items():
    x = torch.randn(shape)
    contract.quick = lambda x, taps: False
    before = seconds(make(), x, plain=True)
    contract.quick = quick
    print(f"| {name} | {before:.2f} | {seconds(make(), x, plain=False):.2f} |")

gru, x = nn.GRU(288, 288, 2, batch_first=True), torch.randn(16, 187, 288, requires_grad=True)
print("\n| GRU | s |\n|---|---|")
print(f"| torch, float32 | {seconds(lambda x: gru(x)[0], x, plain=True):.3f} |")
print(f"| torch, bfloat16 | {seconds(lambda x: gru(x)[0], x, plain=False):.3f} |")
ours = seconds(lambda x: from_silence(gru, x.bfloat16()), x, plain=False)
print(f"| train/networks/recurrence.py, bfloat16 | {ours:.3f} |")
