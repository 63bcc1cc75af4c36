"""The protocols of nets that can be trained, and exported as models of the host.

Every net is `Trainable`. `TrainableOnWaves` processes whole excerpts as waveforms, and
`TrainableOnSpectra` as spectra; `spectral` does both. A protocol cannot inherit from a class, so
`Module` repeats the part of nn.Module that is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn


class Module(Protocol):
    """The part of torch.nn.Module that training uses."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield every weight that is trained."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield every weight that is trained, with its name."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """Yield the net and every module in it."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return weights and buffers by name; they share their memory with the net."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> object:
        """Copy weights and buffers into the net."""
        ...

    def zero_grad(self) -> None:
        """Delete the gradients."""
        ...

    def train(self) -> Self:
        """Switch to training: dropout is on, batch norms use the statistics of the batch."""
        ...

    def eval(self) -> Self:
        """Switch to inference: dropout is off, batch norms use their running statistics."""
        ...

    def to(self, device: torch.device) -> Self:
        """Move the net to *device*."""
        ...


class Trainable(Module, Protocol):
    """A generator of the host's contract, with the members that every kind of training uses.

    TorchScript has to compile `forward`, and T windows in one call have to give the same as T calls
    of one window; `export` checks both.
    """

    @property
    def window(self) -> int:
        """Length of a window in samples."""
        ...

    @property
    def hop(self) -> int:
        """Samples from the start of one window to the start of the next."""
        ...

    @property
    def rate_hz(self) -> int:
        """Sample rate of the sound that the net processes."""
        ...

    @property
    def lookahead(self) -> int:
        """Samples after its window that the net waits for, as stated on the card."""
        ...

    @property
    def analysis_window(self) -> str:
        """Name, on the card, of the window function that the host applies before the net."""
        ...

    @property
    def synthesis_window(self) -> str:
        """Name, on the card, of the window function that the host applies after the net."""
        ...

    @property
    def can_grow(self) -> tuple[str, ...]:
        """Prefixes of the names of weights that a model to start from may lack.

        The net has to initialise such weights so that they change nothing. Empty: it may lack none.
        """
        ...

    def side_by_side(self) -> dict[str, int]:
        """Return, by name, the matrices that consist of several stacked maps, and how many.

        The optimiser (Muon) makes each map orthogonal by itself.
        """
        ...

    def initial_state(self, channels: int) -> Tensor:
        """Return the state of the net before any sound, (channels, S)."""
        ...

    def __call__(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Restore windows (C, T, N) in time order, given the state (C, S); returns both."""
        ...


@runtime_checkable
class TrainableOnWaves(Trainable, Protocol):
    """A net that can be trained on waveforms: it also processes whole excerpts at once.

    For an excerpt that starts from silence, `forward` has to give window by window what `wave`
    gives at once.
    """

    @property
    def stride(self) -> int:
        """Samples of which the length of an excerpt for `wave` has to be a multiple."""
        ...

    def wave(self, x: Tensor) -> Tensor:
        """Restore whole excerpts (B, n) from silence; gradients flow back to the weights."""
        ...


@runtime_checkable
class TrainableOnSpectra(Trainable, Protocol):
    """A net that can be trained on spectra (B, T, bins), without a return to the time domain.

    Its windows are sqrt-Hann before and after the net, so that they form a tight frame.
    """

    @property
    def slowest(self) -> float:
        """Least update rate of the running mean to which the features are relative."""
        ...

    def see(self, re: Tensor, im: Tensor, means: Tensor) -> Tensor:
        """Compute the features of whole excerpts.

        Args:
            re: Real part of the degraded spectra, (B, T, bins).
            im: Imaginary part of them, (B, T, bins).
            means: The running mean as a matrix (T, T), `spectra.running_mean_matrix`.
        """
        ...

    def decide_all(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map features of whole excerpts, from silence, to raw gains and raw filters.

        This is the part that runs in bfloat16.
        """
        ...

    def restore(
        self, re: Tensor, im: Tensor, gains: Tensor, filters: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Apply gains and filters to the degraded spectra; returns real and imaginary part."""
        ...
