"""The generator contract around nets that map waveforms: (B, 1, n) -> (B, 1, n).

There are two ways to stream such a net in windows. `Patches` follows the papers: it processes every
window by itself and crossfades the outputs by a Hann window, without a state. `Causal` is for live
use: the net depends on past input only, which is the state, and computes every sample once.

Nets with biases hum when their input is silent. The host promises silence for silence, so both give
zeros where the whole receptive field is zero.

TorchScript reads the annotations, so this file has no `annotations` from __future__.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SILENT = 1e-20  # magnitude up to which a sample is silent; denormals are below it


class Patches(nn.Module):
    """A generator that applies a net to every window by itself; its state (C, 0) is empty.

    Args:
        core: The net, which may look both ways inside the window.
        window: Samples N of a window, a multiple of the core's stride.
        hop: Samples from one window to the next, N / 2.
        rate_hz: Sample rate of the sound.
    """

    analysis_window = "rect"
    synthesis_window = "hann"
    lookahead = 0
    can_grow: tuple[str, ...] = ()

    def __init__(self, core: nn.Module, window: int, hop: int, rate_hz: int) -> None:
        super().__init__()
        if window != 2 * hop:
            raise ValueError(f"window {window}, hop {hop}: the hop has to be half a window")
        self.core, self.window, self.hop, self.rate_hz = core, window, hop, rate_hz
        self.stride = int(core.stride)  # type: ignore[arg-type]
        self.silent = SILENT

    @torch.jit.export
    def initial_state(self, channels: int) -> Tensor:
        """Return the empty state, (C, 0)."""
        return torch.zeros(channels, 0)

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Restore windows (C, T, N); the state (C, 0) stays empty."""
        channels, count, size = windows.shape
        y = self.core(windows.reshape(channels * count, 1, size)).view(channels, count, size)
        sounds = windows.abs().amax(2, keepdim=True) > self.silent
        return y * sounds.to(y.dtype), state

    def side_by_side(self) -> dict[str, int]:
        """Return nothing: no matrix of these nets consists of several maps."""
        return {}

    def wave(self, x: Tensor) -> Tensor:
        """Restore whole excerpts (B, n), for training; n is a multiple of the core's stride."""
        y: Tensor = self.core(x[:, None])[:, 0]
        return y


