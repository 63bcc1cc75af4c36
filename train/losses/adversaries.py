"""Discriminators, and the games they play with a generator.

A discriminator sees a candidate and a condition, both (B, 1, n): is this real sound, restored from
that degraded one? It gives scores of any shape and the activations of its layers, so that features
can be matched. The games:

| game | discriminator wants | generator wants | source |
|---|---|---|---|
| bce | log loss, real 1, made 0 | log loss of 1 | Goodfellow et al. 2014; Kim and Sathe |
| lsgan | (real - 1)^2 + made^2 | (made - 1)^2 | Mao et al. 2017; SEGAN |
| hinge | relu(1 - real) + relu(1 + made) | -made | Lim and Ye 2017 |
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from rtdenoise.errors import UsageError

from ..networks.contract import superpixel
from ..networks.mugan import Multiscale
from ..networks.segan import MAPS, TAPS, Emphasis, encoder_sizes

Verdict = tuple[list[Tensor], list[Tensor]]  # scores, features


class MuGanDiscriminator(nn.Module):
    """The discriminator of Kim and Sathe 2019.

    A multiscale convolution, then seven with batch norm and superpixel.

    The paper's dense layers see the flattened last level; here its mean over time, so that excerpts
    of any length have a score.

    Args:
        width: Multiplier of all channels.
        levels: How many levels halve the time.
        dropout: Share of the activations that training sets to zero, in every level.
    """

    def __init__(self, width: float = 1.0, levels: int = 7, dropout: float = 0.2) -> None:
        super().__init__()
        sizes = [max(4, round(width * min(2 ** (5 + b), 256)) // 4 * 4) for b in range(levels + 1)]
        self.first = Multiscale(1, sizes[0])
        inputs = [sizes[0]] + [2 * size for size in sizes[1:-1]]
        self.convs = nn.ModuleList(Multiscale(i, o) for i, o in zip(inputs, sizes[1:], strict=True))
        self.norms = nn.ModuleList(nn.BatchNorm1d(size) for size in sizes[1:])
        self.dropout = nn.Dropout(dropout)
        self.hidden, self.last = nn.Linear(2 * sizes[-1], 64), nn.Linear(64, 1)

    def forward(self, candidate: Tensor, condition: Tensor) -> Verdict:
        """See the module; the condition is not looked at."""
        y = functional.leaky_relu(self.first(candidate), 0.2)
        features = [y]
        for conv, norm in zip(self.convs, self.norms, strict=True):
            y = functional.leaky_relu(self.dropout(norm(conv(y))), 0.2)
            features.append(y)
            y = superpixel(y[:, :, : y.shape[2] // 2 * 2])
        y = self.dropout(functional.leaky_relu(self.hidden(y.mean(2)), 0.2))
        return [self.last(y)], features


class SeganDiscriminator(nn.Module):
    """The discriminator of Pascual et al. 2017.

    The generator's encoder on both, with batch norm and leaky ReLU 0.3.

    Args:
        width: Multiplier of all channels.
        levels: Levels of the encoder.
    """

    def __init__(self, width: float = 1.0, levels: int = 11) -> None:
        super().__init__()
        sizes = encoder_sizes(width, MAPS[:levels])
        self.emphasis = Emphasis()
        self.convs = nn.ModuleList(
            nn.Conv1d(i, o, TAPS, 2, TAPS // 2)
            for i, o in zip([2, *sizes[:-1]], sizes, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(size) for size in sizes)
        self.last = nn.Conv1d(sizes[-1], 1, 1)

    def forward(self, candidate: Tensor, condition: Tensor) -> Verdict:
        """See the module."""
        y = torch.cat([self.emphasis(candidate), self.emphasis(condition)], 1)
        features = []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            y = functional.leaky_relu(norm(conv(y)), 0.3)
            features.append(y)
        return [self.last(y).mean(2)], features


class Spectrogram2d(nn.Module):
    """A discriminator of five 2-d convolutions on the log magnitudes of one STFT."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.size = size
        sizes = [1, width, width, width, width]
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, (9, 3), (2, 1), (4, 1)) for i, o in pairwise(sizes)
        )
        self.last = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, candidate: Tensor, condition: Tensor) -> Verdict:
        """See the module; the condition is not looked at."""
        window = torch.hann_window(self.size, device=candidate.device)
        spectrum = torch.stft(
            candidate[:, 0], self.size, self.size // 4, window=window, return_complex=True
        )
        y = torch.log(spectrum.abs() + 1e-4)[:, None]
        features = []
        for conv in self.convs:
            y = functional.leaky_relu(conv(y), 0.1)
            features.append(y)
        return [self.last(y)], features


