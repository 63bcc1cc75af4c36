"""Small nets that obey the contract, each for one thing a test wants to see."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from rtdenoise.nets.card import EXTRA_FILE, Card, weights_sha256
from rtdenoise.nets.torchscript import Generator


class Identity(nn.Module):
    """Windows out as they came: the line around it must be a pure delay."""

    @torch.jit.export
    def initial_state(self, channels: int) -> Tensor:
        return torch.zeros(channels, 0)

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return windows, state


class Late(nn.Module):
    """Gives the windows of *hops* hops ago times *gain*; NaN at every *period*-th window."""

    def __init__(self, hops: int = 1, gain: float = 1.0, period: int = 1 << 30) -> None:
        super().__init__()
        self.hops, self.gain, self.period = hops, gain, period
        self.window = 1024

    @torch.jit.export
    def initial_state(self, channels: int) -> Tensor:
        return torch.zeros(channels, self.hops * self.window + 1)

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        channels, count, size = windows.shape
        past = state[:, : self.hops * size].reshape(channels, self.hops, size)
        every = torch.cat([past, windows], 1)
        out, turn = self.gain * every[:, :count], state[:, -1:]
        for t in range(count):
            turn = turn + 1
            if int(turn[0, 0]) % self.period == 0:
                out[:, t] = float("nan")
        return out, torch.cat([every[:, count:].reshape(channels, -1), turn], 1)


class Hums(Identity):
    """Adds something to nothing."""

    def forward(self, windows: torch.Tensor, state: torch.Tensor):
        return windows + 0.01, state


class Smoother(nn.Module):
    """A gain that follows the level of past windows: has memory, so cuts and order matter."""

    def __init__(self) -> None:
        super().__init__()
        self.speed = nn.Parameter(torch.tensor(0.3))

    @torch.jit.export
    def initial_state(self, channels: int) -> Tensor:
        return torch.zeros(channels, 1)

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        level = state[:, 0]
        out = torch.empty_like(windows)
        for t in range(windows.shape[1]):
            level = level + self.speed * (windows[:, t].abs().mean(1) - level)
            out[:, t] = windows[:, t] * (1.0 / (1.0 + 10.0 * level)).unsqueeze(1)
        return out, level.unsqueeze(1)


class Breaks(nn.Module):
    """Gives NaN (or raises) at every *period*-th window; halves the others."""

    def __init__(self, period: int, raises: bool = False) -> None:
        super().__init__()
        self.period, self.raises = period, raises

    @torch.jit.export
    def initial_state(self, channels: int) -> Tensor:
        return torch.zeros(channels, 1)

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        out = windows * 0.5
        count = state[0, 0]
        for t in range(windows.shape[1]):
            count = count + 1
            if int(count) % self.period == 0:
                if self.raises:
                    raise ValueError("this net broke on purpose")
                out[:, t] = float("nan")
        return out, torch.zeros_like(state) + count


def card_for(module: nn.Module, **changes: object) -> Card:
    """A card that fits *module*: 48 kHz, 1024/512, sqrt-Hann twice."""
    weights = {name: value.numpy() for name, value in module.state_dict().items()}
    card = Card(
        name=type(module).__name__.lower(),
        task="identity",
        kind="any",
        sample_rate=48_000,
        window=1024,
        hop=512,
        analysis_window="sqrt_hann",
        synthesis_window="sqrt_hann",
        parameters=sum(p.numel() for p in module.parameters()),
        licence="MIT",
        sha256=weights_sha256(weights),
    )
    return replace(card, **changes)  # type: ignore[arg-type]


def generator_for(module: nn.Module, **changes: object) -> Generator:
    """*module* as the host sees it, without a file."""
    return Generator(module.eval(), card_for(module, **changes))


def save(module: nn.Module, path: Path, **changes: object) -> Path:
    """Write *module* as a model file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(module.eval())
        torch.jit.save(
            scripted, str(path), _extra_files={EXTRA_FILE: card_for(module, **changes).to_json()}
        )
    return path
