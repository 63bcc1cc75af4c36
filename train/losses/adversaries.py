"""Discriminators, and the adversarial losses of discriminator and generator.

A discriminator takes a candidate and a condition, both (B, 1, n), and scores whether the candidate
is the clean recording of the degraded condition. It returns scores of any shape and the activations
of its layers, for feature matching. The games, with the scores of a real and of a made candidate:

| game | loss of the discriminator | loss of the generator | source |
|---|---|---|---|
| bce | log loss with labels real 1, made 0 | log loss with label 1 | Goodfellow et al. 2014 |
| lsgan | (real - 1)^2 + made^2 | (made - 1)^2 | Mao et al. 2017 |
| hinge | relu(1 - real) + relu(1 + made) | -made | Lim and Ye 2017 |
| metric | (real - 1)^2 + (made - grade)^2 | (made - 1)^2 | Fu et al. 2019 |

The grade is what losses/learned.py computes of the made candidate; the condition of that game is
the clean recording itself.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from rtdenoise.errors import UsageError

from ..networks.contract import superpixel
from ..networks.mugan import Multiscale
from ..networks.segan import MAPS, TAPS, Emphasis, encoder_sizes
from .learned import FAINT, Grader

Verdict = tuple[list[Tensor], list[Tensor]]  # scores of a candidate, activations of the layers


class MuGanDiscriminator(nn.Module):
    """The discriminator of Kim and Sathe 2019: multiscale convolutions, batch norm and superpixels.

    In the paper the dense layers take the flattened last level. Here they take its mean over time,
    so that excerpts of any length have a score.

    Args:
        width: Factor on the number of channels; 1 is the paper's.
        levels: Number of levels that halve the time.
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
        """Score *candidate* (B, 1, n); this discriminator does not use the condition."""
        y = functional.leaky_relu(self.first(candidate), 0.2)
        features = [y]
        for conv, norm in zip(self.convs, self.norms, strict=True):
            y = functional.leaky_relu(self.dropout(norm(conv(y))), 0.2)
            features.append(y)
            y = superpixel(y[:, :, : y.shape[2] // 2 * 2])
        y = self.dropout(functional.leaky_relu(self.hidden(y.mean(2)), 0.2))
        return [self.last(y)], features


class SeganDiscriminator(nn.Module):
    """The discriminator of Pascual et al. 2017 (SEGAN).

    It is the generator's encoder with batch norm and leaky ReLU 0.3, applied to candidate and
    condition as two channels.

    Args:
        width: Factor on the number of channels; 1 is the paper's.
        levels: Number of levels of the encoder.
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
        """Score *candidate* (B, 1, n) given *condition* (B, 1, n)."""
        y = torch.cat([self.emphasis(candidate), self.emphasis(condition)], 1)
        features = []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            y = functional.leaky_relu(norm(conv(y)), 0.3)
            features.append(y)
        return [self.last(y).mean(2)], features


def _scored(convs: nn.ModuleList, last: nn.Module, y: Tensor, slope: float) -> Verdict:
    """Return the score of *y* by layers with leaky ReLUs of *slope*, and their activations."""
    features = []
    for conv in convs:
        y = functional.leaky_relu(conv(y), slope)
        features.append(y)
    return [last(y)], features


class Spectrogram2d(nn.Module):
    """A discriminator of five 2-d convolutions on the log magnitudes of one STFT.

    Args:
        size: Window of the STFT in samples; the hop is a quarter of it.
        width: Number of channels.
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.size = size
        sizes = [1, width, width, width, width]
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, (9, 3), (2, 1), (4, 1)) for i, o in pairwise(sizes)
        )
        self.last = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, candidate: Tensor, condition: Tensor) -> Verdict:
        """Score *candidate* (B, 1, n); this discriminator does not use the condition."""
        window = torch.hann_window(self.size, device=candidate.device)
        spectrum = torch.stft(
            candidate[:, 0], self.size, self.size // 4, window=window, return_complex=True
        )
        y = torch.log(spectrum.abs() + 1e-4)[:, None]
        return _scored(self.convs, self.last, y, 0.1)


