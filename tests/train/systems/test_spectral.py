"""Training on spectra."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtdenoise.errors import UsageError
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
    losses = [trainer.step([batch], step, 0.0)["loss"] for step in range(120)]

    assert losses[-1] < 0.85 * losses[0]
    for name, parameter in trainer.net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"net": {"network": "audiounet", "rate_hz": 48_000}}, "cannot be trained on spectra"),
        ({"data": replace(TINY.data, rate_hz=16_000)}, "spectral works at 48000 Hz"),
    ],
)
def test_a_net_that_does_not_fit_its_training_is_one_clear_error(changes, message):
    """At another rate it would learn voices of wrong pitch, and nobody would see it."""
    with pytest.raises(UsageError, match=message):
        make(replace(TINY, **changes), Team())
