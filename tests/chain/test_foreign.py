"""Models of Neutone and nn~, on boards, in files and live; made by hand, and by their own SDKs."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rtdenoise import AudioError, Denoise, ModelError, UsageError
from rtdenoise.chain.boardfile import open_board
from rtdenoise.cli import main
from rtdenoise.core.stage import process
from rtdenoise.core.stream import Stream
from rtdenoise.nets import box
from rtdenoise.proof.verify import _latency
from tests import foreign_models
from tests.foreign_models import DRIVE, Neutone, Tilde, metadata, save
from tests.sounds import read, write

NOISE = np.random.default_rng(440).uniform(-0.3, 0.3, (2, 12_000)).astype(np.float32)
SDKS = Path(__file__).parents[2] / "tools" / "sdk_models.py"


@pytest.fixture(scope="session", params=["by hand", "by the SDKs"])
def models(request, tmp_path_factory):
    """A folder with drive.nm, late.nm and tilde.ts.

    The SDKs need an environment of their own: SDK_PYTHON is the Python in it.
    """
    folder = tmp_path_factory.mktemp("models")
    if request.param == "by hand":
        foreign_models.write(folder)
        return folder
    python = os.environ.get("SDK_PYTHON", "")
    if not python and not all(map(importlib.util.find_spec, ("neutone_sdk", "nn_tilde"))):
        pytest.skip("neutone_sdk and nn_tilde: see tools/sdk_models.py")
    subprocess.run([python or sys.executable, SDKS, folder], check=True, capture_output=True)
    return folder


def driven(audio, drive=0.5, level=0.8):
    """What drive.nm computes."""
    return np.tanh(audio * (1 + 3 * drive)) * level


@pytest.mark.parametrize("rate", [48_000, 44_100])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_mono_model_runs_at_each_of_its_rates_and_keeps_channels_apart(models, rate, channels):
    """No resampler where the model knows the rate; any block size gives the same samples."""
    audio = np.concatenate([NOISE, NOISE[:1, ::-1]])[:channels]
    effect = Denoise(models / "drive.nm")
    np.testing.assert_allclose(effect(audio, rate), driven(audio), atol=1e-5)
    parts = [
        effect.process(audio[:, at : at + 700], rate, reset=False)
        for at in range(0, audio.shape[1], 700)
    ]

    streamed = np.concatenate([*parts, effect.flush()], axis=1)
    np.testing.assert_allclose(streamed, driven(audio), atol=1e-5)


def test_a_model_takes_the_buffer_next_to_a_hop_and_says_how_late_it_is(models):
    """480 of 480 and 2048 samples; a delay of 100 is compensated, at its rate and at another."""
    effect = Denoise(models / "late.nm")
    assert (effect.own_rate, effect.own_hop) == (44_100, 480)
    assert effect.latency(44_100) == 480 + 100
    np.testing.assert_allclose(effect(NOISE, 44_100), NOISE, atol=1e-6)
    tone = 0.3 * np.sin(2 * np.pi * 1000 / 48_000 * np.arange(24_000, dtype=np.float32))

    np.testing.assert_allclose(effect(tone, 48_000)[500:-500], tone[500:-500], atol=1e-3)


def test_mono_goes_through_both_channels_of_a_stereo_model(models):
    """Its mean comes back; channel counts that it cannot have are told."""
    effect = Denoise(models / "late.nm")
    np.testing.assert_allclose(effect(NOISE[:1], 44_100), NOISE[:1], atol=1e-6)
    with pytest.raises(AudioError, match="late takes 2 channels and gives 2; it cannot process 6"):
        effect(np.concatenate([NOISE] * 3), 44_100)


def test_parameters_have_names_ranges_and_values_that_may_change_while_it_runs(models):
    """As attributes of the effect; the model's own defaults."""
    effect = Denoise(models / "drive.nm", drive=0.25)
    assert [(knob.name, knob.default, knob.range) for knob in effect.knobs] == [
        ("drive", 0.5, "0 to 1"),
        ("output_level", 0.8, "0 to 1"),
    ]
    stage = effect.stage(Stream(48_000, 2))
    first = stage.push(NOISE[:, :6000])
    effect.drive, effect.output_level = 1, 0.5
    later = stage.push(NOISE[:, 6000:])
    late = stage.latency

    assert (effect.drive, effect.output_level) == (1, 0.5)
    np.testing.assert_allclose(
        first[:, late:5000], driven(NOISE[:, : 5000 - late], 0.25), atol=1e-5
    )
    ended = driven(NOISE[:, 8000 - late : 12_000 - late], 1, 0.5)
    np.testing.assert_allclose(later[:, 2000:], ended, atol=1e-5)


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("drive.nm", {"drive": 2}, "drive = 2: wanted 0 to 1"),
        ("drive.nm", {"drive": float("nan")}, "drive = nan: wanted 0 to 1"),
        ("drive.nm", {"drive": "loud"}, "drive = 'loud': wanted a number, 0 to 1"),
        ("drive.nm", {"dirve": 1}, r"no 'dirve'; known: model, .* drive \(0 to 1\), output_level"),
        ("late.nm", {"drive": 1}, "no 'drive'; known: model, mix, atten_lim_db, residual$"),
        ("tilde.ts", {"mode": 3}, "mode = 3: wanted a text"),
        ("tilde.ts", {"flip": 1}, "flip = 1: wanted true or false"),
        ("tilde.ts", {"gain": -1}, r"the model refuses gain = \[-1.0\]"),
        ("tilde.ts", {"method": "encode"}, "no method 'encode'; known: forward, sides, level"),
    ],
)
def test_a_wrong_parameter_is_told_with_the_right_ones(models, file, values, message):
    """When it is made and when it is set; the sound goes on with the value before."""
    with pytest.raises(UsageError, match=message):
        Denoise(models / file, **values).stage(Stream(48_000, 1))


