"""Measure what several processes that train one net pay for being several (docs/nodes.md).

    torchrun --nproc-per-node 2 tools/team_bench.py CACHE RECIPE [RECIPE ...] [a.b=c ...]

Every process computes one share of the recipe's batch. For each recipe, process 0 prints the time
of a share's examples and of its step, of a message as large as the gradients and of a word between
the CPUs, how much longer a step is that averages the gradients in one of three ways, and the time
and the size of a checkpoint. The ways take turns, step by step, so that a busy machine slows them
alike; times are the least of ROUNDS, because what else runs on a machine only adds to them.

* whole: all gradients in one message after the backward pass, as train/team.py does it
* pieces: in buckets of BUCKET bytes after the backward pass
* during: in the same buckets, each as soon as its gradients are there
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from train import config
from train.data.library import Library
from train.run.checkpoint import CHECKPOINT, Progress, keep
from train.systems import make
from train.systems.base import System
from train.team import Team

ROUNDS = 10
BUCKET = 1 << 20  # 25 MiB, the default of DistributedDataParallel, would be one bucket


class Buckets:
    """The gradients of a net, averaged in buckets from the last parameter to the first.

    Args:
        parameters: Parameters of the net.
        during: Whether a bucket is sent as soon as its gradients are there.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], during: bool) -> None:
        self.buckets: list[list[nn.Parameter]] = [[]]
        for parameter in reversed(list(parameters)):
            if sum(p.numel() for p in self.buckets[-1]) * 4 > BUCKET:
                self.buckets.append([])
            self.buckets[-1].append(parameter)
        self.sent: list[tuple[list[nn.Parameter], torch.Tensor, Any]] = []
        self.left = [len(bucket) for bucket in self.buckets]
        self.hooks = [
            p.register_post_accumulate_grad_hook(lambda _, number=number: self.ready(number))
            for number, bucket in enumerate(self.buckets if during else [])
            for p in bucket
        ]

    def ready(self, number: int) -> None:
        """Note that a gradient of a bucket is there; send the bucket if it is complete."""
        self.left[number] -= 1
        if not self.left[number]:
            self.send(self.buckets[number])

    def send(self, bucket: list[nn.Parameter]) -> None:
        """Begin to sum the gradients of a bucket."""
        flat = torch.cat([p.grad.flatten() for p in bucket])
        self.sent.append((bucket, flat, distributed.all_reduce(flat, async_op=True)))

    def finish(self, _: Iterable[nn.Parameter], shares: int) -> None:
        """Wait for all buckets, and give the parameters their means; in place of `Team.average`."""
        if not self.hooks:
            for bucket in self.buckets:
                self.send(bucket)
        for bucket, flat, work in self.sent:
            work.wait()
            parts = flat.div_(shares).split([p.numel() for p in bucket])
            for p, part in zip(bucket, parts, strict=True):
                p.grad.copy_(part.view_as(p))
        self.sent, self.left = [], [len(bucket) for bucket in self.buckets]


def now() -> float:
    """Wait for the GPU and return the time."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def timed(system: System, batches: list[Any], step: int, way: str) -> float:
    """Make one step whose gradients are averaged in one *way*, and return its seconds."""
    system.team.gather(None)  # all begin together
    buckets = Buckets(system.net.parameters(), way == "during") if way != "whole" else None
    average = system.team.average
    if buckets:
        system.team.average = buckets.finish  # type: ignore[method-assign]
    if way == "alone":
        system.team.average = lambda *_: None  # type: ignore[method-assign]
    begin = now()
    system.step(batches, step, 0.0)
    took_s = now() - begin
    system.team.average = average  # type: ignore[method-assign]
    for hook in buckets.hooks if buckets else ():
        hook.remove()
    return took_s


def measure(path: str, cache: Path, changes: list[str], team: Team) -> None:
    """Measure one recipe and print the figures."""
    recipe = config.load(path, ["run.tensorboard=false", *changes])
    torch.set_num_threads(recipe.run.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    system = make(recipe, team)
    system.shares = team.size
    (feed,) = system.feeds(Library(cache, recipe.data), 0)
    ways = ("alone", "whole", "pieces", "during")
    took: dict[str, list[float]] = {name: [] for name in ("examples", "message", "word", *ways)}
    size = sum(p.numel() for p in system.net.parameters())
    flat = torch.zeros(size, device=team.device)
    for step in range(ROUNDS + 2):  # the first two compile and warm up
        begin = now()
        batches = [feed.batch(step)]
        took["examples"].append(now() - begin)
        for way in ways:
            took[way].append(timed(system, batches, step, way))
        team.gather(None)
        begin = now()
        distributed.all_reduce(flat)
        took["message"].append(now() - begin)
        begin = now()
        team.agreed(0.0, False)
        took["word"].append(now() - begin)
    ms = {name: 1e3 * min(times[2:]) for name, times in took.items()}
    if not team.leads:
        return
    extra = {way: ms[way] - ms["alone"] for way in ways[1:]}
    with tempfile.TemporaryDirectory() as folder:
        begin = now()
        keep(Path(folder), recipe, system, Progress())
        saved_ms = 1e3 * (now() - begin)
        saved = (Path(folder) / CHECKPOINT).stat().st_size
    print(
        f"{Path(path).stem}: {size / 1e6:.2f} M parameters, {4 * size / 2**20:.1f} MiB of gradients"
        f" in {-(-4 * size // BUCKET)} buckets, {team.size} processes on {team.device.type}, shares"
        f" of {recipe.optim.batch // team.size} x {recipe.data.seconds} s\n"
        f"  examples {ms['examples']:.1f} ms, step alone {ms['alone']:.1f} ms, one message"
        f" {ms['message']:.1f} ms, one word {ms['word']:.2f} ms\n"
        f"  a step more by: {', '.join(f'{way} {value:+.1f} ms' for way, value in extra.items())}\n"
        f"  checkpoint {saved / 2**20:.1f} MiB in {saved_ms:.0f} ms",
        flush=True,
    )


def main(words: list[str]) -> None:
    """Measure every recipe."""
    team = Team()
    changes = [word for word in words[1:] if "=" in word]
    for path in (word for word in words[1:] if "=" not in word):
        measure(path, Path(words[0]), changes, team)
    team.close()


if __name__ == "__main__":
    main(sys.argv[1:])
