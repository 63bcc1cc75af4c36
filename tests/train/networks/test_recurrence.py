"""The GRU of training is torch's GRU, and its gradient too."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from train.networks.recurrence import from_silence


def everything(gru, x, wanted, ours):
    """Output and all gradients of sum(output * wanted)."""
    x = x.clone().requires_grad_()
    gru.zero_grad()
    y = from_silence(gru, x) if ours else gru(x)[0]
    (y.float() * wanted).sum().backward()
    return [y.detach().float(), x.grad.float(), *(p.grad.clone() for p in gru.parameters())]


def distance(these, those):
    """Relative, of each tensor."""
    return [float((a - b).norm() / b.norm()) for a, b in zip(these, those, strict=True)]


@pytest.fixture
def case():
    """Layers of other sizes than their input, weights large enough to saturate some gates."""
    torch.manual_seed(0)
    gru = nn.GRU(20, 37, 2, batch_first=True)
    with torch.no_grad():
        for parameter in gru.parameters():
            parameter.mul_(4.0)
    return gru, torch.randn(3, 50, 20), torch.randn(3, 50, 37)


def test_float32_gives_torch_s_numbers(case):
    """Output, gradient of the input, of every weight and bias."""
    gru, x, wanted = case
    ours, torchs = (everything(gru, x, wanted, ours) for ours in (True, False))
    assert max(distance(ours, torchs)) < 1e-5


def test_bfloat16_is_nearer_to_float32_than_autocast_is(case):
    """The state keeps its digits from step to step."""
    gru, x, wanted = case
    exact = everything(gru, x, wanted, ours=False)
    with torch.autocast("cpu", torch.bfloat16):
        usual = distance(everything(gru, x, wanted, ours=False), exact)
        ours = distance(everything(gru, x.bfloat16(), wanted, ours=True), exact)

    assert max(ours) < 0.05
    assert sum(ours) < sum(usual)


@pytest.mark.parametrize("level", [0.0, 1e30])
def test_extreme_input_gives_finite_numbers(case, level):
    """Gates saturate; they do not overflow."""
    gru, x, wanted = case
    assert all(t.isfinite().all() for t in everything(gru, level * x, wanted, ours=True))
