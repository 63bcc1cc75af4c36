"""A GRU over whole excerpts on a CPU; forward and backward take four fifths of torch's time.

torch executes a dozen small operations for each time step, as many for its gradient, and a gradient
of all weights each time. Here a step is one matrix product and one compiled pass over the gates,
and the gradient of the weights is one product over all steps. The state stays float32, while
autocast rounds it to bfloat16 at every step: the error of the gradients is a quarter of torch's.
`python tools/step_speed.py` measures the speed. The gates are

    r = s(a_r + c_r)    z = s(a_z + c_z)    n = tanh(a_n + r c_n)    h' = n + z (h - n)

with a = W_i x + b_i and c = W_h h + b_h (Cho et al. 2014, arXiv:1406.1078, in cuDNN's variant).
"""

from __future__ import annotations

import os
import time
from functools import cache
from typing import Any

import numpy as np
import torch
from numba import njit, types
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from rtdenoise.core.jit import kernel

ROWS = types.Array(types.float32, 2, "C")
Array = NDArray[np.float32]
Real = np.float32
ONE, HALF, FLAT = Real(1), Real(0.5), Real(7.9)  # in float32 tanh(7.9) is one


@njit(fastmath=True, error_model="numpy", inline="always")
def tanh(x: Real) -> Real:
    """Approximate tanh by Eigen's rational function, to one bit; unlike libm's it vectorises."""
    x = min(max(x, -FLAT), FLAT)
    s = x * x
    p = Real(-2.76076847742355e-16)
    p = p * s + Real(2.00018790482477e-13)
    p = p * s + Real(-8.60467152213735e-11)
    p = p * s + Real(5.12229709037114e-08)
    p = p * s + Real(1.48572235717979e-05)
    p = p * s + Real(6.37261928875436e-04)
    p = p * s + Real(4.89352455891786e-03)
    q = Real(1.19825839466702e-06)
    q = q * s + Real(1.18534705686654e-04)
    q = q * s + Real(2.26843463243900e-03)
    q = q * s + Real(4.89352518554385e-03)
    return x * p / q


@kernel(types.void(ROWS, ROWS, ROWS, ROWS, ROWS), fast=True)
def gates(a: Array, c: Array, h: Array, after: Array, kept: Array) -> None:
    """Compute one step of the gates.

    There are four loops because a single one is not vectorised and takes three times as long.

    Args:
        a: Part of the gates that comes from the input, (B, 3H).
        c: Part of them that comes from the state, (B, 3H).
        h: State before the step, (B, H).
        after: Output: the state after the step, (B, H).
        kept: Output: r, z, n and c_n for the gradient, (B, 4H).
    """
    width = h.shape[1]
    for b in range(h.shape[0]):
        inputs, memory, state, out, keep = a[b], c[b], h[b], after[b], kept[b]
        for j in range(2 * width):
            keep[j] = HALF + HALF * tanh(HALF * (inputs[j] + memory[j]))
        for j in range(2 * width, 3 * width):
            keep[width + j] = memory[j]
        for j in range(width):
            keep[2 * width + j] = tanh(inputs[2 * width + j] + keep[j] * keep[3 * width + j])
        for j in range(width):
            n = keep[2 * width + j]
            out[j] = n + keep[width + j] * (state[j] - n)


@kernel(types.void(ROWS, ROWS, ROWS, ROWS, ROWS, ROWS), fast=True)
def gates_back(d: Array, kept: Array, h: Array, da: Array, dc: Array, dh: Array) -> None:
    """Compute the gradients *da*, *dc* (B, 3H) and *dh* (B, H) of `gates` from *d* (B, H)."""
    width = h.shape[1]
    for b in range(h.shape[0]):
        for j in range(width):
            r, z = kept[b, j], kept[b, width + j]
            n, inner = kept[b, 2 * width + j], kept[b, 3 * width + j]
            dn = d[b, j] * (ONE - z) * (ONE - n * n)
            dr = dn * inner * r * (ONE - r)
            dz = d[b, j] * (h[b, j] - n) * z * (ONE - z)
            da[b, j], da[b, width + j], da[b, 2 * width + j] = dr, dz, dn
            dc[b, j], dc[b, width + j], dc[b, 2 * width + j] = dr, dz, dn * r
            dh[b, j] = d[b, j] * z


