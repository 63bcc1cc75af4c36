"""A net in the form that it has in an ONNX file: the same samples from other operations.

Transforms become products of small matrices: ONNX Runtime has no fast operator for them. A
transform of N = P Q samples is P transforms of Q samples, a turn of each value, and Q transforms of
P samples (Gentleman and Sande 1966). For 1024 samples that is 13 us, against 23 us by the operator
DFT and 159 us by one matrix of 4 MB, which would also push the weights out of the cache; for 128
windows in a call it is 0.65 ms, 1.9 ms and 1.6 ms.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..networks.protocol import Trainable

OPSET = 18  # of ONNX; what it has is in every ONNX Runtime since 1.14


def turns(rows: int, columns: int, size: int) -> Tensor:
    """Return exp(-2 pi i r c / size) as its real and its imaginary part, (2, rows, columns)."""
    angle = -2 * np.pi / size * np.outer(np.arange(rows), np.arange(columns))
    return torch.from_numpy(np.stack([np.cos(angle), np.sin(angle)]).astype(np.float32))


class Fourier(nn.Module):
    """The transforms of real windows of *size* samples, on the last axis, by small matrices.

    With n = Q p + q and k = j + P l, for p, j < P and q, l < Q,

        X[k] = sum over q of exp(-2 pi i q l / Q) exp(-2 pi i q j / N) S[j, q]
        S[j, q] = sum over p of exp(-2 pi i p j / P) x[Q p + q]

    and back the same way with k = Q p + q and n = j + P l, where the bins above half of the rate
    are the conjugates of those below, which a weight of two replaces.
    """

    first: Tensor
    turn: Tensor
    last: Tensor
    back_first: Tensor
    back_last: Tensor
    weights: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.p = max(d for d in range(1, math.isqrt(size) + 1) if size % d == 0)
        self.q = size // self.p
        p, q = self.p, self.q
        self.half_q, self.half_p = q // 2 + 1, p // 2 + 1  # rows that hold the bins up to N / 2
        re, im = turns(p, p, p)
        self.register_buffer("first", torch.cat([re, im]))
        self.register_buffer("turn", turns(p, q, size))
        re, im = turns(q, self.half_q, q)
        self.register_buffer("last", _product(re, im))
        re, im = turns(p, self.half_p, p)
        self.register_buffer("back_first", _product(re, im))
        re, im = turns(q, q, q)
        self.register_buffer("back_last", torch.cat([re, im]))
        weights = torch.full((size // 2 + 1,), 2.0 / size)
        weights[0] = 1.0 / size
        if size % 2 == 0:
            weights[-1] = 1.0 / size
        self.register_buffer("weights", weights)

    def forward(self, x: Tensor) -> Tensor:
        """Transform windows (.., size) to their spectra (.., size / 2 + 1), complex."""
        rows = torch.matmul(self.first, x.unflatten(-1, (self.p, self.q)))
        y = torch.matmul(self._turned(rows, 1.0), self.last).unflatten(-1, (2, self.half_q))
        y = y.movedim(-3, -1).flatten(-2)[..., : self.size // 2 + 1]
        return torch.complex(y[..., 0, :], y[..., 1, :])

    def back(self, spectrum: Tensor) -> Tensor:
        """Transform spectra (.., size / 2 + 1), complex, to windows (.., size)."""
        parts = torch.view_as_real(spectrum).movedim(-1, -2) * self.weights
        missing = self.half_p * self.q - parts.shape[-1]
        rows = nn.functional.pad(parts, (0, missing)).unflatten(-1, (self.half_p, self.q))
        rows = torch.matmul(self.back_first, rows.flatten(-3, -2))
        y = torch.matmul(self._turned(rows, -1.0), self.back_last)
        return y.transpose(-1, -2).flatten(-2)

    def _turned(self, both: Tensor, way: float) -> Tensor:
        """Turn each value of (.., 2 P, Q), real above imaginary; they come as (.., P, 2 Q)."""
        re, im = both[..., : self.p, :], both[..., self.p :, :]
        cos, sin = self.turn[0], way * self.turn[1]
        return torch.cat([re * cos - im * sin, re * sin + im * cos], -1)


def _product(re: Tensor, im: Tensor) -> Tensor:
    """Return the matrix (2 n, 2 m) by which (real, imaginary) rows times it are the product."""
    return torch.cat([torch.cat([re, im], 1), torch.cat([-im, re], 1)])


def _unfolded(x: Tensor, axis: int, size: int, step: int) -> Tensor:
    """Return `x.unfold(axis, size, step)`, whose export would fix the number of windows."""
    starts = range(0, int(x.shape[axis] - size) + 1, step)
    return torch.stack([x.narrow(axis, at, size).movedim(axis, -1) for at in starts], axis)


def _pooled(x: Tensor, size: int, stride: int, padding: int, dilation: int, **_: Any) -> Tensor:
    """Return `max_pool1d` of the same arguments, whose export would fix the number of windows."""
    shape = ((1, size), (1, stride), (0, padding), (1, dilation))
    return nn.functional.max_pool2d(x.unsqueeze(-2), *shape).squeeze(-2)


class _ByMatrices(TorchFunctionMode):
    """A context in which the transforms of windows are computed by a `Fourier`."""

    def __init__(self, fourier: Fourier) -> None:
        super().__init__()
        self._fourier = fourier

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs, size = kwargs or {}, self._fourier.size
        if func is torch.fft.rfft and not kwargs and len(args) == 1 and args[0].shape[-1] == size:
            return self._fourier(args[0])
        if func is torch.fft.irfft and kwargs == {"n": size} and len(args) == 1:
            return self._fourier.back(args[0])
        if func is torch.Tensor.unfold:
            return _unfolded(*args, **kwargs)
        if func is nn.functional.max_pool1d:
            return _pooled(*args, **kwargs)
        return func(*args, **kwargs)


class Recurrent(nn.Module):
    """A `nn.GRU` that is exported as ONNX's operator of this name, one for each layer.

    The export of torch would unroll it, for one number of windows. Outside an export the module
    gives only shapes.

    Args:
        gru: The module, with biases and one direction.
    """

    def __init__(self, gru: nn.GRU) -> None:
        super().__init__()
        self.batch_first, self.layers, self.width = gru.batch_first, gru.num_layers, gru.hidden_size
        for layer in range(gru.num_layers):
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            w, r, *biases = (_gates(getattr(gru, f"{name}_l{layer}").detach()) for name in names)
            self.register_buffer(f"w{layer}", w)
            self.register_buffer(f"r{layer}", r)
            self.register_buffer(f"b{layer}", torch.cat(biases, 1))

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Run over (T, B, I) or (B, T, I) from the state *h* (layers, B, H); returns both."""
        y, states = x.transpose(0, 1) if self.batch_first else x, []
        for layer in range(self.layers):
            steps, rows = y.shape[:2]
            weights = [getattr(self, f"{name}{layer}") for name in "wrb"]
            y, after = torch.onnx.ops.symbolic_multi_out(
                "GRU",
                (y, *weights, None, h[layer : layer + 1]),
                {"hidden_size": self.width, "linear_before_reset": 1},
                dtypes=(torch.float32, torch.float32),
                shapes=((steps, 1, rows, self.width), (1, rows, self.width)),
                version=OPSET,
            )
            y = y.squeeze(1)
            states.append(after)
        return y.transpose(0, 1) if self.batch_first else y, torch.cat(states)


def _gates(weight: Tensor) -> Tensor:
    """Return rows for the gates r, z, n in the order z, r, n of ONNX, for one direction."""
    r, z, n = weight.chunk(3)
    return torch.cat([z, r, n])[None]


class Portable(nn.Module):
    """A net whose transforms are products of matrices and whose GRUs are ONNX's, for an export.

    Args:
        net: The net, in evaluation mode; it is copied.
    """

    def __init__(self, net: Trainable) -> None:
        super().__init__()
        self.net: Any = copy.deepcopy(net)
        for module in list(self.net.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.GRU):
                    setattr(module, name, Recurrent(child))
        self.fourier = Fourier(net.window)

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Restore windows (C, T, N), given the state (C, S); returns both."""
        with _ByMatrices(self.fourier):
            restored, after = self.net(windows, state)
        return restored, after + 0.0  # an output cannot be an input, as the state of some nets is
