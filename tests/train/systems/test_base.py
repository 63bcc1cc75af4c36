"""What every kind of training shares."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rtdenoise.errors import UsageError
from tests.train.sets import TINY
from train.networks.spectral import WINDOW, Spectral
from train.sections import Optim
from train.systems import make
from train.systems.base import optimisers, step_by
from train.team import Team


@pytest.fixture(params=[0, 2], ids=["flat", "deeper"])
def net(request) -> Spectral:
    """A net far from where it starts, without and with a second GRU."""
    torch.manual_seed(0)
    net = Spectral(hidden=24, layers=2, deeper=request.param, bands=16, low_bins=16, taps=3)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return net


def test_a_net_grows_without_changing_what_it_does(net):
    """`fit --from` a smaller model: new layers start silent; anything else is another network."""
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    sizes = {"hidden": 24, "bands": 16, "low_bins": 16, "taps": 3, "deeper": 2}
    recipe = replace(TINY, net={"network": "spectral", **sizes})
    system = make(recipe, Team())
    grown = system.start_from(weights)
    windows = torch.randn(2, 10, WINDOW)
    with torch.inference_mode():
        before, _ = net(windows, net.initial_state(2))
        after, _ = system.net(windows, system.net.initial_state(2))

    assert bool(grown) == (net.deeper is None)
    torch.testing.assert_close(after, before, atol=1e-6, rtol=0)
    del weights["enter.bias"]
    with pytest.raises(UsageError, match=r"another network than the recipe's \[net\]: enter.bias"):
        system.start_from(weights)


def test_a_buffer_that_an_older_model_lacks_is_nothing_random():
    """Runs from such a model begin alike whatever their seeds, so `export` can average them."""
    system = make(TINY, Team())
    weights = {name: value.numpy() for name, value in system.net.state_dict().items()}
    del weights["edge"]
    assert make(TINY, Team()).start_from(weights) == []


def test_each_tap_is_made_orthogonal_for_itself(net):
    """Muon's step of the filters: every real and imaginary tap moves along all directions alike."""
    folded, both = optimisers(net, Optim(muon_lr=1e-2, muon_decay=0.0), net.side_by_side())
    for parameter in net.parameters():
        parameter.grad = torch.randn_like(parameter)
    before = net.filters.weight.detach().clone()
    step_by(folded, both, [1e-2, 1e-3])
    moved = (net.filters.weight.detach() - before).view(2 * net.taps, net.low, -1)
    sizes = torch.linalg.svdvals(moved)

    assert len(folded) == 2 * net.taps
    assert (sizes[:, -1] > 0.5 * sizes[:, 0]).all()
    assert moved.square().mean().sqrt() == pytest.approx(0.2e-2, rel=0.2)
