"""`spectral` in the stream: what it remembers, what it must not do with odd input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.train.sets import TINY
from train.networks.spectral import FRAMING, HOP, SLOWEST, WINDOW, Spectral
from train.spectra import running_mean_matrix, spectra


@pytest.fixture(params=[0, 2], ids=["flat", "deeper"])
def net(request) -> Spectral:
    """A net far from where it starts, without and with a second GRU."""
    torch.manual_seed(0)
    net = Spectral(hidden=24, layers=2, deeper=request.param, bands=16, low_bins=16, taps=3)
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


def test_the_net_starts_as_nearly_the_identity():
    """Training has to earn every change."""
    net, windows = Spectral(), 0.1 * torch.randn(1, 20, WINDOW)
    out, _ = net(windows, net.initial_state(1))

    assert (out - windows).norm() < 0.1 * windows.norm()


def test_training_sees_what_the_stream_computes(net):
    """The batched features and filters of the trainer are those of forward, window by window."""
    hops = int(TINY.data.seconds * 48_000) // HOP
    audio = 0.1 * torch.randn(2, (hops + 1) * HOP)
    x = spectra(audio, FRAMING)
    windows = torch.fft.irfft(torch.complex(x[:, 0], x[:, 1]))
    with torch.inference_mode():
        streamed, _ = net(windows, net.initial_state(2))
        features = net.see(x[:, 0], x[:, 1], running_mean_matrix(hops, SLOWEST))
        re, im = net.restore(x[:, 0], x[:, 1], *net.decide_all(features))

    torch.testing.assert_close(torch.fft.irfft(torch.complex(re, im)), streamed, atol=1e-5, rtol=0)
