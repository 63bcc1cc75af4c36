"""A run's settings: what a recipe and `--set` may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtdenoise.errors import UsageError
from train import config

RECIPES = Path(__file__).parents[2] / "train" / "recipes"


def test_every_recipe_in_the_box_loads():
    """A key that was renamed in config.py is renamed in the recipes."""
    assert {config.load(path).name for path in RECIPES.glob("*.toml")} >= {"speech", "tiny"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("optim.lrr=1", r"unknown setting optim.lrr; known: .*lr"),
        ("opt.lr=1", "unknown setting opt; known: .*optim"),
        ("optim.lr='fast'", "optim.lr = 'fast': wanted float"),
        ("optim=3", "optim has to be a table"),
        ("train=waves", "train has to be a table"),
        ("train.on=ears", "train.on = 'ears'; known: spectra, waves"),
        ("objective.snr=1", "spectra .* does not read objective.snr: take"),
        ("degradation=clip -12", "spectra .* does not read degradation: take"),
        ("train.on=waves", "waves .* does not read run.pool, run.compile: take"),
        ("optim.lr", "wanted key=value"),
    ],
)
def test_a_wrong_setting_is_one_clear_error(change, message):
    """Before any time is spent."""
    with pytest.raises(UsageError, match=message):
        config.load(RECIPES / "tiny.toml", [change])


@pytest.mark.parametrize("change", ["loss.estoi=0.5", "degrade.snr_db=[0]", "run.pool=3"])
def test_a_setting_that_would_do_nothing_is_refused(change):
    """A loss of spectra in a recipe that trains on waveforms looked as if it counted."""
    key = change.partition("=")[0]
    with pytest.raises(UsageError, match=rf"waves \(train.on\) does not read {key}"):
        config.load(RECIPES / "seed-superres.toml", [change])


@pytest.mark.parametrize("change", ["degradation=clip -12", "degrade.snr_db=[0]", "scenes.on=true"])
def test_limited_bands_refuse_the_settings_of_other_examples(change):
    """Scenes of [narrow] have an SNR of their own, and no text degrades them."""
    key = change.partition("=")[0]
    with pytest.raises(UsageError, match=rf"envelopes \(train.on\) does not read {key}"):
        config.load(RECIPES / "music-superres.toml", [change])
    with pytest.raises(UsageError, match=r"does not read .*narrow\.on"):
        config.load(RECIPES / "seed-superres.toml", ["narrow.on=true"])


def test_what_is_trained_on_follows_from_the_degradation_unless_it_is_said(tmp_path):
    """The rule of `Train`, for recipes, and for checkpoints from before the key."""
    for text, on in (("", "spectra"), ('degradation = "recorded"', "waves")):
        (tmp_path / "recipe.toml").write_text(text)
        recipe = config.load(tmp_path / "recipe.toml")
        older = recipe.as_dict()
        del older["train"]
        older["run"]["judge_s"] = older["run"].pop("dev_s")

        assert recipe.train.on == on
        assert config.stored(older) == recipe


def test_set_changes_a_setting():
    """Whole numbers fit where fractions are wanted; text needs no quotes."""
    recipe = config.load(RECIPES / "tiny.toml", ["optim.lr=1", "name=mine", "degrade.snr_db=[0]"])

    assert (recipe.optim.lr, recipe.name, recipe.degrade.snr_db) == (1.0, "mine", (0,))
