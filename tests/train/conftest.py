"""Fixtures that several rooms of the training system share."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import soundfile as sf
import soxr
import torch

from tests.train.evaluate.sounds import RATE, voice
from tests.train.sets import RECIPES, TINY, make_cache
from train import config
from train.data.prepare import prepare
from train.run.loop import fit
from train.run.pretrain import pretrain


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


@pytest.fixture(scope="session")
def caches(clips, tmp_path_factory):
    """The clips of the repository at the rates of the recipes."""
    folder = tmp_path_factory.mktemp("sets")
    return {rate: make_cache(clips, folder / str(rate), rate) for rate in (10_000, 16_000, 48_000)}


@pytest.fixture(scope="session")
def feature_files(caches, tmp_path_factory):
    """A feature net of each kind, trained for some steps."""
    folder = tmp_path_factory.mktemp("features")
    for kind, name, rate in (
        ("autoencoder", "seed-mugan", 10_000),
        ("germain", "seed-germain", 16_000),
    ):
        recipe = config.load(RECIPES / f"{name}.toml", ["optim.batch=6", "data.dev_share=0.3"])
        first = pretrain(kind, recipe, caches[rate], folder / "first.pt", 2, 0.1)
        last = pretrain(kind, recipe, caches[rate], folder / f"{kind}.pt", 40, 0.1)
        assert last < first
    return folder


@pytest.fixture
def pairs(tmp_path):
    """Make a folder of pairs by a function clean -> degraded; files are named by their SNR."""

    def write(damage, files=4, channels=1):
        for name in ("clean", "degraded"):
            (tmp_path / name).mkdir(exist_ok=True)
        for number in range(files):
            clean = np.stack([voice(seed=10 * number + c) for c in range(channels)])
            name = f"snr{5 * (number % 2):+03d}_{number:03d}.wav"
            sf.write(tmp_path / "clean" / name, clean.T, RATE, "FLOAT")
            sf.write(tmp_path / "degraded" / name, np.atleast_2d(damage(clean)).T, RATE, "FLOAT")
        return tmp_path

    return write


@pytest.fixture(scope="session")
def voices(clips):
    """Excerpts of a real voice (4, 4096) at 16 kHz."""
    audio, rate = sf.read(clips / "clean.flac", dtype="float32")
    sound = soxr.resample(audio, rate, RATE).astype(np.float32)
    return torch.from_numpy(np.stack([sound[at : at + 4096] for at in range(8000, 24_000, 4000)]))