def test_attributes_and_methods_of_nn_tilde(models):
    """Numbers, truth values and texts; values that belong together; a method by its name."""
    path, late = models / "tilde.ts", 64
    effect = Denoise(path, delay_samples=late)
    assert [k.name for k in effect.knobs] == [
        *("gain", "mode", "flip", "pair_1", "pair_2", "method", "delay_samples")
    ]
    np.testing.assert_allclose(effect(NOISE, 48_000), np.tanh(2 * NOISE), atol=1e-6)
    effect.gain, effect.mode, effect.flip, effect.pair_1 = 0.5, "none", True, 3
    np.testing.assert_allclose(effect(NOISE, 48_000), -1.5 * NOISE, atol=1e-6)
    sides = Denoise(path, method="sides")
    np.testing.assert_allclose(sides(NOISE, 48_000), NOISE[::-1], atol=1e-6)
    level = Denoise(path, method="level")(NOISE[:, :10_240], 48_000)  # every 1024th sample
    means = np.abs(NOISE[:, :10_240]).reshape(2, -1, 1024).mean(-1).repeat(1024, axis=1)
    np.testing.assert_allclose(level, means, atol=1e-6)


@pytest.mark.parametrize("file", ["late.nm", "tilde.ts"])
def test_two_streams_of_a_model_do_not_hear_each_other(models, file):
    """Nor does a second recording hear the first: each has the model as it was loaded."""
    effect = Denoise(models / file)
    stream = Stream(44_100, 2)
    alone = process(effect.stage(stream), NOISE)
    one, other = effect.stage(stream), effect.stage(stream)
    for at in range(0, 12_000, 1000):
        other.push(-NOISE[:, at : at + 1000])
        one.push(NOISE[:, at : at + 1000])
    one.reset()
    np.testing.assert_array_equal(process(one, NOISE), alone)


def test_a_copy_has_values_of_its_own(models):
    """By deepcopy, by pickle, and of a net that two effects share."""
    effect = Denoise(models / "drive.nm", drive=0.1)
    copies = [deepcopy(effect), pickle.loads(pickle.dumps(effect)), Denoise(effect.net)]
    effect.drive = 0.9
    for copy in copies:
        assert copy.drive == 0.1
        np.testing.assert_allclose(copy(NOISE, 48_000), driven(NOISE, 0.1), atol=1e-5)


def test_file_live_and_board_take_it_by_its_name(models, tmp_path):
    """`-m model.nm` with --parameters, and a board file with the parameters as its keys."""
    write(tmp_path / "in.wav", NOISE)
    model, wanted = str(models / "drive.nm"), driven(NOISE, 0.2, 0.5)
    board = tmp_path / "board.toml"
    board.write_text(
        f"[[effect]]\ntype = 'Denoise'\nmodel = '{model}'\ndrive = 0.2\noutput_level = 0.5\n"
    )
    flags = ["-m", model, "--parameters", "drive=0.2, output_level=0.5"]
    for name, how in (("flags", flags), ("board", ["--board", str(board)])):
        out = tmp_path / f"{name}.wav"
        assert main(["file", str(tmp_path / "in.wav"), "-o", str(out), *how]) == 0
        np.testing.assert_allclose(read(out), wanted, atol=1e-4)
        out = tmp_path / f"live-{name}.wav"
        ends = ["--in", f"file:{tmp_path / 'in.wav'}", "--out", f"file:{out}", "--channels", "2"]
        assert main(["live", *ends, "--clock", "fast", "-q", *how]) == 0
        late = open_board(board).latency(48_000) - 512  # a block of one hop waits for nothing
        np.testing.assert_allclose(read(out)[:, late:][:, :11_000], wanted[:, :11_000], atol=1e-4)


