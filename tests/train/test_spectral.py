"""What the spectral net owes whoever streams through it, whatever comes in."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from train.spectral import WINDOW, Spectral


@pytest.fixture
def net() -> Spectral:
    """A net far from where it starts."""
    torch.manual_seed(0)
    net = Spectral(hidden=24, layers=2, bands=16, low_bins=16, taps=3)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
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


def test_silence_in_silence_out(net):
    """Exactly, also right after a noise: nothing of the past windows rings on for long."""
    _, state = net(torch.randn(2, 10, WINDOW), net.initial_state(2))
    out, _ = net(torch.zeros(2, 20, WINDOW), state)

    assert not out[:, net.taps - 1 :].any()


@pytest.mark.parametrize("level_db", [-200, -60, 0, 120])
def test_any_level_gives_finite_sound_and_state(net, level_db):
    """Squares and DC too: nothing a microphone does may stop the stream."""
    time = torch.arange(20 * WINDOW, dtype=torch.float32).view(1, 20, WINDOW)
    for sound in (torch.sign(torch.sin(0.05 * time)), torch.ones_like(time)):
        out, state = net(10 ** (level_db / 20) * sound, net.initial_state(1))
        assert np.isfinite(out.detach().numpy()).all()
        assert np.isfinite(state.detach().numpy()).all()


def test_channels_do_not_hear_each_other(net):
    """A silent channel beside a loud one stays what it would be alone."""
    both = torch.stack([torch.zeros(20, WINDOW), torch.randn(20, WINDOW)])
    out, state = net(both, net.initial_state(2))
    alone, alone_state = net(both[1:], net.initial_state(1))

    torch.testing.assert_close(out[1:], alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(state[1:], alone_state, atol=1e-4, rtol=1e-4)
    assert not out[0].any()
