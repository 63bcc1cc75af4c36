"""Windows and bands."""

from __future__ import annotations

import torch

from train.networks.spectral import FRAMING, HOP, SLOWEST
from train.spectra import band_bank, running_mean_matrix, sound, spectra


def test_bands_share_out_every_bin():
    """No bin is lost and none counts twice."""
    torch.testing.assert_close(band_bank(64, FRAMING).sum(1), torch.ones(513))
    torch.testing.assert_close(running_mean_matrix(300, SLOWEST).sum(1), torch.ones(300))


def test_sound_comes_back_from_its_spectra():
    """Sample by sample, but for the first and the last hop, which only one window hears."""
    audio = torch.randn(2, 4800)
    back = sound(spectra(audio, FRAMING), FRAMING)

    assert back.shape == (2, 4800 // HOP * HOP - 2 * HOP)
    torch.testing.assert_close(back, audio[:, HOP : HOP + back.shape[1]], atol=1e-5, rtol=0)