def test_info_reads_what_it_says_and_verify_measures_its_delay(models, capsys):
    """Without running it; a delay that the file does not say is found."""
    assert main(["info", str(models / "drive.nm")]) == 0
    told = capsys.readouterr().out
    assert "rtdenoise.drive: a model of Neutone" in told
    assert "drive = 0.5 (0 to 1): how much is driven" in told
    assert main(["info", "--json", str(models / "tilde.ts")]) == 0
    assert json.loads(capsys.readouterr().out)["form"] == "nn~"
    cases: list[tuple[str, dict[str, Any], bool]] = [
        ("late.nm", {}, True),
        ("tilde.ts", {}, False),
        ("tilde.ts", {"delay_samples": 64}, True),
    ]
    for file, values, right in cases:
        check = _latency(Denoise(models / file, **values).net, seed=0)  # all of them take 5 s
        assert check.passed == right, check


class Fails(Neutone):
    """Gives NaN, and keeps it, for loud sound; raises for louder."""

    def forward(self, x: Tensor, params: Tensor | None = None) -> Tensor:
        if x.abs().max() > 1:
            raise ValueError("too loud")
        self.past[0, 0] = self.past[0, 0] + x.max() / (x.abs().max() < 0.9).float() - x.max()
        return x + self.past[0, 0]


@pytest.mark.parametrize("peak", [0.95, 2.0])
def test_a_model_that_fails_is_dry_for_that_hop_and_begins_anew(tmp_path, peak):
    """The NaN in its memory does not stay."""
    effect = Denoise(save(Fails(), tmp_path / "fails.nm", metadata("fails")))
    stage, audio = effect.stage(Stream(48_000, 1)), NOISE[:1].copy()
    audio[0, 3000] = peak
    out = np.concatenate(
        [stage.push(audio), stage.push(np.zeros((1, stage.latency), np.float32))], 1
    )

    np.testing.assert_allclose(out[:, stage.latency :], audio, atol=1e-6)
    assert stage.counters["failed"] == 1


class WrongSize(Neutone):
    """Gives half of the samples."""

    def forward(self, x: Tensor, params: Tensor | None = None) -> Tensor:
        return x[:, ::2]


class Saves(Neutone):
    """Writes a file while it is reset."""

    @torch.jit.export
    def reset(self) -> None:
        torch.save(self.past, "trace")


class NoMethods(Tilde):
    """A register without a method."""

    def __init__(self) -> None:
        super().__init__()
        self._methods = ["none"]


@pytest.mark.parametrize(
    ("module", "said", "suffix", "message"),
    [
        (WrongSize(), metadata("half"), ".nm", r"half gave \(1, 256\) float32 for 512 samples"),
        (Saves(), metadata("saves"), ".nm", "was not run: its code .*save, which is not allowed"),
        (NoMethods(), None, ".ts", "no known form: it has neither a card"),
        (Neutone(), None, ".nm", "no known form"),
        (Neutone(), {"model_name": 3}, ".nm", "it is for files"),
        (Neutone(), metadata("x", native_sample_rates=[0]), ".nm", "wanted numbers 1000 to"),
        (Neutone(), metadata("x", neutone_parameters={"p1": {}}), ".nm", "not that of a Neutone"),
        (Neutone(), metadata("x", neutone_parameters=[1]), ".nm", "not that of a Neutone"),
        (Neutone(), metadata("x", is_output_mono=False), ".nm", None),
        (
            Neutone(),
            metadata("x", neutone_parameters={"p1": DRIVE["p1"], "p2": DRIVE["p1"]}),
            ".nm",
            "do not differ in their letters",
        ),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused_in_one_line(
    tmp_path, monkeypatch, module, said, suffix, message
):
    """It passes the same checks as a model of ours, or is not run."""
    monkeypatch.chdir(tmp_path)
    path = save(module, tmp_path / f"net{suffix}", said)
    if message is None:  # more channels than it says: they are fitted, as by a cable
        assert box.find(path).card.channels == 1
        return
    with pytest.raises(ModelError, match=message) as caught:
        box.find(path)
    assert "\n" not in str(caught.value)
    assert not Path("trace").exists()
