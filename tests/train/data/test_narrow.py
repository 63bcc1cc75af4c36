"""Scenes with a limited band keep the promises of filters: nothing is left above, all below."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from train.config import Recipe
from train.data.library import Library
from train.data.narrow import Narrowed
from train.networks.spectral import FRAMING, RATE_HZ
from train.sections import Data, Degrade, Narrow, Scenes as Settings

CPU = torch.device("cpu")
ROWS = 10
PLAIN = Settings(speed_share=0, two_talkers_share=0, microphone_share=0)
DRY = Degrade(level_db=(-30.0, -30.0), reverb_share=0, speech_eq_db=0.0)
STEEP = Narrow(on=True, share=1.0, cutoff_hz=(4000.0, 4001.0), steep_share=1.0, noise_share=0.0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """White "voices" and noises, 48 kHz."""
    folder, rng, rows = tmp_path_factory.mktemp("cache"), np.random.default_rng(0), []
    for kind in ("speech", "noise"):
        sound = 3000 * rng.standard_normal(4 * RATE_HZ)
        sound.astype(np.int16).tofile(folder / f"{kind}.i16")
        row = {"kind": kind, "source": kind, "origin": "made", "licence": "CC0", "start": 0}
        rows.append(row | {"stop": len(sound), "bandwidth_hz": 24_000.0, "split": "train"})
    index = {"rate_hz": RATE_HZ, "recordings": rows, "rooms": []}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def narrowed(cache, narrow, own=PLAIN, common=DRY, seed=1) -> Narrowed:
    recipe = Recipe(data=Data(seconds=1.0), degrade=common, scenes=own, narrow=narrow)
    return Narrowed(Library(cache, recipe.data), recipe, FRAMING, ROWS, seed, CPU)


def power_db(sound: Tensor, low_hz: float, high_hz: float) -> Tensor:
    """The power of each row between two frequencies, away from the ends of the excerpt."""
    inner = sound[:, 4096:-4096] * torch.hann_window(sound.shape[1] - 8192)
    z = torch.fft.rfft(inner)
    first, last = (round(hz * inner.shape[1] / RATE_HZ) for hz in (low_hz, high_hz))
    return 10 * torch.log10(z[:, first:last].abs().square().sum(1))


def test_above_the_cut_off_nothing_is_left_and_below_all(cache):
    """A steep low-pass at 4 kHz: the target keeps its whole band."""
    x, y, hz = narrowed(cache, STEEP).batch(0)

    assert (power_db(x, 5000, 23_000) < power_db(y, 5000, 23_000) - 60).all()
    torch.testing.assert_close(power_db(x, 50, 3500), power_db(y, 50, 3500), atol=0.01, rtol=0)
    assert (power_db(y, 5000, 23_000) > power_db(y, 50, 3500)).all()
    assert (hz == 24_000).all()


def test_a_gentle_low_pass_has_the_slope_of_its_order(cache):
    """An octave above the cut-off it is 6 dB down for each order, between 6 and 14."""
    x, y, _ = narrowed(cache, replace(STEEP, steep_share=0.0)).batch(0)
    down_db = power_db(y, 7900, 8100) - power_db(x, 7900, 8100)

    assert (down_db > 6.02 * 6 - 2).all()
    assert (down_db < 6.02 * 14 + 2).all()


def test_the_others_keep_their_band(cache):
    """A tenth is not limited: a whole band has to come out as it came in."""
    x, y, _ = narrowed(cache, replace(STEEP, share=0.9)).batch(0)
    same = (x - y).abs().amax(1) < 1e-5

    assert 0 < int(same.sum()) < ROWS


def test_noise_is_in_the_input_alone_and_as_loud_as_drawn(cache):
    """Whoever extends a band must not learn to make noise."""
    noisy = replace(STEEP, share=0.0, noise_share=1.0, snr_db=(20.0, 20.0))
    x, y, _ = narrowed(cache, noisy).batch(0)
    snr_db = 10 * torch.log10(y.square().mean(1) / (x - y).square().mean(1))

    assert (snr_db - 20).abs().max() < 0.1


def test_a_step_depends_on_seed_and_step_alone(cache):
    """Whatever came before it; so a run that was stopped goes on with the same examples."""
    own, common = Settings(), Degrade()
    one, other = (narrowed(cache, Narrow(on=True), own, common) for _ in range(2))
    one.batch(3)
    for mine, theirs in zip(one.batch(7), other.batch(7), strict=True):
        assert torch.equal(mine, theirs)
    assert not torch.equal(one.batch(7)[0], one.batch(8)[0])
    another = narrowed(cache, Narrow(on=True), own, common, seed=2)
    assert not torch.equal(one.batch(7)[0], another.batch(7)[0])
