"""Discriminators and their games."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rtdenoise.errors import UsageError
from train.losses import adversaries


@pytest.mark.parametrize("name", adversaries.MAKERS)
@pytest.mark.parametrize("game", adversaries.GAMES)
def test_a_discriminator_learns_to_tell_and_teaches(name, game, voices):
    """Voices from noise in some steps; its gradient reaches what was made, and itself."""
    torch.manual_seed(0)
    discriminator = adversaries.make(name, 0.25 if name in adversaries.CHANNELS else 0.1)
    real, made, deceive = adversaries.game(game)
    fake = (0.1 * torch.randn_like(voices))[:, None].requires_grad_()
    true = voices[:, None]
    optimiser = torch.optim.Adam(discriminator.parameters(), 1e-2)
    losses = []
    for _ in range(35 if name == "period" else 20):
        loss = adversaries.mean_of(real, discriminator(true, true)[0])
        loss = loss + adversaries.mean_of(made, discriminator(fake.detach(), true)[0])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    adversaries.mean_of(deceive, discriminator(fake, true)[0]).backward()

    assert np.mean(losses[-3:]) < 0.8 * losses[0]
    assert fake.grad is not None
    assert fake.grad.abs().sum() > 0
    assert all(p.grad is not None for p in discriminator.parameters())


def test_names_of_games_and_discriminators_are_checked():
    """The known ones are listed."""
    with pytest.raises(UsageError, match="known: bce, hinge, lsgan"):
        adversaries.game("chess")
    with pytest.raises(
        UsageError, match="known: complex, metric, mugan, period, segan, spectrogram"
    ):
        adversaries.make("jury")
