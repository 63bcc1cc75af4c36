"""The game against a discriminator, of training on spectra."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rtdenoise.errors import UsageError
from tests.train.sets import RECIPES
from train import config
from train.data.library import Library
from train.systems import make
from train.systems.spectral import SpectralSystem
from train.team import Team

SETS = ["data.seconds=0.4", "optim.batch=4", "run.compile=false", "run.pool=8"]
PLAYS = [
    "objective.discriminator=complex", "objective.discriminator_width=0.2",
    "objective.adversarial=0.1", "objective.features=0.1",
    "objective.features_from=discriminator", "objective.discriminator_lr=3e-3",
    "objective.play_share=0.6", "objective.play_s=0.2",
]  # fmt: skip


def begun(*sets: str) -> SpectralSystem:
    """A system with the same first weights every time."""
    torch.manual_seed(0)
    system = make(config.load(RECIPES / "tiny.toml", [*SETS, *sets]), Team())
    assert isinstance(system, SpectralSystem)
    return system


@pytest.fixture(scope="module")
def batch(cache):
    """One batch of spectra."""
    system = begun()
    return system.feed(Library(cache, system.recipe.data), 0, 7, few=True).batch(0)


def opinion(system: SpectralSystem, number: int) -> torch.nn.Parameter:
    """The bias of the last layer of a discriminator of the game."""
    assert system.game is not None
    return system.game.discriminator.get_parameter(f"judges.{number}.last.bias")


def weights(system: SpectralSystem) -> torch.Tensor:
    """All weights of the generator in a row."""
    return torch.cat([p.detach().flatten() for p in system.net.parameters()])


def test_the_generator_hears_the_discriminator_only_after_its_head_start(batch):
    """Until then its steps are to the bit those of a run without a game."""
    alone = begun()
    both = begun(*PLAYS, "objective.warmup_steps=1", "objective.head_start_steps=2")
    rows = []
    for step in range(4):
        before = opinion(both, 0).detach().clone()
        rows.append(both.step([batch], step, 0.0))
        own = alone.step([batch], step, 0.0)
        learnt = not torch.equal(before, opinion(both, 0))

        assert learnt == (step >= 1)
        assert torch.equal(weights(alone), weights(both)) == (step < 3)
        assert list(rows[-1]) == ["loss", "features", "g", "d", *list(own)[1:]]
        if step < 3:
            assert {name: rows[-1][name] for name in own} == own
    assert [row["d"] > 0 for row in rows] == [False, True, True, True]
    assert [row["g"] > 0 for row in rows] == [False, False, False, True]
    assert [row["features"] > 0 for row in rows] == [False, False, False, True]
    parts = 0.1 * rows[3]["g"] + 0.1 * rows[3]["features"]
    assert rows[3]["loss"] > parts


@pytest.mark.parametrize("name", ["complex", "spectrogram"])
def test_the_discriminator_learns_on_one_batch(batch, name):
    """To tell the estimates of a generator that stands still."""
    still = ["optim.lr=0.0", "optim.muon_lr=0.0", "objective.head_start_steps=99"]
    system = begun(*PLAYS, *still, f"objective.discriminator={name}")
    losses = [float(system.step([batch], step, 0.0)["d"]) for step in range(16)]

    assert np.mean(losses[-3:]) < 0.8 * losses[0]


def test_a_checkpoint_continues_the_game_exactly(batch, tmp_path):
    """The discriminator and its optimiser are part of it, and the place of what plays is too."""
    first, second = begun(*PLAYS), begun(*PLAYS)
    for step in range(2):
        first.step([batch], step, 0.0)
    torch.save(first.state(), tmp_path / "state.pt")
    second.load_state(torch.load(tmp_path / "state.pt", weights_only=True))
    for step in (2, 3):
        assert first.step([batch], step, 0.0) == second.step([batch], step, 0.0)
    assert torch.equal(weights(first), weights(second))


def test_candidates_have_the_level_of_the_target_and_silence_teaches_nothing(batch):
    """A quiet voice looks like a loud one; noise without a voice is not blown up."""
    system = begun(*PLAYS)
    x, y, hz = (part.clone() for part in batch)
    hz[0] = 4000.0
    usual = system.round((x, y, hz), 0)
    gain = torch.tensor([1.0, 0.5, 2.0, 1.0]).view(-1, 1, 1, 1)
    y[3] = 0.0
    other = system.round((gain * x, gain * y, hz), 0)

    levels = usual.target.square().mean(1).sqrt()
    torch.testing.assert_close(levels, torch.ones(4))
    torch.testing.assert_close(other.target[:3], usual.target[:3])
    spectrum = torch.fft.rfft(usual.estimate[0]).abs().square()
    assert spectrum[len(spectrum) * 5000 // 24_000 :].sum() < 1e-3 * spectrum.sum()
    assert not other.target[3].any()
    assert not other.estimate[3].any()
    assert system.game is not None
    system.game.play([other], 1, 0, 0.0)
    assert all(p.grad.isfinite().all() for p in system.net.parameters() if p.grad is not None)


def test_a_discriminator_that_is_not_finite_ends_the_run(batch):
    """Before it teaches the generator."""
    system = begun(*PLAYS)
    with torch.no_grad():
        opinion(system, 1).fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="discriminator: loss nan, gradient nan at step 5"):
        system.step([batch], 5, 0.0)


METRIC = ["objective.discriminator=metric", "objective.game=metric", "data.seconds=1.2"]


def test_the_metric_game_learns_grades_and_raises_the_generators(cache):
    """Its discriminator predicts PESQ and ESTOI of a generator that stands still; the generator
    then gets a gradient from the prediction alone.
    """
    rates = ["optim.lr=0.0", "optim.muon_lr=0.0", "objective.discriminator_lr=2e-3"]
    system = begun(*METRIC, *rates, "objective.adversarial=1", "objective.head_start_steps=12")
    batch = system.feed(Library(cache, system.recipe.data), 0, 7, few=True).batch(0)
    rows = [system.step([batch], step, 0.0) for step in range(14)]

    assert np.mean([row["d"] for row in rows[-3:]]) < 0.8 * float(rows[0]["d"])
    assert [row["g"] > 0 for row in rows] == [False] * 12 + [True, True]
    deaf = begun(*METRIC, *rates, "objective.adversarial=0", "objective.head_start_steps=0")
    assert deaf.game is not None
    assert system.game is not None
    deaf.game.load_state(system.game.state())
    grads = []
    for heard in (system, deaf):
        heard.step([batch], 12, 0.0)
        found = [p.grad.flatten() for p in heard.net.parameters() if p.grad is not None]
        grads.append(torch.cat(found))
    assert (grads[0] - grads[1]).abs().max() > 1e-4 * grads[1].abs().max()


def test_what_has_no_grade_teaches_nothing(batch):
    """PESQ has no value where nobody speaks, and ESTOI none for 0.4 s."""
    system = begun(*METRIC, "objective.adversarial=1")
    x, y, hz = batch
    row = system.step([(x, torch.zeros_like(y), hz)], 0, 0.0)
    assert row["d"] == 0


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["objective.adversarial=1"], "needs objective.discriminator"),
        (["objective.discriminator=jury"], "known: complex, metric, mugan"),
        (["objective.discriminator=period", "objective.game=chess"], "known: bce, hinge, lsgan"),
        (["objective.discriminator=metric"], "= 'metric', game = 'lsgan': wanted metric for both"),
        (["objective.discriminator=period", "objective.game=metric"], "wanted metric for both"),
        (
            ["objective.features=1", "objective.features_from=germain"],
            "features_from = 'germain': training on spectra .*; known: discriminator",
        ),
        (["objective.features=1"], "features_from = ''.*; known: discriminator"),
        (["objective.play_share=0.0"], "play_share = 0, play_s = 0: wanted a share above 0"),
        (["objective.play_s=-1.0"], "play_share = 1, play_s = -1: wanted"),
    ],
)
def test_a_wrong_game_is_one_clear_error(sets, message):
    """Before any time is spent."""
    with pytest.raises(UsageError, match=message):
        begun(*sets)


def test_losses_of_waveforms_are_refused_on_spectra_by_name():
    """They would do nothing."""
    for key in ("l1", "l2", "snr", "si_sdr", "stft", "compressed", "features_warmup_steps"):
        with pytest.raises(UsageError, match=rf"spectra .* does not read objective.{key}: take"):
            config.load(RECIPES / "tiny.toml", [f"objective.{key}=1"])
    with pytest.raises(UsageError, match=r"does not read objective.features_file: take"):
        config.load(RECIPES / "tiny.toml", ["objective.features_file=a.pt"])