class Causal(nn.Module):
    """A generator around a causal net; its state is the past input of the receptive field.

    The host's windows overlap by half, so the second half of each is new. An output window holds
    the previous hop, computed with the window before, and the new one; the host's Hann window adds
    up the two copies of every hop.

    Args:
        core: The net. Output block i of `stride` samples must not depend on later input blocks.
        hop: New samples of a window, a multiple of the core's stride.
        receptive_field: Number of past samples that an output depends on at most.
        rate_hz: Sample rate of the sound.
    """

    analysis_window = "rect"
    synthesis_window = "hann"
    lookahead = 0
    can_grow: tuple[str, ...] = ()

    def __init__(self, core: nn.Module, hop: int, receptive_field: int, rate_hz: int) -> None:
        super().__init__()
        self.core, self.hop, self.window, self.rate_hz = core, hop, 2 * hop, rate_hz
        self.stride = int(core.stride)  # type: ignore[arg-type]
        self.silent = SILENT
        self.context = -(-receptive_field // hop) * hop

    @torch.jit.export
    def initial_state(self, channels: int) -> Tensor:
        """Return the state before any sound, (C, context + H): past input, last output hop."""
        return torch.zeros(channels, self.context + self.hop)

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Restore windows (C, T, 2 H), given the state (C, S); returns both."""
        channels, count, hop = windows.shape[0], windows.shape[1], self.hop
        fresh = windows[:, :, hop:].reshape(channels, count * hop)
        x = torch.cat([state[:, : self.context], fresh], 1)
        y = self.core(x[:, None])[:, 0, self.context :].reshape(channels, count, hop)
        loudest = x.abs().view(channels, 1, -1, hop).amax(3)
        sounds = functional.max_pool1d(loudest, self.context // hop + 1, 1)[:, 0] > self.silent
        y = y * sounds.to(y.dtype)[:, :, None]
        hops = torch.cat([state[:, None, self.context :], y], 1)
        state = torch.cat([x[:, -self.context :], hops[:, -1]], 1)
        return torch.cat([hops[:, :-1], y], 2), state

    def side_by_side(self) -> dict[str, int]:
        """Return nothing: no matrix of these nets consists of several maps."""
        return {}

    def wave(self, x: Tensor) -> Tensor:
        """Restore whole excerpts (B, n), for training; n is a multiple of the core's stride."""
        y: Tensor = self.core(x[:, None])[:, 0]
        return y


def subpixel(x: Tensor) -> Tensor:
    """Map (B, 2 C, n) to (B, C, 2 n): out[c, 2 t + k] = x[2 c + k, t] (Shi et al. 2016)."""
    batch, channels, samples = x.shape
    pairs = x.view(batch, channels // 2, 2, samples).transpose(2, 3)
    return pairs.reshape(batch, channels // 2, 2 * samples)


def superpixel(x: Tensor) -> Tensor:
    """Map (B, C, 2 n) to (B, 2 C, n): the inverse of `subpixel` (Kim and Sathe 2019)."""
    batch, channels, samples = x.shape
    pairs = x.view(batch, channels, samples // 2, 2).transpose(2, 3)
    return pairs.reshape(batch, 2 * channels, samples // 2)


def silence(last: nn.Conv1d) -> None:
    """Initialise the last layer almost to zero, so that x + net(x) starts as x."""
    nn.init.normal_(last.weight, std=1e-3)
    if last.bias is not None:
        nn.init.zeros_(last.bias)


class Conv(nn.Conv1d):
    """A convolution whose output has n / stride samples, centred or causal.

    A causal one with a stride of 2 uses, for output i, inputs up to 2 i + 1: its block of two.

    Args:
        inputs: Number of input channels.
        outputs: Number of output channels.
        kernel: Number of taps.
        stride: Input samples for each output sample.
        dilation: Input samples from one tap to the next.
        causal: Whether an output depends on past input only.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        causal: bool = False,
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, dilation=dilation)
        reach = (kernel - 1) * dilation - (stride - 1)
        self.left = reach if causal else (reach + 1) // 2
        self.right = reach - self.left

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, inputs, n) to (B, outputs, n / stride)."""
        x = functional.pad(x, (self.left, self.right))
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            return functional.conv1d(x, self.weight, self.bias, self.stride, 0, self.dilation)
        elif quick(x, self.kernel_size[0]):  # not an `if`: TorchScript would read it
            return quick_conv(x, self.weight, self.bias, self.stride[0], self.dilation[0])
        return functional.conv1d(x, self.weight, self.bias, self.stride, 0, self.dilation)


class _QuickConv(torch.autograd.Function):
    """A convolution of a CPU whose gradients are convolutions too: see `quick_conv`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
        """(B, I, n), (O, I, K) -> (B, O, m), m = (n - 1 - (K - 1) dilation) // stride + 1."""
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.dilation = stride, dilation
        return functional.conv1d(x, weight, None, stride, 0, dilation)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        """Of x by a convolution with the kernel turned around; of the kernel by one of x with grad.

        y[o, m] = sum w[o, i, k] x[i, m stride + k dilation], so
        dw[o, i, k] = sum g[b, o, m] x[b, i, k dilation + m stride]: stride and dilation swap
        places, rows become channels.
        """
        x, weight = ctx.saved_tensors
        stride, dilation, taps = ctx.stride, ctx.dilation, weight.shape[2]
        of_x: Tensor | None = None
        if ctx.needs_input_grad[0] and stride == 1:
            turned = weight.flip(2).transpose(0, 1)
            of_x = functional.conv1d(grad, turned, None, 1, (taps - 1) * dilation, dilation)
        elif ctx.needs_input_grad[0]:
            rest = x.shape[2] - (grad.shape[2] - 1) * stride - (taps - 1) * dilation - 1
            of_x = functional.conv_transpose1d(grad, weight, None, stride, 0, rest, 1, dilation)
        of_weight = functional.conv1d(
            x.transpose(0, 1), grad.transpose(0, 1), None, dilation, 0, stride
        )
        return of_x, of_weight.transpose(0, 1)[:, :, :taps], None, None


@cache
def matrix_unit() -> bool:
    """Whether the processor multiplies bfloat16 by AMX.

    There oneDNN's own gradients are quicker than those of `quick_conv`, and its convolutions with
    long kernels are wrong, as of torch 2.13: by more than the result itself for an even number of
    channels below 16 and a kernel of a multiple of 16. The gradient of a kernel is one of those:
    the batch is its channels, the excerpt is its kernel.
    """
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


def quick(x: Tensor, taps: int) -> bool:
    """Whether `quick_conv` is: on a CPU without AMX, in training, not for the shortest kernels."""
    trains = x.device.type == "cpu" and torch.is_grad_enabled()
    return trains and taps > 4 and not matrix_unit()


def quick_conv(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, dilation: int
) -> Tensor:
    """`conv1d` to train with on a CPU, one to three times as fast.

    oneDNN has quick code for one-dimensional convolutions forward, but multiplies large matrices
    backward: 206 ms where forward took 39 (32 x 128 channels x 256 samples, 65 taps, bfloat16).
    Both gradients are convolutions, by the code that is quick: 105 ms.
    """
    if torch.is_autocast_enabled("cpu"):
        x, weight = x.bfloat16(), weight.bfloat16()
    y: Tensor = _QuickConv.apply(x, weight, stride, dilation)
    return y if bias is None else y + bias.to(y.dtype)[:, None]
