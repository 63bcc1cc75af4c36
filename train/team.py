"""Training in one process or in several; the only file that imports Lightning Fabric.

    python -m train fit RECIPE ...                            one process, on a GPU if present
    torchrun --nproc-per-node 2 -m -- train fit RECIPE ...    one process for each GPU or core

The bare -- keeps torchrun from parsing --run as an option of its own.

The batch of a step is cut into shares, whose number a run keeps. Process r of n computes the shares
r, r + n, r + 2n, ... one after the other, and gradients are averaged over all shares. So all
processes hold the same weights, and a run that goes on with fewer processes hears the same examples
and makes the same steps; they only take longer.

Gradients travel by NCCL between GPUs. All else (clocks, checkpoints, comparisons) travels by gloo
between CPUs: a process that waits there for one that died gets an error that Python can catch.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from rtdenoise.errors import RtdenoiseError, UsageError, last_line

from .extras import needed

PATIENCE_S = 300.0
BUCKET = 64 << 20  # bytes of gradients that are one message
T = TypeVar("T")


def restarts_badly() -> bool:
    """Whether torchrun restarts processes whose addresses stay in its store."""
    shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return shared and int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")) > 0


def buckets(grads: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yield *grads*, in their order, as lists of at most `BUCKET` bytes or of one tensor."""
    bucket: list[Tensor] = []
    for grad in grads:
        if bucket and sum(g.nbytes for g in bucket) + grad.nbytes > BUCKET:
            yield bucket
            bucket = []
        bucket.append(grad)
    yield bucket


class TeamError(RtdenoiseError):
    """Another process of the run is lost, does not answer, or could not begin."""


