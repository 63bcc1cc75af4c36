"""Training on waveforms: every recipe of the papers, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rtdenoise.core.stage import process
from rtdenoise.core.stream import Stream
from rtdenoise.errors import UsageError
from rtdenoise.nets.box import load
from rtdenoise.nets.line import Line
from tests.train.sets import RECIPES, make_cache
from tests.train.waves import ALL, recipe_of
from train import config, sections
from train.data.library import Library
from train.run.checkpoint import CHECKPOINT
from train.run.export import export
from train.run.loop import fit
from train.systems import make
from train.systems.wave import WaveSystem
from train.team import Team


@pytest.mark.parametrize("name", ALL)
def test_every_recipe_of_the_papers_learns_and_reaches_every_parameter(name, caches, feature_files):
    """On one batch, again and again, its loss falls; the adversary learns its part."""
    still = ["net.dropout=0.0"] if name in ("seed-superres", "seed-mugan", "seed-denoise") else []
    recipe = recipe_of(name, feature_files, "objective.warmup_steps=0", *still)
    torch.manual_seed(0)
    system = make(recipe, Team())
    batch = system.feed(Library(caches[recipe.data.rate_hz], recipe.data), 0, 0).batch(0)
    rows = [system.step([batch], step, 0.0) for step in range(40)]

    assert np.mean([row["loss"] for row in rows[-5:]]) < rows[0]["loss"]
    for parameter_name, parameter in system.net.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name
    if recipe.objective.discriminator:
        assert {"g", "d"} <= set(rows[0])
    if recipe.objective.features:
        assert rows[-1]["features"] < rows[0]["features"]


def test_spectral_learns_any_degradation_from_waveforms(clips, tmp_path):
    """The streaming net on what spectra cannot mix: a codec and clipping; whole = streamed."""
    cache = make_cache(clips, tmp_path, 48_000)
    recipe = replace(
        config.load(RECIPES / "tiny.toml", ["data.seconds=0.3", "run.tensorboard=false"]),
        train=sections.Train("waves"),
        degradation="clip -12 | codec gsm",
        objective=sections.Objective(compressed=1.0),
    )
    torch.manual_seed(0)
    system = make(recipe, Team())
    batch = system.feed(Library(cache, recipe.data), 0, 0).batch(0)
    rows = [system.step([batch], step, 0.0) for step in range(30)]
    assert rows[-1]["loss"] < 0.95 * rows[0]["loss"]
    fit(recipe, cache, tmp_path / "run", steps=3)
    export(tmp_path / "run", tmp_path / "net.pt")
    net = load(tmp_path / "net.pt")
    degraded = batch[0][:1]
    assert isinstance(system, WaveSystem)
    with torch.inference_mode():
        state = torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)["system"]["average"]
        system.net.load_state_dict(state)
        whole = system.net.wave(degraded).numpy()
    streamed = process(Line(net, Stream(48_000, 1)), degraded.numpy())
    np.testing.assert_allclose(streamed, whole, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["objective.snr=0", "objective.stft=0"], r"\[objective\] is empty"),
        (["objective.adversarial=1"], "needs objective.discriminator"),
        (["objective.discriminator=jury"], "known: complex, metric, mugan"),
        (["objective.features=1", "objective.features_from=ears"], "known: autoencoder, germain"),
        (
            ["objective.features=1", "objective.features_from=germain"],
            r"no weights of germain in '' \(objective.features_file\)",
        ),
        (["degradation="], "say what to undo"),
        (["optim.kind=adagrad"], "known: adamw, rmsprop"),
        (["net.network=wavenet"], "known: audiounet"),
        (["data.rate_hz=16000"], "is at 10000 Hz, but data.rate_hz = 16000"),
    ],
)
def test_a_wrong_recipe_is_one_clear_error(changes, message, caches, feature_files, tmp_path):
    """Before any time is spent."""
    recipe = recipe_of("seed-superres", feature_files, *changes)
    with pytest.raises(UsageError, match=message):
        fit(recipe, caches[10_000], tmp_path / "run", steps=1)
