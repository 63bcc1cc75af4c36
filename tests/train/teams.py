"""Processes that run `train`, and teams of them as torchrun starts them, but without its seconds.

A server that has imported everything forks them, so that a process costs no import of torch.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import torch

from tests.train.sets import RECIPES
from train.cli import main
from train.run import journal
from train.run.checkpoint import CHECKPOINT, CONTENT, read, save

LONG_S = 300.0  # far beyond what a test takes on a busy machine
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [__name__, "lightning_fabric", "matplotlib.figure", "train.run.loop", "train.evaluate"]
)


@dataclass
class Member:
    """One process, and the file with all that it says."""

    process: ForkServerProcess
    said: Path

    def wait(self) -> int | None:
        """The exit code, or None for a process that hangs."""
        self.process.join(LONG_S)
        return self.process.exitcode

    def lines(self) -> list[str]:
        """What it says, without the greeting of Fabric."""
        return [line for line in self.said.read_text().splitlines() if line.startswith("train ")]


def work(words: list[str], variables: dict[str, str], said: Path) -> None:
    """Run `python -m train` with other variables, and with its output in a file."""
    os.environ.update(variables)
    journal.SAMPLES = 0  # pictures take seconds
    file = os.open(said, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(file, number)
    sys.exit(main(words))


def save_for_ever(path: Path) -> None:
    """Save a checkpoint of a few MB again and again, each with a higher step."""
    step = 0 if not path.is_file() else read(path)["step"]
    while True:
        step += 1
        save(path, dict.fromkeys(CONTENT, 0) | {"step": step, "system": torch.zeros(1 << 18)})


def begin(
    cache: Path | Sequence[Path], runs: Sequence[Path], *sets: str, here: int | None = None
) -> list[Member]:
    """Begin `fit` in a process for each of *runs*, its folder; *here* of them are on a machine."""
    caches = [cache] * len(runs) if isinstance(cache, Path) else cache
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    here = here or len(runs)
    members = []
    for rank, run in enumerate(runs):
        variables = {
            "RANK": str(rank), "WORLD_SIZE": str(len(runs)), "LOCAL_RANK": str(rank % here),
            "LOCAL_WORLD_SIZE": str(here), "GROUP_RANK": str(rank // here),
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test",
        }  # fmt: skip
        words = ["fit", str(RECIPES / "tiny.toml"), "--cache", str(caches[rank]), "--run", str(run)]
        both = ["run.log_steps=1", "run.tensorboard=false", "run.patience_s=200"]
        for change in [*both, *sets]:
            words += ["--set", change.replace("RANK", str(rank))]
        said = run.with_name(f"{run.name}.{rank}.said")
        process = SERVER.Process(target=work, args=(words, variables, said))
        process.start()
        members.append(Member(process, said))
    return members


def after(run: Path, step: int) -> None:
    """Wait until *run* has made a step and saved it."""
    until = time.monotonic() + LONG_S
    while time.monotonic() < until:
        if (run / CHECKPOINT).is_file() and read(run / CHECKPOINT)["step"] >= step:
            return
        time.sleep(0.02)
    raise TimeoutError(run)