class Team:
    """The processes that train one net together.

    Args:
        patience_s: Seconds that a process waits for the others before it gives up.

    Attributes:
        rank: Index of this process, from 0.
        size: Number of processes.
        place: Index of this process on its machine, from 0.
        device: Device on which this process computes.

    Raises:
        UsageError: lightning-fabric is not installed, or machines run different numbers of
            processes.
        TeamError: the processes do not find each other.
    """

    rank: int
    device: torch.device

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.place = int(os.environ.get("LOCAL_RANK", "0"))
        self.patience_s = patience_s
        if self.size == 1:  # without the package, training starts two seconds sooner
            self.rank = 0
            self.device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
            return
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        if self.size % here:
            raise UsageError(
                f"{self.size} processes in all, {here} on {platform.node()}: every machine has to "
                "run the same number"
            )
        gpu = torch.cuda.is_available()
        if gpu and here > torch.cuda.device_count():
            raise UsageError(
                f"{here} processes on {platform.node()}, which has {torch.cuda.device_count()} GPUs"
            )
        fabric = needed("lightning_fabric", "train")
        # NCCL ends a process that waited too long, without an exception: gloo shall be the first.
        strategy = needed("lightning_fabric.strategies", "train").DDPStrategy(
            timeout=timedelta(seconds=patience_s * (2 if gpu else 1))
        )
        with self._hearing():
            self._fabric = fabric.Fabric(
                accelerator="cuda" if gpu else "cpu",
                strategy=strategy,
                devices=here,
                num_nodes=self.size // here,
            )
            self._fabric.launch()
            self._words = distributed.new_group(
                backend="gloo", timeout=timedelta(seconds=patience_s)
            )
        self.rank, self.device = self._fabric.global_rank, self._fabric.device
        if self.leads and restarts_badly():
            print(
                "torchrun of torch 2.13 mixes up the addresses of the processes before and after a "
                "restart: export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 before it",
                file=sys.stderr,
                flush=True,
            )

    @property
    def leads(self) -> bool:
        """Whether this process writes the records."""
        return self.rank == 0

    @property
    def name(self) -> str:
        """The name of this process in messages."""
        return f"process {self.rank} on {platform.node()}"

    @contextmanager
    def _hearing(self) -> Iterator[None]:
        """Return a context in which a process that is lost is an error of one line."""
        try:
            yield
        except RuntimeError as error:  # gloo and torch.distributed raise it and its subclasses
            # Neither the line of gloo's source nor its advice helps.
            reason = re.sub(r"\[\S*/\S*\] ", "", last_line(error)).partition(". ")[0]
            raise TeamError(
                f"another process of the run is lost, or did not answer for {self.patience_s:g} s "
                f"(run.patience_s), says {platform.node()} ({reason}). The last checkpoint is "
                "kept: the same command goes on from it"
            ) from None

    def average(self, parameters: Iterable[torch.nn.Parameter], shares: int = 1) -> None:
        """Replace every gradient, a sum over the shares of this process, by the mean of all shares.

        They travel in buckets, so that a large net needs no second copy of all its gradients; a net
        of less than 16 million parameters has one. Buckets that begin during the backward pass
        could save 1 % of a step (docs/nodes.md).

        Args:
            parameters: Parameters with a gradient; in a process without a share they have none.
            shares: Number of shares of all processes together.
        """
        if self.size == 1 and shares == 1:
            return
        those = [p for p in parameters if p.requires_grad]
        for p in those:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        grads = [p.grad for p in those if p.grad is not None]
        if self.size == 1:
            torch._foreach_div_(grads, float(shares))
            return
        for bucket in buckets(grads):
            flat = torch.cat([grad.flatten() for grad in bucket])
            with self._hearing():
                total = torch.as_tensor(self._fabric.all_reduce(flat, reduce_op="sum")).div_(shares)
            parts = total.split([grad.numel() for grad in bucket])
            means = [part.view_as(grad) for part, grad in zip(parts, bucket, strict=True)]
            torch._foreach_copy_(bucket, means)

    def agreed(self, took_s: float, stop: bool) -> tuple[float, bool]:
        """Return the longest time, and whether any process wants to stop; the same in all.

        With clocks of their own, one process could stop a step before the others, which would then
        wait for it.
        """
        if self.size == 1:
            return took_s, stop
        both = torch.tensor([took_s, float(stop)], dtype=torch.float64)
        with self._hearing():
            distributed.all_reduce(both, distributed.ReduceOp.MAX, self._words)
        return float(both[0]), bool(both[1])

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, by rank, in every process."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with self._hearing():
            distributed.all_gather_object(values, value, self._words)
        return values

    def given(self, value: T, source: int) -> T:
        """Return the value of process *source*, in every process."""
        if self.size == 1:
            return value
        box = [value]
        with self._hearing():
            distributed.broadcast_object_list(box, source, self._words)
        return box[0]

    def compare(self, facts: Callable[[], Mapping[str, Any]]) -> None:
        """Check that all processes have the same facts.

        Args:
            facts: Function that returns them; a process alone does not call it, as they cost time.

        Raises:
            TeamError: one has another than process 0; the message names the fact and both of them.
        """
        if self.size == 1:
            return
        (first, wanted), *others = self.gather((self.name, dict(facts())))
        for name, row in others:
            for fact in sorted(wanted.keys() | row.keys()):
                if row.get(fact) != wanted.get(fact):
                    raise TeamError(
                        f"{first} and {name} do not train the same: {fact} is "
                        f"{wanted.get(fact)!r} on the one, {row.get(fact)!r} on the other"
                    )

    @contextmanager
    def together(self) -> Iterator[None]:
        """Return a context at whose end an error of one process is an error of all.

        The others would wait for one that could not begin, and then not know why it is lost.

        Raises:
            TeamError: another process has failed; the message says which, and why.
        """
        fault: RtdenoiseError | None = None
        try:
            yield
        except TeamError:
            raise
        except RtdenoiseError as error:
            fault = error
        faults = self.gather(f"{self.name}: {fault}" if fault else "")
        if fault:
            raise fault
        if told := next(filter(None, faults), ""):
            raise TeamError(told)

    def close(self) -> None:
        """Wait for all processes, then leave the group: gloo may abort one that just exits."""
        if self.size > 1:
            self.gather(None)
            distributed.destroy_process_group()
