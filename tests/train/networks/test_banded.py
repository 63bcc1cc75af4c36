"""What the net with weights shared over frequency owes whoever streams through it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.train.sets import TINY
from train.networks.banded import Banded, centres, shares
from train.networks.spectral import FRAMING, HOP, SLOWEST, WINDOW
from train.spectra import running_mean_matrix, spectra
from train.systems import make
from train.team import Team

SMALL = {"width": 8, "blocks": 2, "positions": 12, "heads": 2, "whole": 16, "bands": 16}
SMALL |= {"low_bins": 24, "fading": 8, "taps": 3}


@pytest.fixture
def net() -> Banded:
    """A net far from where it starts."""
    torch.manual_seed(0)
    net = Banded(**SMALL)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


def test_streamed_is_whole(net):
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
    _, state = net(torch.randn(2, 10, WINDOW), net.initial_state(2))
    out, _ = net(torch.zeros(2, 20, WINDOW), state)

    assert not out[:, net.taps - 1 :].any()


@pytest.mark.parametrize("level_db", [-200, -60, 0, 120])
def test_any_level_gives_finite_sound_and_state(net, level_db):
    out, state = net(10 ** (level_db / 20) * torch.ones(1, 20, WINDOW), net.initial_state(1))

    assert torch.isfinite(out).all()
    assert torch.isfinite(state).all()


def test_channels_do_not_hear_each_other(net):
    both = torch.stack([torch.zeros(20, WINDOW), torch.randn(20, WINDOW)])
    out, _ = net(both, net.initial_state(2))
    alone, _ = net(both[1:], net.initial_state(1))

    torch.testing.assert_close(out[1:], alone, atol=1e-5, rtol=0)
    assert not out[0].any()


def test_it_starts_as_nearly_the_identity_and_is_small():
    net, windows = Banded(), 0.1 * torch.randn(1, 20, WINDOW)
    out, _ = net(windows, net.initial_state(1))

    assert (out - windows).norm() < 0.05 * windows.norm()
    assert 200_000 < sum(p.numel() for p in net.parameters()) < 600_000


def test_training_sees_what_the_stream_computes(net):
    hops = int(TINY.data.seconds * 48_000) // HOP
    x = spectra(0.1 * torch.randn(2, (hops + 1) * HOP), FRAMING)
    windows = torch.fft.irfft(torch.complex(x[:, 0], x[:, 1]))
    with torch.inference_mode():
        streamed, _ = net(windows, net.initial_state(2))
        features = net.see(x[:, 0], x[:, 1], running_mean_matrix(hops, SLOWEST))
        re, im = net.restore(x[:, 0], x[:, 1], *net.decide_all(features))

    torch.testing.assert_close(torch.fft.irfft(torch.complex(re, im)), streamed, atol=1e-5, rtol=0)


def test_every_band_and_every_low_bin_is_decided_about_once(net):
    bands, bins = shares(32, 64, 96)
    assert sorted(b for row in bands for b in row) == list(range(64))
    assert sorted(b for row in bins for b in row) == list(range(96))
    for places in (net.gain_at, net.tap_at):
        assert len(set(places.tolist())) == len(places)
        assert int(places.max()) < net.positions * net.decides
    assert (torch.diff(torch.from_numpy(centres(32))) > 1.5).all()


def test_filters_fade_out_where_they_end(net):
    """No step from a filtered bin to one that is not: that would be a line in steady noise."""
    edge = Banded().edge
    steps = torch.diff(edge, append=torch.zeros(1))

    assert (steps <= 0).all()
    assert float(steps.abs().max()) < 0.06
    assert float(edge[:60].min()) == 1.0


def test_it_learns_by_the_recipe():
    """The system for spectra takes it; every parameter is reached, the loss of one batch falls."""
    quick = replace(TINY.optim, lr=3e-2, warmup_steps=1)
    recipe = replace(TINY, net={"network": "banded", **SMALL}, optim=quick)
    torch.manual_seed(0)
    system = make(recipe, Team())
    x = spectra(0.1 * torch.randn(4, (24 + 1) * HOP), FRAMING)
    batch = (x, 0.3 * x, torch.full((4,), 24_000.0))
    rows = [system.step(batch, step, 0.0) for step in range(30)]

    assert float(rows[-1]["loss"]) < 0.8 * float(rows[0]["loss"])
    for name, parameter in system.net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    assert isinstance(system.net, Banded)
    assert float(system.unseen_loss(batch)["loss"]) > 0
