"""The batched Muon is torch's."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from train.systems.muon import Muon

SHAPES = [(24, 10), (8, 16), (24, 10), (9, 9), (8, 16), (24, 10)]


def trained(kind, steps, start=None):
    """Make steps with random gradients, one matrix without any; returns matrices and state."""
    rng = torch.Generator().manual_seed(0)
    matrices = [nn.Parameter(torch.randn(shape, generator=rng)) for shape in SHAPES]
    optimiser = kind(
        matrices, lr=0.01, momentum=0.95, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"
    )
    if start:
        optimiser.load_state_dict(deepcopy(start))
    for _ in range(steps):
        for number, matrix in enumerate(matrices):
            grad = torch.randn(matrix.shape, generator=rng)
            matrix.grad = None if number == 4 else grad
        optimiser.step()
    return [matrix.detach() for matrix in matrices], optimiser.state_dict()


def test_steps_are_those_of_torch():
    """Tall, wide and square matrices, several of a shape, to bfloat16's last digit of a step."""
    ours, _ = trained(Muon, 5)
    theirs, _ = trained(torch.optim.Muon, 5)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=2e-4, rtol=0)


def test_each_continues_from_the_state_of_the_other():
    """So a checkpoint of either version of this program continues in the other."""
    state = {kind: trained(kind, 3)[1] for kind in (Muon, torch.optim.Muon)}
    expected, _ = trained(torch.optim.Muon, 2, state[torch.optim.Muon])
    for kind, start in ((Muon, torch.optim.Muon), (torch.optim.Muon, Muon)):
        found, _ = trained(kind, 2, state[start])
        for mine, other in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, other, atol=2e-4, rtol=0)
