"""Nets that break the contract, at once or later: wrong shapes, types, layouts, values, errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rtdenoise import Denoise
from tests.toy_nets import save

FAULTS = 15
SPEAKS_OF_BATCHES = (7, 14)  # allowed answers that depend on how many windows a call has


class Odd(nn.Module):
    """A net that halves its windows, and breaks the contract in one way after *after* windows."""

    def __init__(self, fault: int, after: int, in_state: bool) -> None:
        super().__init__()
        self.fault, self.after, self.in_state = fault, after, in_state

    @torch.jit.export
    def initial_state(self, channels: int) -> Tensor:
        return torch.zeros(channels, 3)

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        out, after = windows * 0.5, state + windows.shape[1]
        if int(after[0, 0]) > self.after:
            if self.in_state:
                after = self.broken(after)
            else:
                out = self.broken(out)
        return out, after

    def broken(self, x: Tensor) -> Tensor:
        """Return *x* with the fault."""
        if self.fault < 8:
            return self.misshapen(x)
        if self.fault == 8:
            return x.double()
        if self.fault == 9:
            return x.int()
        if self.fault == 10:
            return torch.complex(x, x)
        if self.fault == 11:
            return x * float("nan")
        if self.fault == 12:
            return x * float("inf")
        if self.fault == 13:
            raise ValueError("this net broke on purpose\nin two lines")
        return x.flip(-1)

    def misshapen(self, x: Tensor) -> Tensor:
        """Return *x* in another shape or layout."""
        if self.fault == 0:
            return x[..., :-1]
        if self.fault == 1:
            return torch.cat([x, x], -1)
        if self.fault == 2:
            return x.transpose(0, 1).contiguous()
        if self.fault == 3:
            return x[:0]
        if self.fault == 4:
            return x.unsqueeze(0)
        if self.fault == 5:
            return torch.zeros(0)
        if self.fault == 6:
            return x.transpose(0, -1).contiguous().transpose(0, -1)
        return x[:1].expand_as(x)


def case(rng: np.random.Generator, folder: Path) -> str:
    """Process an array in large blocks and in small ones: refused, or the same finite samples."""
    fault, after = int(rng.integers(FAULTS)), int(rng.choice([0, 1, 3, 30]))
    in_state = bool(rng.random() < 0.4)
    path = save(Odd(fault, after, in_state), folder / "net.pt", name="odd")
    effect = Denoise(path)
    sound = (0.1 * rng.standard_normal((int(rng.integers(1, 4)), 24_000))).astype(np.float32)
    whole = effect(sound, 48_000)
    size = int(rng.choice([64, 480, 512, 5000]))
    blocks = [sound[:, at : at + size] for at in range(0, sound.shape[1], size)]
    parts = [effect(block, 48_000, reset=False) for block in blocks]
    stream = np.concatenate([*parts, effect.flush()], axis=1)
    for out in (whole, stream):
        assert out.shape == sound.shape
        assert np.isfinite(out).all()
    if in_state or fault not in SPEAKS_OF_BATCHES:
        assert np.abs(whole - stream).max() < 1e-5, "the cut changes the samples"
    return "processed"
