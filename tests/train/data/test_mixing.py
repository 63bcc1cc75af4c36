"""Mixtures of spectra."""

from __future__ import annotations

import torch

from tests.train.sets import TINY
from train.data.library import Library
from train.data.mixing import Pool
from train.networks.spectral import FRAMING


def test_a_batch_depends_on_seed_and_step_alone(cache):
    """A run that was stopped goes on with the same data."""
    library = Library(cache, TINY.data)
    pool = Pool(library, TINY.degrade, FRAMING, 16, 8, seed=3)
    early = [pool.batch(step) for step in range(3)]
    late = Pool(library, TINY.degrade, FRAMING, 16, 8, seed=3, step=2).batch(2)
    hurried = Pool(library, TINY.degrade, FRAMING, 16, 8, seed=3)
    hurried.ahead = True  # as on a GPU: a thread makes the next sounds
    assert all(torch.equal(a, b) for a, b in zip(early[0], hurried.batch(0), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(early[1], hurried.batch(1), strict=True))

    assert all(torch.equal(a, b) for a, b in zip(early[2], late, strict=True))
    assert not torch.equal(early[2][0], early[1][0])
