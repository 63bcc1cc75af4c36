"""The training system: settings, split, net, losses, the run, the export."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from rtdenoise.cli import INTERRUPTED
from rtdenoise.errors import AudioError, ModelError, UsageError
from rtdenoise.nets.torchscript import load as load_model
from rtdenoise.proof.verify import verify
from train import config
from train.cli import main
from train.data.library import Library, Recording, check_no_leak, side_of
from train.data.mixing import Pool
from train.data.prepare import prepare
from train.evaluate import mixes
from train.networks import make as make_net
from train.networks.spectral import FRAMING, HOP, Spectral
from train.run import export
from train.run.checkpoint import CHECKPOINT, TrainingError, save
from train.run.journal import read_rows, scores
from train.run.loop import fit
from train.spectra import sound, spectra
from train.systems import make
from train.team import Team

RECIPES = Path(__file__).parents[2] / "train" / "recipes"
TINY = config.load(RECIPES / "tiny.toml")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
TORCHRUN += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]


@pytest.fixture(scope="session")
def cache(tmp_path_factory, clips):
    """A data set of the layout of a manifest.csv, made of the real clips in the repository."""
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for name in ("voice_sentence", "voice_words", "noise_rain", "noise_ship", "noise_mill"):
        kind = "speech" if name.startswith("voice") else "noise"
        audio, rate = sf.read(clips / f"{name}.flac", dtype="float32")
        for part, piece in enumerate(np.array_split(audio, 4)):
            path = f"{name}_{part}.wav"
            sf.write(folder / path, piece, rate)
            rows.append([path, kind, 20_000, f"{name}{part}", "here", "CC"])
    (folder / "text.wav").write_text("no sound")
    rows.append(["text.wav", "noise", 20_000, "text", "here", "CC"])
    with (folder / "manifest.csv").open("w", newline="") as out:
        csv.writer(out).writerows(
            [["path", "kind", "bandwidth_hz", "source_id", "origin", "licence"], *rows]
        )
    prepare(folder, folder / "cache")
    return folder / "cache"


@pytest.fixture(scope="session")
def run(cache, tmp_path_factory):
    """A run of twelve steps."""
    folder = tmp_path_factory.mktemp("run")
    fit(TINY, cache, folder, steps=12)
    return folder


# data


def test_unreadable_files_are_named_and_skipped(cache, capsys, tmp_path):
    """One bad file does not stop a data set; nothing usable does."""
    sources = Library(cache, TINY.data).sources() | Library(cache, TINY.data, "dev").sources()
    assert len(sources) == 20
    assert "text" not in sources
    (tmp_path / "manifest.csv").write_text("path,kind,source_id,origin,licence,bandwidth_hz\n")
    with pytest.raises(UsageError, match="no recordings"):
        prepare(tmp_path, tmp_path / "cache")
    (tmp_path / "one.wav").write_text("no sound")
    with pytest.raises(AudioError, match="nothing usable"):
        prepare(tmp_path, tmp_path / "other", layout="plain")


def test_the_split_is_by_source_and_never_leaks(cache):
    """Two clips of one speaker are on one side; a library that shares one is refused."""
    train, dev = Library(cache, TINY.data), Library(cache, TINY.data, "dev")

    check_no_leak(train, dev)
    with pytest.raises(UsageError, match="leaks"):
        check_no_leak(train, train)


def test_the_demo_is_never_trained_on():
    """The sources of the clips in examples/audio are on the development side of `speech`."""
    data = config.load(RECIPES / "speech.toml").data

    for source, origin in (("flare-f", ""), ("kt-en", ""), ("x", "Debian widelands-data")):
        assert side_of(Recording("speech", source, origin, "", 0, 1, 1.0), data) == "dev"
    share = np.mean(
        [
            side_of(Recording("noise", f"n{i}", "", "", 0, 1, 1.0), data) == "dev"
            for i in range(5000)
        ]
    )
    assert share == pytest.approx(data.dev_share, abs=0.015)


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


# the run


def test_the_loss_falls_and_reaches_every_parameter(cache):
    """On one batch, again and again."""
    trainer = make(TINY, Team())
    batch = Pool(Library(cache, TINY.data), TINY.degrade, FRAMING, 16, 8, seed=0).batch(0)
    losses = [trainer.step(batch, step, 0.0)["loss"] for step in range(120)]

    assert losses[-1] < 0.85 * losses[0]
    for name, parameter in trainer.net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_a_run_that_was_stopped_goes_on_exactly(cache, run, tmp_path):
    """Five steps and seven more are the twelve of an uninterrupted run, bit for bit."""
    # The schedule's clock must be the steps: time does not repeat.
    steady = replace(TINY, optim=replace(TINY.optim, steps=1000))
    fit(steady, cache, tmp_path / "whole", steps=12)
    fit(steady, cache, tmp_path / "parts", steps=5)
    fit(steady, cache, tmp_path / "parts", steps=12)
    whole, parts = (
        torch.load(tmp_path / name / CHECKPOINT, weights_only=False)["system"]["net"]
        for name in ("whole", "parts")
    )

    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize(
    ("sign", "checkpoint_s", "code"),
    [("SIGKILL", 0, -9), ("SIGINT", 1e9, INTERRUPTED), ("SIGTERM", 1e9, INTERRUPTED)],
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
    saved = torch.load(tmp_path / "ended" / CHECKPOINT, weights_only=False)["step"]
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


def test_two_processes_train_one_net(cache, tmp_path):
    """By torchrun: they see different examples and hold the same weights; one of them writes."""
    command = [*TORCHRUN, "-m", "--", "train", "fit"]
    command += [str(RECIPES / "tiny.toml"), "--cache", str(cache), "--run", str(tmp_path)]
    command += ["--set", "optim.steps=6", "--set", "run.log_steps=1"]
    done = subprocess.run(command, cwd=RECIPES.parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = read_rows(tmp_path / "log.csv")

    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    fit(config.load(RECIPES / "tiny.toml", ["optim.steps=6"]), cache, tmp_path / "alone")
    alone, pair = (
        torch.load(path / CHECKPOINT, weights_only=False)["system"]["net"]
        for path in (tmp_path / "alone", tmp_path)
    )
    assert any(not torch.equal(alone[name], pair[name]) for name in alone)


def test_gradients_of_a_team_are_averaged(tmp_path):
    """Every process ends with the mean, and with process 0's clock."""
    (tmp_path / "two.py").write_text(
        "import torch; from train.team import Team\n"
        "team = Team(); weight = torch.nn.Parameter(torch.zeros(3))\n"
        "weight.grad = torch.full((3,), float(team.rank)); team.average([weight])\n"
        "assert weight.grad.tolist() == [0.5] * 3, weight.grad\n"
        "assert team.agreed(team.rank + 7.0) == 7.0 and team.size == 2\n"
        "team.close()\n"
    )
    done = subprocess.run(
        [*TORCHRUN, str(tmp_path / "two.py")],
        cwd=RECIPES.parents[1],
        env=os.environ | {"PYTHONPATH": str(RECIPES.parents[1])},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr


def test_a_run_can_be_looked_at_and_listened_to(run):
    """Curves, scores, spectrograms and sound of the development side, TensorBoard's events."""
    row = read_rows(run / "dev.csv")[-1]

    assert row["step"] == 12
    assert {"si_sdr_in", "si_sdr_out", "snr_out", "lsd_out"} <= set(row)
    for name in ("curves.png", "samples/0.png"):
        assert (run / name).read_bytes().startswith(b"\x89PNG")
    wanted, rate = sf.read(run / "samples" / "0_wanted.flac")
    assert rate == 48_000
    assert len(wanted) == len(sf.read(run / "samples" / "0_restored.flac")[0])
    assert list((run / "events").iterdir())


def test_the_dev_scores_of_an_identity_are_those_of_its_input():
    """What came in is scored as what went out."""
    rng = np.random.default_rng(0)
    wanted = rng.standard_normal((2, 4800)).astype(np.float32)
    noisy = wanted + 0.1 * rng.standard_normal(wanted.shape).astype(np.float32)
    found = scores(noisy, noisy, wanted)

    assert found["snr_in"] == found["snr_out"] == pytest.approx(20, abs=0.5)
    assert sound(spectra(torch.from_numpy(wanted), FRAMING), FRAMING).shape == (
        2,
        4800 // HOP * HOP - 2 * HOP,
    )


def test_another_recipe_does_not_go_on_with_a_run(cache, run):
    """Its checkpoint would be a lie."""
    with pytest.raises(UsageError, match="another recipe"):
        fit(replace(TINY, name="other"), cache, run)


def test_nan_stops_the_run_and_saves_the_batch(cache, tmp_path, monkeypatch):
    """So that it can be looked at."""
    bad = torch.full((8, 2, 46, 513), torch.nan)
    monkeypatch.setattr(Pool, "batch", lambda self, step: (bad, bad, torch.full((8,), 2e4)))
    with pytest.raises(TrainingError, match="nan_batch"):
        fit(TINY, cache, tmp_path / "run")
    assert (tmp_path / "run" / "nan_batch.pt").is_file()


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path, monkeypatch):
    """The new one is written beside it first."""
    save(tmp_path / "c.pt", {"step": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(TrainingError, match="is kept"):
        save(tmp_path / "c.pt", {"step": 2})
    assert torch.load(tmp_path / "c.pt")["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]


# export


def test_a_run_becomes_a_model_the_host_verifies(run, tmp_path):
    """With its card: data, licence, config, and metrics only beside their baseline."""
    metrics = tmp_path / "metrics.json"
    metrics.write_text(json.dumps({"PESQ": {"identity": 1.3, "model": 1.9}}))
    card = export.export(run, tmp_path / "net.pt", metrics)
    generator = load_model(tmp_path / "net.pt")

    assert generator.card == card
    assert card.metrics["PESQ"]["identity"] == 1.3
    assert sum(row["hours"] for row in card.data) > 0
    assert [c.rule for c in verify(generator) if not c.passed] == []
    metrics.write_text(json.dumps({"PESQ": {"model": 1.9}}))
    with pytest.raises(UsageError, match="PESQ has no 'identity'"):
        export.export(run, tmp_path / "net.pt", metrics)


class Forgets(Spectral):
    """Sees all windows of a call at once."""

    def forward(self, windows: torch.Tensor, state: torch.Tensor):
        return windows - windows.mean(1, keepdim=True), state


def test_export_refuses_a_net_that_streams_differently(run, tmp_path):
    """The file is not written, and one that was there stays."""
    (tmp_path / "net.pt").write_text("before")
    card = export.export(run, tmp_path / "good.pt")
    with pytest.raises(ModelError, match="streamed != whole"):
        export.write(Forgets(), card, tmp_path / "net.pt")
    with pytest.raises(ModelError, match="lacks data"):
        export.write(make_net(**TINY.net), replace(card, data=[]), tmp_path / "net.pt")
    assert (tmp_path / "net.pt").read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["good.pt", "net.pt"]


def test_mixes_have_the_snr_they_say(cache, tmp_path):
    """Clean and noisy differ by noise at the stated level; pairs of two makings never mingle."""
    mixes.make(cache, TINY, tmp_path, count=8, snr_db=(-5, 0, 5, 20))
    for noisy in sorted((tmp_path / "degraded").iterdir()):
        x, y = sf.read(noisy)[0], sf.read(tmp_path / "clean" / noisy.name)[0]
        assert 20 * np.log10(y.std() / (x - y).std()) == pytest.approx(
            int(noisy.name[3:6]), abs=0.1
        )
    with pytest.raises(UsageError, match="holds pairs already"):
        mixes.make(cache, TINY, tmp_path, count=4)
    assert len(list((tmp_path / "clean").iterdir())) == 8


def test_mixes_depend_on_their_seed_alone(cache, tmp_path):
    """The same pairs again, and others to see whether a score was luck."""
    command = ["mixes", str(RECIPES / "tiny.toml"), "--cache", str(cache), "--count", "5"]
    for name, seed in (("first", "7"), ("again", "7"), ("other", "8")):
        assert main([*command, "-o", str(tmp_path / name), "--seed", seed]) == 0
    first, again, other = (
        np.array([sf.read(path)[0] for path in sorted((tmp_path / name / "degraded").iterdir())])
        for name in ("first", "again", "other")
    )  # not their bytes: libsndfile notes the second in which it wrote
    assert np.array_equal(first, again)
    assert (first != other).any(1).all()


def test_the_command_line(cache, tmp_path, capsys):
    """fit in slices, export; errors are one line and the host's exit codes."""
    tiny, run = str(RECIPES / "tiny.toml"), str(tmp_path / "run")

    assert main(["fit", tiny, "--cache", str(cache), "--run", run, "--minutes", "0.005"]) == 0
    assert main(["export", run, "-o", str(tmp_path / "net.pt")]) == 0
    assert '"name": "tiny"' in capsys.readouterr().out
    assert main(["fit", tiny, "--cache", str(tmp_path), "--run", run]) == 2
    assert "train prepare" in capsys.readouterr().err
    assert main(["export", str(tmp_path), "-o", str(tmp_path / "net.pt")]) == 2


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


def test_several_runs_are_exported_as_their_mean(cache, run, tmp_path):
    """If they began with the same weights, or one with the other's; the card counts all steps."""
    export.export(run, tmp_path / "first.pt")
    runs = [tmp_path / "a", tmp_path / "b"]
    for seed, folder in enumerate(runs):
        recipe = replace(TINY, run=replace(TINY.run, seed=seed))
        fit(recipe, cache, folder, steps=2, start=tmp_path / "first.pt")
    card = export.export(runs, tmp_path / "mean.pt")
    export.export(runs[0], tmp_path / "a.pt")
    export.export(runs[1], tmp_path / "b.pt")

    mean, a, b = (load_model(tmp_path / f"{name}.pt").weights() for name in ("mean", "a", "b"))
    assert (card.config["runs"], card.config["steps"]) == (2, 4)
    assert any((a[name] != b[name]).any() for name in a)
    for name, value in mean.items():
        np.testing.assert_allclose(value, (a[name] + b[name]) / 2, atol=1e-7)
    fit(TINY, cache, tmp_path / "later", steps=1, start=tmp_path / "a.pt")
    assert export.export([tmp_path / "later", runs[0]], tmp_path / "net.pt").config["steps"] == 3
    with pytest.raises(UsageError, match="did not begin with the same weights"):
        export.export([runs[0], run], tmp_path / "net.pt")
