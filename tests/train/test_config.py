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
        ("optim=3", "optim is a table"),
        ("optim.lr", "wanted key=value"),
    ],
)
def test_a_wrong_setting_is_one_clear_error(change, message):
    """Before any time is spent."""
    with pytest.raises(UsageError, match=message):
        config.load(RECIPES / "tiny.toml", [change])


def test_set_changes_a_setting():
    """Whole numbers fit where fractions are wanted; text needs no quotes."""
    recipe = config.load(RECIPES / "tiny.toml", ["optim.lr=1", "name=mine", "degrade.snr_db=[0]"])

    assert (recipe.optim.lr, recipe.name, recipe.degrade.snr_db) == (1.0, "mine", (0,))
