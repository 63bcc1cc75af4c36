"""Training on waveforms: pairs, losses, adversaries, feature nets, resume, export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rtdenoise.errors import UsageError
from rtdenoise.generator import load
from rtdenoise.verify import verify
from tests.train.sets import make_cache
from train import config, features
from train.checkpoint import CHECKPOINT
from train.data import Library
from train.export import export
from train.journal import read_rows
from train.loop import fit
from train.systems import make
from train.team import Team

RECIPES = Path(__file__).parents[2] / "train" / "recipes"
NARROW = {
    "audiounet": ["net.width=0.05", "net.window=512", "net.depth=4"],
    "mugan": ["net.width=0.1", "net.window=512", "objective.discriminator_width=0.1"],
    "germain": ["net.width=6", "net.dilations=6", "net.window=1024"],
    "segan": ["net.width=0.12", "net.levels=6", "net.window=2048",
              "objective.discriminator_width=0.06"],
}  # fmt: skip
ALL = ["seed-superres", "seed-mugan", "seed-denoise", "seed-dereverb", "seed-germain", "seed-segan"]


@pytest.fixture(scope="module")
def caches(clips, tmp_path_factory):
    """The clips of the repository at the rates of the recipes."""
    folder = tmp_path_factory.mktemp("sets")
    return {rate: make_cache(clips, folder / str(rate), rate) for rate in (10_000, 16_000)}


@pytest.fixture(scope="module")
def feature_files(caches, tmp_path_factory):
    """A feature net of each kind, trained for some steps."""
    folder = tmp_path_factory.mktemp("features")
    for kind, name, rate in (
        ("autoencoder", "seed-mugan", 10_000),
        ("germain", "seed-germain", 16_000),
    ):
        recipe = config.load(RECIPES / f"{name}.toml", ["optim.batch=6", "data.dev_share=0.3"])
        first = features.pretrain(kind, recipe, caches[rate], folder / "first.pt", 2, 0.1)
        last = features.pretrain(kind, recipe, caches[rate], folder / f"{kind}.pt", 40, 0.1)
        assert last < first
    return folder


def recipe_of(name, feature_files, *more):
    """A recipe of the box, narrowed until it trains in seconds."""
    first = config.load(RECIPES / f"{name}.toml")
    sets = [*NARROW[first.net["network"]], "optim.batch=4", "data.seconds=0.2", "optim.lr=2e-3"]
    sets += ["data.dev_share=0.3", "objective.warmup_steps=3", "run.log_steps=1"]
    if kind := first.objective.features_from:
        sets += [f"objective.features_file={feature_files / kind}.pt"]
    return config.load(RECIPES / f"{name}.toml", [*sets, "run.tensorboard=false", *more])


@pytest.mark.parametrize("name", ALL)
def test_every_recipe_of_the_papers_learns_and_reaches_every_parameter(name, caches, feature_files):
    """On one batch, again and again, its loss falls; the adversary learns its part."""
    more = [] if name in ("seed-germain", "seed-segan") else ["net.dropout=0.0"]
    recipe = recipe_of(name, feature_files, "objective.warmup_steps=0", *more)
    torch.manual_seed(0)
    system = make(recipe, Team())
    batch = system.feed(Library(caches[recipe.data.rate_hz], recipe.data), 0, 0).batch(0)
    rows = [system.step(batch, step, 0.0) for step in range(40)]

    assert np.mean([row["loss"] for row in rows[-5:]]) < rows[0]["loss"]
    for parameter_name, parameter in system.net.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name
    if recipe.objective.discriminator:
        assert {"g", "d"} <= set(rows[0])
    if recipe.objective.features:
        assert rows[-1]["features"] < rows[0]["features"]


@pytest.mark.parametrize("name", ["seed-mugan", "seed-germain", "seed-segan"])
def test_a_stopped_run_goes_on_exactly_adversary_and_all(name, caches, feature_files, tmp_path):
    """Nets, optimisers, dropout, z, layer weights: as if it had never been stopped."""
    recipe = recipe_of(name, feature_files, "optim.steps=100")
    cache = caches[recipe.data.rate_hz]
    fit(recipe, cache, tmp_path / "whole", steps=8)
    fit(recipe, cache, tmp_path / "parts", steps=5)
    fit(recipe, cache, tmp_path / "parts", steps=8)
    whole, parts = (
        torch.load(tmp_path / side / CHECKPOINT, weights_only=False)["system"]
        for side in ("whole", "parts")
    )

    assert all(torch.equal(whole["net"][key], parts["net"][key]) for key in whole["net"])
    assert read_rows(tmp_path / "whole" / "log.csv")[-1]["loss"] == pytest.approx(
        read_rows(tmp_path / "parts" / "log.csv")[-1]["loss"], rel=1e-6
    )


@pytest.mark.parametrize("name", ["seed-superres", "seed-mugan", "seed-germain", "seed-segan"])
def test_every_network_becomes_a_model_the_host_runs(name, caches, feature_files, tmp_path):
    """Exported with its card, loaded, verified."""
    recipe = recipe_of(name, feature_files)
    fit(recipe, caches[recipe.data.rate_hz], tmp_path / "run", steps=12)
    card = export(tmp_path / "run", tmp_path / "net.pt")
    checks = list(verify(load(tmp_path / "net.pt")))
    spared = ("bounded", "latency") if name == "seed-segan" else ("bounded",)

    assert (card.sample_rate, card.task) == (recipe.data.rate_hz, recipe.task)
    failed = [c for c in checks if not c.passed and not any(word in c.rule for word in spared)]
    if name != "seed-segan":  # after twelve steps it is still beyond full scale, where cards clip
        assert [f"{c.rule}: {c.found}" for c in failed] == []


def test_pairs_depend_on_seed_and_step_alone(caches, feature_files):
    """A run that was stopped goes on with the same data; noise comes from its side of the split."""
    recipe = recipe_of("seed-denoise", feature_files)
    library = Library(caches[16_000], recipe.data)
    system = make(recipe, Team())
    feed = system.feed(library, 0, 7)
    early = [feed.batch(step) for step in range(3)]
    late = system.feed(library, 2, 7).batch(2)
    degraded, wanted = early[2]
    snr_db = 20 * torch.log10(wanted.norm(dim=1) / (degraded - wanted).norm(dim=1))

    assert all(torch.equal(a, b) for a, b in zip(early[2], late, strict=True))
    assert not torch.equal(early[1][0], early[2][0])
    assert ((snr_db > -5.1) & (snr_db < 10.1)).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["objective.si_sdr=0", "objective.stft=0"], r"\[objective\] is empty"),
        (["objective.adversarial=1"], "needs objective.discriminator"),
        (["objective.discriminator=jury"], "known: mugan"),
        (["objective.features=1", "objective.features_from=ears"], "known: autoencoder, germain"),
        (["objective.features=1", "objective.features_from=germain"], "make it: python -m train"),
        (["degradation="], "say what to undo"),
        (["optim.kind=adagrad"], "known: adamw, rmsprop"),
        (["net.network=wavenet"], "known: audiounet"),
        (["data.rate_hz=16000"], "another: python -m train prepare"),
    ],
)
def test_a_wrong_recipe_is_one_clear_error(changes, message, caches, feature_files, tmp_path):
    """Before any time is spent."""
    recipe = recipe_of("seed-superres", feature_files, *changes)
    with pytest.raises(UsageError, match=message):
        fit(recipe, caches[10_000], tmp_path / "run", steps=1)


def test_a_cache_without_the_kind_is_one_clear_error(caches, feature_files, tmp_path):
    """It names the kind and the side."""
    recipe = recipe_of("seed-superres", feature_files)
    bare = replace(recipe, kind="speech", data=replace(recipe.data, dev_share=0.0))
    with pytest.raises(UsageError, match="nothing on the dev side"):
        fit(bare, caches[10_000], tmp_path / "run", steps=1)


def test_a_feature_net_of_the_other_kind_is_refused(feature_files):
    """It would load, and mean nothing."""
    with pytest.raises(UsageError, match="holds a germain, the recipe wants a autoencoder"):
        features.load("autoencoder", str(feature_files / "germain.pt"))