class Period(nn.Module):
    """A discriminator of 2-d convolutions on the waveform, folded at one period.

    Kong et al., HiFi-GAN, 2020.
    """

    def __init__(self, period: int, width: int) -> None:
        super().__init__()
        self.period = period
        sizes = [1, width, 2 * width, 4 * width, 4 * width]
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, (5, 1), (3, 1), (2, 0)) for i, o in pairwise(sizes)
        )
        self.last = nn.Conv2d(sizes[-1], 1, (3, 1), padding=(1, 0))

    def forward(self, candidate: Tensor, condition: Tensor) -> Verdict:
        """See the module; the condition is not looked at."""
        short = -candidate.shape[2] % self.period
        y = functional.pad(candidate, (0, short)).unflatten(2, (-1, self.period))
        features = []
        for conv in self.convs:
            y = functional.leaky_relu(conv(y), 0.1)
            features.append(y)
        return [self.last(y)], features


class Several(nn.Module):
    """Several discriminators as one: their scores and features side by side."""

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.judges = nn.ModuleList(members)  # its name in older checkpoints

    def forward(self, candidate: Tensor, condition: Tensor) -> Verdict:
        """See the module."""
        scores: list[Tensor] = []
        features: list[Tensor] = []
        for member in self.judges:
            more_scores, more_features = member(candidate, condition)
            scores += more_scores
            features += more_features
        return scores, features


def spectrograms(width: int = 32) -> nn.Module:
    """Multi-resolution spectrogram discriminator (Jang et al., UnivNet, 2021)."""
    return Several([Spectrogram2d(size, width) for size in (512, 1024, 2048)])


def periods(width: int = 16) -> nn.Module:
    """Multi-period discriminator (Kong et al., HiFi-GAN, 2020)."""
    return Several([Period(period, width) for period in (2, 3, 5, 7, 11)])


MAKERS: dict[str, Callable[..., nn.Module]] = {
    "mugan": MuGanDiscriminator,
    "period": periods,
    "segan": SeganDiscriminator,
    "spectrogram": spectrograms,
}


def make(name: str, width: float = 1.0) -> nn.Module:
    """A discriminator with new weights, its channels multiplied by *width*.

    Raises:
        UsageError: unknown; the known ones are listed.
    """
    if name not in MAKERS:
        known = ", ".join(sorted(MAKERS))
        raise UsageError(f"objective.discriminator = {name!r}; known: {known}")
    if name in ("period", "spectrogram"):
        return MAKERS[name](max(2, round(width * (16 if name == "period" else 32))))
    return MAKERS[name](width)


def _bce(score: Tensor, truth: float) -> Tensor:
    return functional.binary_cross_entropy_with_logits(score, torch.full_like(score, truth))


GAMES: dict[str, tuple[Callable[[Tensor], Tensor], ...]] = {  # of a real, of a made, to deceive
    "bce": (lambda s: _bce(s, 1.0), lambda s: _bce(s, 0.0), lambda s: _bce(s, 1.0)),
    "lsgan": (
        lambda s: ((s - 1) ** 2).mean(),
        lambda s: (s**2).mean(),
        lambda s: ((s - 1) ** 2).mean(),
    ),
    "hinge": (
        lambda s: torch.relu(1 - s).mean(),
        lambda s: torch.relu(1 + s).mean(),
        lambda s: -s.mean(),
    ),
}


def game(name: str) -> tuple[Callable[[Tensor], Tensor], ...]:
    """Losses of a real's score, of a made one's for the discriminator, and for the generator.

    Raises:
        UsageError: unknown; the known ones are listed.
    """
    if name not in GAMES:
        raise UsageError(f"objective.game = {name!r}; known: {', '.join(sorted(GAMES))}")
    return GAMES[name]


def mean_of(loss: Callable[[Tensor], Tensor], scores: list[Tensor]) -> Tensor:
    """Mean over all discriminators, each counting the same."""
    return torch.stack([loss(score) for score in scores]).mean()