class _Layer(torch.autograd.Function):
    """One layer of the GRU: x (T, B, I) and its weights give the states (T, B, H), from zero.

    Products have the type of x; sums over them and the state are float32.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_i: Tensor, w_h: Tensor, b_i: Tensor, b_h: Tensor) -> Tensor:
        steps, rows, width = x.shape[0], x.shape[1], w_h.shape[1]
        inputs = functional.linear(x, w_i.to(x.dtype), b_i.to(x.dtype)).float()
        weights, bias = w_h.to(x.dtype).t(), b_h.to(x.dtype)
        states = torch.zeros(steps + 1, rows, width)
        kept = torch.empty(steps, rows, 4 * width)
        before = torch.zeros(rows, width, dtype=x.dtype)
        product = torch.empty(rows, 3 * width, dtype=x.dtype)
        memory = torch.empty(rows, 3 * width)
        a, h, keep, c = (v.numpy() for v in (inputs, states, kept, memory))
        for t in range(steps):
            memory.copy_(torch.addmm(bias, before, weights, out=product))
            gates(a[t], c, h[t], h[t + 1], keep[t])
            before.copy_(states[t + 1])
        ctx.save_for_backward(x, w_i, w_h, states, kept)
        return states[1:]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        x, w_i, w_h, states, kept = ctx.saved_tensors
        steps, rows, width = grads[0].shape
        weights = w_h.to(x.dtype)
        d_inputs = torch.empty(steps, rows, 3 * width)
        d_memory = torch.empty_like(d_inputs)
        narrow = torch.empty(rows, 3 * width, dtype=x.dtype)
        product = torch.empty(rows, width, dtype=x.dtype)
        now, before = torch.empty(rows, width), torch.zeros(rows, width)
        d, keep, h = (v.numpy() for v in (now, kept, states))
        da, dc, dh = (v.numpy() for v in (d_inputs, d_memory, before))
        for t in range(steps - 1, -1, -1):
            torch.add(grads[0][t], before, out=now)
            gates_back(d, keep[t], h[t], da[t], dc[t], dh)
            before.add_(torch.mm(narrow.copy_(d_memory[t]), weights, out=product))
        bias_i, bias_h = d_inputs.sum((0, 1)), d_memory.sum((0, 1))
        by_input, by_memory = (d.flatten(0, 1).to(x.dtype) for d in (d_inputs, d_memory))
        past = states[:-1].flatten(0, 1).to(x.dtype)
        d_x = (by_input @ w_i.to(x.dtype)).view_as(x)
        d_w_i = (by_input.t() @ x.flatten(0, 1)).float()
        return d_x, d_w_i, (by_memory.t() @ past).float(), bias_i, bias_h


def from_silence(gru: nn.GRU, x: Tensor) -> Tensor:
    """Run *gru* over whole excerpts, starting from a state of zero.

    Args:
        gru: A GRU with biases and one direction.
        x: Input (B, T, I), float32 or bfloat16.

    Returns:
        States of the last layer (B, T, H), of x's type.
    """
    if x.device.type != "cpu":  # cuDNN computes all steps in one kernel
        if not gru.batch_first:
            x = x.transpose(0, 1)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=quick_half(x.device)):
            y: Tensor = gru(x if quick_half(x.device) else x.float())[0]
        y = y.to(x.dtype)
        return y if gru.batch_first else y.transpose(0, 1)
    kind, states = x.dtype, x.transpose(0, 1)
    with torch.autocast("cpu", enabled=False):
        for layer in range(gru.num_layers):
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            weights = [getattr(gru, f"{name}_l{layer}") for name in names]
            states = _Layer.apply(states.contiguous(), *weights).to(kind)
    return states.transpose(0, 1)


@cache
def quick_half(device: torch.device) -> bool:
    """Measure whether the GRU of a GPU is faster in bfloat16 than in (TF32) float32.

    Where cuDNN does not support bfloat16, torch falls back to kernels for every time step. The
    environment variable RTDENOISE_GRU=float32 decides without a measurement.
    """
    if os.environ.get("RTDENOISE_GRU") == "float32":
        return False
    took_s = []
    try:
        with torch.enable_grad():
            gru = nn.GRU(256, 256, batch_first=True).to(device)
            x = torch.randn(64, 160, 256, device=device)
            for half in (False, True):
                for repeat in range(4):  # the first run builds cuDNN's plans and is not timed
                    if repeat == 1:
                        torch.cuda.synchronize(device)
                        begin = time.perf_counter()
                    with torch.autocast(device.type, torch.bfloat16, enabled=half):
                        y = gru(x)[0]
                    y.float().square().mean().backward()
                torch.cuda.synchronize(device)
                took_s.append(time.perf_counter() - begin)
    except RuntimeError as error:
        print(f"the GRU stays in float32, because bfloat16 failed: {error}", flush=True)
        return False
    print(f"GRU: float32 {1e3 * took_s[0]:.1f} ms, bfloat16 {1e3 * took_s[1]:.1f} ms", flush=True)
    return took_s[1] < 0.95 * took_s[0]
