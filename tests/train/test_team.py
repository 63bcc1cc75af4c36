"""Several processes that train one net."""

from __future__ import annotations

import os
import subprocess
import sys

import torch

from tests.train.sets import RECIPES
from train import config
from train.run.checkpoint import CHECKPOINT
from train.run.journal import read_rows
from train.run.loop import fit

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
TORCHRUN += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]


def test_two_processes_train_one_net(cache, tmp_path):
    """By torchrun: they see different examples and hold the same weights; one of them writes."""
    command = [*TORCHRUN, "-m", "--", "train", "fit"]
    command += [str(RECIPES / "tiny.toml"), "--cache", str(cache), "--run", str(tmp_path)]
    command += ["--set", "optim.steps=6", "--set", "run.log_steps=1"]
    done = subprocess.run(command, cwd=RECIPES.parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = read_rows(tmp_path / "log.csv")

    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    fit(config.load(RECIPES / "tiny.toml", ["optim.steps=6"]), cache, tmp_path / "alone")
    alone, pair = (
        torch.load(path / CHECKPOINT, weights_only=True)["system"]["net"]
        for path in (tmp_path / "alone", tmp_path)
    )
    assert any(not torch.equal(alone[name], pair[name]) for name in alone)


def test_gradients_of_a_team_are_averaged(tmp_path):
    """Every process ends with the mean, and with process 0's clock."""
    (tmp_path / "two.py").write_text(
        "import torch; from train.team import Team\n"
        "team = Team(); weight = torch.nn.Parameter(torch.zeros(3))\n"
        "weight.grad = torch.full((3,), float(team.rank)); team.average([weight])\n"
        "assert weight.grad.tolist() == [0.5] * 3, weight.grad\n"
        "assert team.agreed(team.rank + 7.0) == 7.0 and team.size == 2\n"
        "team.close()\n"
    )
    done = subprocess.run(
        [*TORCHRUN, str(tmp_path / "two.py")],
        cwd=RECIPES.parents[1],
        env=os.environ | {"PYTHONPATH": str(RECIPES.parents[1])},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
