"""What the net with weights shared over frequency owes whoever streams through it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.train.networks.shaken import BANDED, shaken
from tests.train.sets import TINY
from train.networks.banded import Banded, centres, shares
from train.networks.spectral import FRAMING, HOP, WINDOW
from train.spectra import spectra
from train.systems import make
from train.team import Team


@pytest.fixture
def net() -> Banded:
    """A net far from where it starts."""
    net: Banded = shaken("banded")
    return net


def test_it_starts_as_nearly_the_identity_and_is_small():
    net, windows = Banded(), 0.1 * torch.randn(1, 20, WINDOW)
    out, _ = net(windows, net.initial_state(1))

    assert (out - windows).norm() < 0.05 * windows.norm()
    assert 200_000 < sum(p.numel() for p in net.parameters()) < 600_000


def test_every_band_and_every_low_bin_is_decided_about_once(net):
    bands, bins = shares(32, 64, 96)
    assert sorted(b for row in bands for b in row) == list(range(64))
    assert sorted(b for row in bins for b in row) == list(range(96))
    for places in (net.gain_at, net.tap_at):
        assert len(set(places.tolist())) == len(places)
        assert int(places.max()) < net.positions * net.decides
    assert (torch.diff(torch.from_numpy(centres(32))) > 1.5).all()


def test_it_learns_by_the_recipe():
    """The system for spectra takes it; every parameter is reached, the loss of one batch falls."""
    quick = replace(TINY.optim, lr=3e-2, warmup_steps=1)
    recipe = replace(TINY, net={"network": "banded", **BANDED}, optim=quick)
    torch.manual_seed(0)
    system = make(recipe, Team())
    x = spectra(0.1 * torch.randn(4, (24 + 1) * HOP), FRAMING)
    batch = (x, 0.3 * x, torch.full((4,), 24_000.0))
    rows = [system.step([batch], step, 0.0) for step in range(30)]

    assert float(rows[-1]["loss"]) < 0.8 * float(rows[0]["loss"])
    for name, parameter in system.net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    assert isinstance(system.net, Banded)
    assert float(system.unseen_loss(batch)["loss"]) > 0