class Complex2d(nn.Module):
    """A discriminator of 2-d convolutions on one complex STFT (Defossez et al. 2022, EnCodec).

    Unlike there, the spectrum is compressed to the power 0.3, so that noise in pauses is seen
    beside the voice, and its magnitude is a third channel, because noise has no steady phase.

    Args:
        size: Window of the STFT in samples; the hop is a quarter of it.
        width: Number of channels.
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.size = size
        layers = [nn.Conv2d(3, width, (9, 3), (2, 1), (4, 1))]
        layers += [
            nn.Conv2d(width, width, (9, 3), (2, 1), (4, dilation), (1, dilation))
            for dilation in (1, 2, 4)
        ]
        self.convs = nn.ModuleList(weight_norm(layer) for layer in layers)
        self.last = weight_norm(nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, candidate: Tensor, condition: Tensor) -> Verdict:
        """Score *candidate* (B, 1, n); this discriminator does not use the condition."""
        window = torch.hann_window(self.size, device=candidate.device)
        spectrum = torch.stft(
            candidate[:, 0], self.size, self.size // 4, window=window, normalized=True,
            return_complex=True,
        )  # fmt: skip
        re, im = spectrum.real, spectrum.imag
        power = re * re + im * im + FAINT
        shrink = power**-0.35
        y = torch.stack([re * shrink, im * shrink, power**0.15], 1)
        return _scored(self.convs, self.last, y, 0.2)


class Period(nn.Module):
    """A discriminator of 2-d convolutions on the waveform, folded at one period (Kong et al. 2020).

    Args:
        period: Samples of a row of the folded waveform.
        width: Number of channels of the first convolution.
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
        """Score *candidate* (B, 1, n); this discriminator does not use the condition."""
        short = -candidate.shape[2] % self.period
        y = functional.pad(candidate, (0, short)).unflatten(2, (-1, self.period))
        return _scored(self.convs, self.last, y, 0.1)


class Several(nn.Module):
    """Several discriminators as one, which returns the scores and activations of all of them."""

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.judges = nn.ModuleList(members)  # checkpoints have this name

    def forward(self, candidate: Tensor, condition: Tensor) -> Verdict:
        """Score *candidate* (B, 1, n) by all members."""
        scores: list[Tensor] = []
        features: list[Tensor] = []
        for member in self.judges:
            more_scores, more_features = member(candidate, condition)
            scores += more_scores
            features += more_features
        return scores, features


def spectrograms(width: int = 32) -> nn.Module:
    """Make a multi-resolution spectrogram discriminator (Jang et al. 2021, UnivNet)."""
    return Several([Spectrogram2d(size, width) for size in (512, 1024, 2048)])


def complexes(width: int = 32) -> nn.Module:
    """Make a multi-resolution discriminator of complex STFTs (Defossez et al. 2022, EnCodec)."""
    return Several([Complex2d(size, width) for size in (512, 1024, 2048)])


def periods(width: int = 16) -> nn.Module:
    """Make a multi-period discriminator (Kong et al. 2020, HiFi-GAN)."""
    return Several([Period(period, width) for period in (2, 3, 5, 7, 11)])


MAKERS: dict[str, Callable[..., nn.Module]] = {
    "complex": complexes,
    "metric": Grader,
    "mugan": MuGanDiscriminator,
    "period": periods,
    "segan": SeganDiscriminator,
    "spectrogram": spectrograms,
}

CHANNELS = {"complex": 32, "metric": 16, "period": 16, "spectrogram": 32}  # at a width of 1


def make(name: str, width: float = 1.0) -> nn.Module:
    """Make a discriminator with new weights, its number of channels multiplied by *width*.

    Raises:
        UsageError: the name is unknown; the message lists the known ones.
    """
    if name not in MAKERS:
        known = ", ".join(sorted(MAKERS))
        raise UsageError(f"objective.discriminator = {name!r}; known: {known}")
    if name in CHANNELS:
        return MAKERS[name](max(2, round(width * CHANNELS[name])))
    return MAKERS[name](width)


def _bce(score: Tensor, truth: float) -> Tensor:
    return functional.binary_cross_entropy_with_logits(score, torch.full_like(score, truth))


# Losses of a real score, of a made score, and of the generator, which has to deceive.
GAMES: dict[str, tuple[Callable[[Tensor], Tensor], ...]] = {
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
GAMES["metric"] = GAMES["lsgan"]  # but a made score is compared to its grade, not to zero


def game(name: str) -> tuple[Callable[[Tensor], Tensor], ...]:
    """Return three losses of scores: the discriminator's of real and of made ones, the generator's.

    Raises:
        UsageError: the game is unknown; the message lists the known ones.
    """
    if name not in GAMES:
        raise UsageError(f"objective.game = {name!r}; known: {', '.join(sorted(GAMES))}")
    return GAMES[name]


def mean_of(loss: Callable[[Tensor], Tensor], scores: list[Tensor]) -> Tensor:
    """Return the mean of *loss* over the scores of all discriminators, with equal weights."""
    return torch.stack([loss(score) for score in scores]).mean()
