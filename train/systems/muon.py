"""Muon that makes the steps of all matrices of a shape orthogonal at once.

torch's makes one after the other, which for the 19 matrices of `spectral` starts 440 kernels of a
GPU in each step. The numbers and the state are those of torch's, so a checkpoint suits both.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor


def orthogonal(
    matrices: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """Bring the singular values of matrices (count, rows, columns) near one, in bfloat16."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).bfloat16()
    x = x / torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True).clamp(min=eps)
    a, b, c = coefficients
    for _ in range(steps):  # of Newton and Schulz
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Muon):
    """torch's Muon for rates that match AdamW's (`match_rms_adamw`), with Nesterov's momentum."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Make a step of every matrix that has a gradient; a closure is not called."""
        for group in self.param_groups:
            alike: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    alike[tuple(p.shape)].append(p)
            for shape, matrices in alike.items():
                self._step(shape, matrices, group)

    def _step(self, shape: tuple[int, ...], matrices: list[Tensor], group: dict[str, Any]) -> None:
        grads = [p.grad for p in matrices if p.grad is not None]
        for p in matrices:
            if not self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        means = [self.state[p]["momentum_buffer"] for p in matrices]
        momentum = group["momentum"]
        torch._foreach_lerp_(means, grads, 1 - momentum)
        ahead = torch.lerp(torch.stack(grads), torch.stack(means), momentum)
        settings = group["ns_coefficients"], group["ns_steps"], group["eps"]
        steps = orthogonal(ahead, *settings).to(matrices[0].dtype)
        rate = group["lr"]
        torch._foreach_mul_(matrices, 1 - rate * group["weight_decay"])
        torch._foreach_add_(matrices, list(steps.unbind()), alpha=-rate * 0.2 * max(shape) ** 0.5)
