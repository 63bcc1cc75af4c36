"""Training in one process or in several; the only file that imports Lightning Fabric.

    python -m train fit RECIPE ...                            one process, on a GPU if present
    torchrun --nproc-per-node 2 -m -- train fit RECIPE ...    one process for each GPU or core

The bare -- keeps torchrun from parsing --run as an option of its own.

Every process draws its own examples and gradients are averaged, so all processes hold the same
weights and a step trains on `processes x batch` examples. Only process 0 writes files, and all
processes use its clock: with separate clocks one of them could stop a step before the others,
which would then wait forever.
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
        rank: Index of this process, from 0.
        size: Number of processes.
        device: Device on which this process computes.

    Raises:
        UsageError: lightning-fabric is not installed.
    """

    rank: int
    device: torch.device
    _fabric: Any

    def __init__(self) -> None:
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        if self.size == 1:  # without the package, training starts two seconds sooner
            self.rank = 0
            self.device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
            return
        self._fabric = needed("lightning_fabric", "train").Fabric(
            accelerator="cuda" if torch.cuda.is_available() else "cpu",
            strategy="ddp",
            devices=here,
            num_nodes=self.size // here,
        )
        self._fabric.launch()
        self.rank = self._fabric.global_rank
        self.device = self._fabric.device

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def average(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace every gradient by its mean over all processes, in one message."""
        if self.size == 1:
            return
        grads = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([grad.flatten() for grad in grads])
        mean = torch.as_tensor(self._fabric.all_reduce(flat, reduce_op="mean"))
        for grad, part in zip(grads, mean.split([g.numel() for g in grads]), strict=True):
            grad.copy_(part.view_as(grad))

    def agreed(self, value: float) -> float:
        """Return the value of process 0, in every process."""
        if self.size == 1:
            return value
        return float(self._fabric.broadcast(torch.tensor(value, dtype=torch.float64), src=0))

    def close(self) -> None:
        """Wait for all processes, then leave the group: gloo may abort one that just exits."""
        if self.size > 1:
            self._fabric.barrier()
            torch.distributed.destroy_process_group()
