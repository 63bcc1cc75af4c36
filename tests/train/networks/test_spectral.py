"""`spectral` in the stream: what it remembers, what it must not do with odd input."""

from __future__ import annotations

import pytest
import torch

from tests.train.networks.shaken import shaken
from train.networks.spectral import WINDOW, Spectral


@pytest.fixture(params=["flat", "deeper"])
def net(request) -> Spectral:
    """A net far from where it starts, without and with a second GRU."""
    net: Spectral = shaken(request.param)
    return net


@pytest.mark.parametrize("quiet", [0.0, 1e-40, 1e-5])
def test_silence_does_not_move_the_running_mean(net, quiet):
    """Zeros, denormals, dither: after a mute the net knows the room it knew before."""
    room, silence = 0.1 * torch.randn(1, 30, WINDOW), quiet * torch.randn(1, 200, WINDOW)
    means = slice(0, 1 + net.bands)
    _, before = net(room, net.initial_state(1))
    _, after = net(silence, before)

    assert torch.equal(after[:, means], before[:, means])
    assert torch.equal(net(silence, net.initial_state(1))[1][:, means], torch.zeros(1, 17))


def test_the_net_starts_as_nearly_the_identity():
    """Training has to earn every change."""
    net, windows = Spectral(), 0.1 * torch.randn(1, 20, WINDOW)
    out, _ = net(windows, net.initial_state(1))

    assert (out - windows).norm() < 0.1 * windows.norm()
