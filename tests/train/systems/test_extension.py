"""Training of bandwidth extension."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rtdenoise.errors import UsageError
from tests.train.sets import TINY
from train.data.library import Library
from train.sections import Train
from train.systems import make
from train.systems.extension import ExtensionSystem
from train.team import Team

NET = {"network": "extension", "hidden": 32, "layers": 1, "bands": 32, "channels": 4}
RECIPE = replace(
    TINY, train=Train("envelopes"), net=NET, degradation="lowpass 4000..9000 family=brick",
    task="superres", data=replace(TINY.data, seconds=1.0),
)  # fmt: skip


def test_it_learns_where_the_band_ends_and_what_is_above(cache):
    """On one batch, again and again: both losses fall, and every weight has a part in it."""
    trainer = make(RECIPE, Team())
    batch = trainer.feed(Library(cache, RECIPE.data), 0, seed=0).batch(0)
    parts = [trainer.step([batch], step, 0.0) for step in range(150)]

    assert parts[-1]["energy"] < 0.6 * parts[0]["energy"]
    assert parts[-1]["edge"] < 0.6 * parts[0]["edge"]
    for name, parameter in trainer.net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_a_target_that_lacks_the_band_too_teaches_nothing_about_it(cache):
    """Above the bandwidth of a recording nobody knows what is missing."""
    trainer = make(RECIPE, Team())
    assert isinstance(trainer, ExtensionSystem)
    x, y, hz = trainer.feed(Library(cache, RECIPE.data), 0, seed=0).batch(0)
    noise = torch.fft.rfft(0.1 * torch.randn_like(y))
    noise[:, : int(4000 / 24_000 * noise.shape[1])] = 0
    narrow = torch.full_like(hz, 3000.0)
    losses = [
        trainer.loss((x, target, narrow))["energy"] for target in (y, y + torch.fft.irfft(noise))
    ]

    assert losses == [0.0, 0.0]


def test_only_its_own_net_is_trained_on_envelopes():
    """One clear error instead of an attribute that is missing."""
    with pytest.raises(UsageError, match="spectral cannot be trained on envelopes"):
        make(replace(RECIPE, net={"network": "spectral"}), Team())
