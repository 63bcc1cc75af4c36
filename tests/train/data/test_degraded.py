"""Pairs of waveforms."""

from __future__ import annotations

import torch

from tests.train.waves import recipe_of
from train.data.library import Library
from train.systems import make
from train.team import Team


def test_the_margin_lets_excerpts_begin_in_the_middle(caches, feature_files):
    """With it, the first samples of an excerpt hold the room's echoes of what came before."""
    begins = []
    for margin_s in (0.0, 0.3):
        sets = [f"data.margin_s={margin_s}", "degradation=rir t60=0.6 drr=-6"]
        recipe = recipe_of("seed-dereverb", feature_files, *sets)
        feed = make(recipe, Team()).feed(Library(caches[48_000], recipe.data), 0, 7)
        apart = [a - b for a, b, _ in (feed.batch(step) for step in range(30))]
        power = torch.cat(apart).square().mean(0)
        begins.append(float(power[:300].mean() / power[-3000:].mean()))
    assert begins[0] < 0.2 < 0.4 < begins[1]


def test_pairs_depend_on_seed_and_step_alone(caches, feature_files):
    """A run that was stopped goes on with the same data; noise comes from its side of the split."""
    recipe = recipe_of("seed-denoise", feature_files)
    library = Library(caches[16_000], recipe.data)
    system = make(recipe, Team())
    feed = system.feed(library, 0, 7)
    early = [feed.batch(step) for step in range(3)]
    late = system.feed(library, 2, 7).batch(2)
    degraded, wanted, _ = early[2]
    snr_db = 20 * torch.log10(wanted.norm(dim=1) / (degraded - wanted).norm(dim=1))

    assert all(torch.equal(a, b) for a, b in zip(early[2], late, strict=True))
    assert not torch.equal(early[1][0], early[2][0])
    assert ((snr_db > -5.1) & (snr_db < 10.1)).all()
