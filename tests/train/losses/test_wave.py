"""Losses on waveforms."""

from __future__ import annotations

import pytest
import torch

from train.losses import features, wave as waveform_losses
from train.losses.wave import within
from train.networks.germain import LossNetwork
from train.networks.mugan import Autoencoder


@pytest.mark.parametrize("name", waveform_losses.LOSSES)
def test_losses_are_least_at_the_reference(name, voices):
    """Zero there (in dB: its limit), and grow with the error; a gradient comes back."""
    loss = waveform_losses.LOSSES[name]
    torch.manual_seed(0)
    error = 0.01 * torch.randn_like(voices)
    near, far = (voices + k * error for k in (1.0, 10.0))
    near.requires_grad_()
    value = loss(near, voices)
    value.backward()

    at_best = float(loss(voices, voices))
    assert at_best == pytest.approx(-60 if name in ("si_sdr", "snr") else 0, abs=0.2)
    assert at_best < float(value.detach()) < float(loss(far, voices).detach())
    assert near.grad is not None
    assert near.grad.abs().sum() > 0


def test_si_sdr_does_not_hear_a_gain(voices):
    """20 dB of noise are 20 dB at any level."""
    torch.manual_seed(0)
    noise = torch.randn_like(voices)
    noisy = voices + noise * voices.norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True) / 10
    value = float(waveform_losses.si_sdr(noisy, voices))

    assert value == pytest.approx(-20, abs=0.3)
    assert float(waveform_losses.si_sdr(3 * noisy, voices)) == pytest.approx(value, abs=0.01)


@pytest.mark.parametrize(
    "loss",
    [
        waveform_losses.stft,
        features.AutoencoderFeatures(Autoencoder(2, 0.1)),
        features.GermainFeatures(LossNetwork(2, 4)),
    ],
    ids=["stft", "autoencoder", "germain"],
)
def test_silence_does_not_count_where_losses_are_relative(loss, voices):
    """A row of silence changes nothing, and alone gives no gradient."""
    rows = torch.cat([voices[:2], torch.zeros(1, voices.shape[1])])
    near = (rows + 0.01).requires_grad_()
    torch.testing.assert_close(loss(near, rows), loss(near[:2], rows[:2]))
    loss(near[2:], rows[2:]).backward()
    assert near.grad is not None
    assert not near.grad.any()


def test_what_a_recording_does_not_hold_is_no_truth():
    """Above its row's bandwidth estimate and reference are the same silence; below untouched."""
    t = torch.arange(1600) / 16_000
    low, high = (torch.sin(2 * torch.pi * hz * t).repeat(2, 1) for hz in (1000, 6000))
    bandwidth_hz = torch.tensor([4000.0, 8000.0])
    (seen,) = within(bandwidth_hz, 16_000, low + high)
    torch.testing.assert_close(seen[0], low[0], atol=1e-3, rtol=0)
    torch.testing.assert_close(seen[1], (low + high)[1], atol=1e-3, rtol=0)
    same = low + high
    assert within(torch.full((2,), 8000.0), 16_000, same)[0] is same
