"""What a net has to have so that it can be trained, and exported as a model of the host.

Every net is `Trainable`; `TrainableOnWaves` hears whole excerpts as waveforms, and
`TrainableOnSpectra` as spectra; `spectral` does both. A protocol cannot inherit from a class, so
`Module` repeats what is used of nn.Module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn


class Module(Protocol):
    """The part of torch.nn.Module that training uses; see there."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Every weight that learns."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Every weight that learns, with its name."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Weights and buffers by name; they share their memory with the net."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> object:
        """Take over weights and buffers."""
        ...

    def zero_grad(self) -> None:
        """Forget the gradients."""
        ...

    def train(self) -> Self:
        """Behave as in training: dropout, statistics of batches."""
        ...

    def eval(self) -> Self:
        """Behave as in use."""
        ...

    def to(self, device: torch.device) -> Self:
        """Move to a device."""
        ...


class Trainable(Module, Protocol):
    """A generator of the host's contract, with what every kind of training asks for.

    TorchScript has to read `forward`, and T windows in one call have to give what T calls give:
    `export` proves both.
    """

    @property
    def window(self) -> int:
        """Samples of a window."""
        ...

    @property
    def hop(self) -> int:
        """Samples from one window to the next."""
        ...

    @property
    def rate_hz(self) -> int:
        """Sample rate of the sound the net works on."""
        ...

    @property
    def lookahead(self) -> int:
        """Samples the net waits for beyond its window; the card says it."""
        ...

    @property
    def analysis_window(self) -> str:
        """The card's name of the weights that the host gives a window before the net."""
        ...

    @property
    def synthesis_window(self) -> str:
        """The card's name of the weights that the host gives a window after the net."""
        ...

    @property
    def can_grow(self) -> tuple[str, ...]:
        """Beginnings of the names of weights that a model to start from may lack.

        The net has to begin such weights so that they change nothing; empty: all must be there.
        """
        ...

    def side_by_side(self) -> dict[str, int]:
        """Matrices, by name, that are several maps on top of each other, and how many.

        The optimiser makes each map orthogonal by itself.
        """
        ...

    def initial_state(self, channels: int) -> Tensor:
        """What the net remembers before any sound, (channels, S)."""
        ...

    def __call__(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """`forward`: windows (C, T, N) in time order and the state (C, S) -> the same."""
        ...


@runtime_checkable
class TrainableOnWaves(Trainable, Protocol):
    """A net that can be trained on waveforms: it also runs over whole excerpts at once.

    `forward` has to give window by window what `wave` gives for an excerpt from silence.
    """

    @property
    def stride(self) -> int:
        """Excerpts for `wave` are a multiple of it long, in samples."""
        ...

    def wave(self, x: Tensor) -> Tensor:
        """Restored waveforms of whole excerpts (B, n), from silence, with a gradient."""
        ...


@runtime_checkable
class TrainableOnSpectra(Trainable, Protocol):
    """A net that can be trained on spectra (B, T, bins), without going back to sound.

    Its windows are sqrt-Hann before and after the net: then spectra add up as sounds do.
    """

    @property
    def slowest(self) -> float:
        """Least rate of the running mean that its features are relative to."""
        ...

    def see(self, re: Tensor, im: Tensor, means: Tensor) -> Tensor:
        """Features of whole excerpts.

        Args:
            re: Real part of the degraded spectra, (B, T, bins).
            im: Imaginary part.
            means: The running mean as a matrix (T, T), `spectra.running_mean_matrix`.
        """
        ...

    def decide_all(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features of whole excerpts -> raw gains and raw filters, the net's memory empty at first.

        This is the part that runs in bfloat16.
        """
        ...

    def restore(
        self, re: Tensor, im: Tensor, gains: Tensor, filters: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Real and imaginary part of the degraded spectra with gains and filters applied."""
        ...
