"""What the spectral net owes whoever streams through it, whatever comes in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rtdenoise.errors import UsageError
from train import config
from train.config import Optim
from train.data.mixing import known_bins
from train.losses.spectral import compressed, log_snr
from train.networks.spectral import FRAMING, HOP, SLOWEST, WINDOW, Spectral
from train.spectra import band_bank, running_mean_matrix, spectra
from train.systems import make
from train.systems.base import optimisers, step_by
from train.team import Team

TINY = config.load(Path(__file__).parents[2] / "train" / "recipes" / "tiny.toml")


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


def test_bands_share_out_every_bin():
    """No bin is lost and none counts twice."""
    torch.testing.assert_close(band_bank(64, FRAMING).sum(1), torch.ones(513))
    torch.testing.assert_close(running_mean_matrix(300, SLOWEST).sum(1), torch.ones(300))


def test_losses_are_zero_at_the_reference_and_know_their_mask():
    """And grow with the error; what is above the bandwidth costs nothing."""
    x = torch.randn(2, 2, 5, 513)
    reference, known = (x[:, 0], x[:, 1]), known_bins(torch.tensor([4000.0, 4000.0]), FRAMING)
    above = x.clone()
    above[..., 100:] += 1.0
    losses = (
        lambda estimate: compressed(estimate, reference, known, 0.5, 0.3),
        lambda estimate: log_snr(estimate, reference, known),
    )
    for loss in losses:
        assert float(loss(reference)) == pytest.approx(0, abs=1e-6)
        assert float(loss((above[:, 0], above[:, 1]))) == pytest.approx(0, abs=1e-6)
        assert 0 < float(loss((1.1 * x[:, 0], x[:, 1]))) < float(loss((2 * x[:, 0], x[:, 1])))


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
