"""The losses that read spectra as listeners do, against the metrics they stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pesq
import pystoi
import pytest
import soundfile
import soxr
import torch

from train.losses.perceptual import Estoi, Pmsqe
from train.losses.spectral import Restoration
from train.networks.spectral import FRAMING, RATE_HZ
from train.sections import Loss
from train.spectra import spectra

CLIPS = Path(__file__).parents[3] / "examples" / "audio"
SNRS_DB = (-5, 0, 5, 10, 20)


def energy(audio: np.ndarray) -> torch.Tensor:
    """(samples,) -> (1, T, BINS)."""
    x = spectra(torch.from_numpy(audio[None].astype(np.float32)), FRAMING)
    return x[:, 0].square() + x[:, 1].square()


@pytest.fixture(scope="module")
def mixtures() -> list[tuple[np.ndarray, np.ndarray]]:
    """(degraded, clean): the repository's voice in its three noises."""
    voice, rate_hz = soundfile.read(CLIPS / "voice_sentence.flac", dtype="float32")
    assert rate_hz == RATE_HZ
    found = []
    for name in ("mill", "rain", "ship"):
        noise, _ = soundfile.read(CLIPS / f"noise_{name}.flac", dtype="float32")
        noise = np.resize(noise, len(voice))
        noise *= voice.std() / noise.std()
        found += [(voice + 10 ** (-snr_db / 20) * noise, voice) for snr_db in SNRS_DB]
    return found


def test_estoi_is_that_of_pystoi(mixtures):
    """To 0.05 on every mixture, although windows and rate are not the metric's."""
    loss = Estoi(FRAMING, stride=1)
    for degraded, clean in mixtures:
        known = pystoi.stoi(clean, degraded, RATE_HZ, extended=True)
        assert 1 - float(loss(energy(degraded), energy(clean))) == pytest.approx(known, abs=0.05)


def test_pmsqe_orders_mixtures_as_pesq_does(mixtures):
    """Rank by rank within a noise, and correlated over all of them."""
    loss, ours, known = Pmsqe(FRAMING), [], []
    for degraded, clean in mixtures:
        ours.append(float(loss(energy(degraded), energy(clean))))
        at_16k = (soxr.resample(x, RATE_HZ, 16_000) for x in (clean, degraded))
        known.append(pesq.pesq(16_000, *at_16k, "wb"))
    assert (np.diff(np.reshape(ours, (-1, len(SNRS_DB)))) < 0).all()
    mos = 0.999 + 4 / (1 + np.exp(-1.3669 * (4.5 - np.array(ours)) + 3.8224))  # P.862.2
    assert np.corrcoef(mos, known)[0, 1] > 0.9


@pytest.mark.parametrize("loss", [Estoi(FRAMING), Pmsqe(FRAMING)])
def test_nothing_is_wrong_with_the_reference(loss, mixtures):
    """Zero at the reference at any level of both; finite with finite gradients in silence."""
    clean = energy(mixtures[0][1])
    for gain in (1e-3, 1.0):
        assert float(loss(gain * clean, gain * clean)) == pytest.approx(0, abs=2e-3)
    for reference in (clean, torch.zeros_like(clean)):
        estimate = torch.zeros_like(clean).requires_grad_()
        loss(estimate, reference).backward()
        assert estimate.grad is not None
        assert torch.isfinite(estimate.grad).all()


def test_a_loss_without_weight_is_not_computed():
    """The parts are what the recipe weighs, and the total is their sum."""
    x = torch.randn(2, 2, 80, FRAMING.bins)
    pair, known = ((x[:, 0], x[:, 1]), (x[:, 1], x[:, 0])), torch.ones(2, 1, FRAMING.bins)
    plain = Restoration(Loss(), FRAMING)(*pair, known)
    full = Restoration(Loss(estoi=0.5, pmsqe=0.1), FRAMING)(*pair, known)

    assert set(plain) == {"loss", "compressed", "log_snr"}
    extra = 0.5 * full["estoi"] + 0.1 * full["pmsqe"]
    torch.testing.assert_close(full["loss"], plain["loss"] + extra)
