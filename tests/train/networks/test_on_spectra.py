"""What every net on spectra owes whoever streams through it."""

from __future__ import annotations

import pytest
import torch

from tests.train.networks.shaken import NETS, shaken
from tests.train.sets import TINY
from train.networks.banded import Banded
from train.networks.spectral import FRAMING, HOP, SLOWEST, WINDOW, Spectral
from train.spectra import running_mean_matrix, spectra


@pytest.fixture(params=NETS)
def net(request):
    """Each net, far from where it starts."""
    return shaken(request.param)


def test_streamed_is_whole(net):
    """Window by window, the samples and the state at the end are those of all at once."""
    windows = 0.1 * torch.randn(2, 25, WINDOW)
    with torch.inference_mode():
        whole, end = net(windows, net.initial_state(2))
        state, parts = net.initial_state(2), []
        for t in range(25):
            part, state = net(windows[:, t : t + 1], state)
            parts.append(part)

    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(state, end, atol=1e-4, rtol=1e-4)


def test_silence_in_silence_out(net):
    """Exactly, also right after a noise, as soon as its filters have nothing else to see."""
    _, state = net(torch.randn(2, 10, WINDOW), net.initial_state(2))
    out, _ = net(torch.zeros(2, 20, WINDOW), state)

    assert not out[:, getattr(net, "taps", 1) - 1 :].any()


@pytest.mark.parametrize("level_db", [-200, -60, 0, 120])
def test_any_level_gives_finite_sound_and_state(net, level_db):
    """Squares and DC too: nothing a microphone does may stop the stream."""
    time = torch.arange(20 * WINDOW, dtype=torch.float32).view(1, 20, WINDOW)
    for sound in (torch.sign(torch.sin(0.05 * time)), torch.ones_like(time)):
        out, state = net(10 ** (level_db / 20) * sound, net.initial_state(1))
        assert torch.isfinite(out).all()
        assert torch.isfinite(state).all()


def test_channels_do_not_hear_each_other(net):
    """A silent channel beside a loud one stays silent, and each is what it would be alone."""
    both = torch.stack([torch.zeros(20, WINDOW), torch.randn(20, WINDOW)])
    out, state = net(both, net.initial_state(2))
    alone, alone_state = net(both[1:], net.initial_state(1))

    torch.testing.assert_close(out[1:], alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(state[1:], alone_state, atol=1e-4, rtol=1e-4)
    assert not out[0].any()


@pytest.mark.parametrize("name", [name for name in NETS if name != "extension"])
def test_training_sees_what_the_stream_computes(name):
    """The batched features and filters of the trainer are those of forward, window by window."""
    net = shaken(name)
    hops = int(TINY.data.seconds * 48_000) // HOP
    x = spectra(0.1 * torch.randn(2, (hops + 1) * HOP), FRAMING)
    windows = torch.fft.irfft(torch.complex(x[:, 0], x[:, 1]))
    with torch.inference_mode():
        streamed, _ = net(windows, net.initial_state(2))
        features = net.see(x[:, 0], x[:, 1], running_mean_matrix(hops, SLOWEST))
        re, im = net.restore(x[:, 0], x[:, 1], *net.decide_all(features))

    torch.testing.assert_close(torch.fft.irfft(torch.complex(re, im)), streamed, atol=1e-5, rtol=0)


@pytest.mark.parametrize("network", [Spectral, Banded])
def test_filters_fade_out_where_they_end(network):
    """No step from a filtered bin to one that is not: that would be a line in steady noise."""
    edge = network().edge
    steps = torch.diff(edge, append=torch.zeros(1))

    assert (steps <= 0).all()
    assert float(steps.abs().max()) < 0.1
    assert float(edge[:60].min()) == 1.0
