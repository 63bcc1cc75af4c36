"""Runs: stopped, killed, resumed, begun with a model."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from rtdenoise.errors import UsageError
from rtdenoise.nets.box import load as load_model
from tests.train.sets import RECIPES, TINY
from tests.train.waves import recipe_of
from train import config
from train.cli import INTERRUPTED
from train.run import export
from train.run.checkpoint import CHECKPOINT, TrainingError
from train.run.journal import read_rows
from train.run.loop import fit


def test_a_run_that_was_stopped_goes_on_exactly(cache, run, tmp_path):
    """Five steps and seven more are the twelve of an uninterrupted run, bit for bit."""
    # The schedule's clock must be the steps: time does not repeat.
    steady = replace(TINY, optim=replace(TINY.optim, steps=1000))
    fit(steady, cache, tmp_path / "whole", steps=12)
    fit(steady, cache, tmp_path / "parts", steps=5)
    fit(steady, cache, tmp_path / "parts", steps=12)
    whole, parts = (
        torch.load(tmp_path / name / CHECKPOINT, weights_only=True)["system"]["net"]
        for name in ("whole", "parts")
    )

    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize(
    ("sign", "checkpoint_s", "code"),
    [
        ("SIGKILL", 0, -9),
        pytest.param("SIGINT", 1e9, INTERRUPTED, marks=pytest.mark.long),
        pytest.param("SIGTERM", 1e9, INTERRUPTED, marks=pytest.mark.long),
    ],
)
def test_a_run_ended_from_outside_goes_on_exactly(cache, tmp_path, sign, checkpoint_s, code):
    """Who asks loses no step; after kill -9 what follows the last checkpoint is made again."""
    sets = ["optim.steps=40", f"run.checkpoint_s={checkpoint_s}", "run.log_steps=1"]
    sets += ["run.tensorboard=false"]
    recipe = config.load(RECIPES / "tiny.toml", sets)
    command = [sys.executable, "-m", "train", "fit", str(RECIPES / "tiny.toml")]
    command += ["--cache", str(cache), "--run", str(tmp_path / "ended")]
    command += [word for change in sets for word in ("--set", change)]
    with subprocess.Popen(command, cwd=RECIPES.parents[1], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(b"15 "):
                process.send_signal(getattr(signal, sign))
    ended_at = len(read_rows(tmp_path / "ended" / "log.csv"))
    saved = torch.load(tmp_path / "ended" / CHECKPOINT, weights_only=True)["step"]
    fit(recipe, cache, tmp_path / "ended")
    fit(recipe, cache, tmp_path / "whole")
    ended, whole = (
        [(row["step"], row["loss"]) for row in read_rows(tmp_path / name / "log.csv")]
        for name in ("ended", "whole")
    )

    assert process.returncode == code
    assert 15 <= ended_at < 40
    assert sign == "SIGKILL" or saved == ended_at
    assert ended == whole


def test_another_recipe_does_not_go_on_with_a_run(cache, run):
    """Its checkpoint would be a lie."""
    with pytest.raises(UsageError, match="another recipe"):
        fit(replace(TINY, name="other"), cache, run)


def test_nan_stops_the_run_and_saves_the_batch(cache, tmp_path):
    """So that it can be looked at."""
    bad = replace(TINY, degrade=replace(TINY.degrade, snr_db=(math.nan,) * 8))
    with pytest.raises(TrainingError, match="nan_batch"):
        fit(bad, cache, tmp_path / "run")
    degraded, *_ = torch.load(tmp_path / "run" / "nan_batch.pt")
    assert degraded.isnan().any()


def test_a_new_run_begins_with_the_weights_of_a_model(cache, run, tmp_path):
    """And its card tells what came before."""
    export.export(run, tmp_path / "first.pt")
    before = load_model(tmp_path / "first.pt")
    fit(TINY, cache, tmp_path / "second", steps=0, start=tmp_path / "first.pt")
    card = export.export(tmp_path / "second", tmp_path / "second.pt")

    assert card.sha256 == before.card.sha256
    assert card.config["ancestors"][0]["sha256"] == before.card.sha256
    assert card.config["ancestors"][0]["steps"] == 12
    wider = replace(TINY, net=TINY.net | {"hidden": 32})
    with pytest.raises(UsageError, match=r"another network.*\[net\]"):
        fit(wider, cache, tmp_path / "third", steps=1, start=tmp_path / "first.pt")


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(f"seed-{n}", marks=pytest.mark.long) for n in ("mugan", "germain")),
        "seed-segan",
    ],
)
def test_a_stopped_run_goes_on_exactly_adversary_and_all(name, caches, feature_files, tmp_path):
    """Nets, optimisers, dropout, z, layer weights: as if it had never been stopped."""
    recipe = recipe_of(name, feature_files, "optim.steps=100")
    cache = caches[recipe.data.rate_hz]
    fit(recipe, cache, tmp_path / "whole", steps=8)
    fit(recipe, cache, tmp_path / "parts", steps=5)
    fit(recipe, cache, tmp_path / "parts", steps=8)
    whole, parts = (
        torch.load(tmp_path / side / CHECKPOINT, weights_only=True)["system"]
        for side in ("whole", "parts")
    )

    assert all(torch.equal(whole["net"][key], parts["net"][key]) for key in whole["net"])
    assert read_rows(tmp_path / "whole" / "log.csv")[-1]["loss"] == pytest.approx(
        read_rows(tmp_path / "parts" / "log.csv")[-1]["loss"], rel=1e-6
    )


def test_a_cache_without_the_kind_is_one_clear_error(caches, feature_files, tmp_path):
    """It names the kind and the side."""
    recipe = recipe_of("seed-superres", feature_files)
    bare = replace(recipe, kind="speech", data=replace(recipe.data, dev_share=0.0))
    with pytest.raises(UsageError, match="nothing on the dev side"):
        fit(bare, caches[10_000], tmp_path / "run", steps=1)


def test_a_run_of_an_older_recipe_goes_on(cache, tmp_path):
    """Its checkpoint does not say what it trains on, and calls dev_s otherwise."""
    fit(TINY, cache, tmp_path, steps=2)
    saved = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    del saved["recipe"]["train"]
    saved["recipe"]["run"]["judge_s"] = saved["recipe"]["run"].pop("dev_s")
    torch.save(saved, tmp_path / CHECKPOINT)

    assert fit(TINY, cache, tmp_path, steps=3) == 3
