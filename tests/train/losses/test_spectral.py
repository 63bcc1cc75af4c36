"""Losses on spectra."""

from __future__ import annotations

import pytest
import torch

from train.data.mixing import band_mask
from train.losses.spectral import compressed, log_snr
from train.networks.spectral import FRAMING


def test_losses_are_zero_at_the_reference_and_know_their_mask():
    """And grow with the error; what is above the bandwidth costs nothing."""
    x = torch.randn(2, 2, 5, 513)
    reference, mask = (x[:, 0], x[:, 1]), band_mask(torch.tensor([4000.0, 4000.0]), FRAMING)
    above = x.clone()
    above[..., 100:] += 1.0
    losses = (
        lambda estimate: compressed(estimate, reference, mask, 0.5, 0.3),
        lambda estimate: log_snr(estimate, reference, mask),
    )
    for loss in losses:
        assert float(loss(reference)) == pytest.approx(0, abs=1e-6)
        assert float(loss((above[:, 0], above[:, 1]))) == pytest.approx(0, abs=1e-6)
        assert 0 < float(loss((1.1 * x[:, 0], x[:, 1]))) < float(loss((2 * x[:, 0], x[:, 1])))
