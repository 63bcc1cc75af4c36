"""Training on spectra."""

from __future__ import annotations

from tests.train.sets import TINY
from train.data.library import Library
from train.data.mixing import Pool
from train.networks.spectral import FRAMING
from train.systems import make
from train.team import Team


def test_the_loss_falls_and_reaches_every_parameter(cache):
    """On one batch, again and again."""
    trainer = make(TINY, Team())
    batch = Pool(Library(cache, TINY.data), TINY.degrade, FRAMING, 16, 8, seed=0).batch(0)
    losses = [trainer.step(batch, step, 0.0)["loss"] for step in range(120)]

    assert losses[-1] < 0.85 * losses[0]
    for name, parameter in trainer.net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
