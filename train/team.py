"""One process, or several that train together: the only file that meets Lightning Fabric.

    python -m train fit RECIPE ...                            one, on a GPU where there is one
    torchrun --nproc-per-node 2 -m -- train fit RECIPE ...    one for each GPU, or on CPU cores

The bare -- keeps torchrun from taking --run for one of its own.

Every process draws examples of its own, gradients are averaged, so all hold the same weights and a
step sees `processes x batch` examples. Process 0 alone writes, and its clock is everybody's: with a
clock of its own one process would stop a step before the others, and they would wait for ever.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import torch

from .extras import needed


class Team:
    """The processes that train one net together.

    Attributes:
        rank: Number of this process, from 0.
        size: How many processes there are.
        device: Where this process computes.

    Raises:
        UsageError: lightning-fabric is not installed.
    """

    rank: int
    device: torch.device
    _fabric: Any

    def __init__(self) -> None:
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        if self.size == 1:  # needs nobody, and starts two seconds sooner
            self.rank = 0
            self.device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
            return
        self._fabric = needed("lightning_fabric", "train").Fabric(
            accelerator="cuda" if torch.cuda.is_available() else "cpu",
            strategy="ddp" if self.size > 1 else "auto",
            devices=here,
            num_nodes=self.size // here,
        )
        self._fabric.launch()
        self.rank = self._fabric.global_rank
        self.device = self._fabric.device

    @property
    def leads(self) -> bool:
        """True for the one that writes files."""
        return self.rank == 0

    def average(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Make every gradient the mean of all processes', in one message."""
        if self.size == 1:
            return
        grads = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([grad.flatten() for grad in grads])
        mean = torch.as_tensor(self._fabric.all_reduce(flat, reduce_op="mean"))
        for grad, part in zip(grads, mean.split([g.numel() for g in grads]), strict=True):
            grad.copy_(part.view_as(grad))

    def agreed(self, value: float) -> float:
        """Process 0's value, for everybody."""
        if self.size == 1:
            return value
        return float(self._fabric.broadcast(torch.tensor(value, dtype=torch.float64), src=0))

    def close(self) -> None:
        """Wait for everybody, then part; who just ends may be aborted by gloo's threads."""
        if self.size > 1:
            self._fabric.barrier()
            torch.distributed.destroy_process_group()
