"""The box: generators by name or path, and what is said of those that break the contract."""

from __future__ import annotations

import numpy as np
import pytest

from rtdenoise.cli import main
from rtdenoise.errors import ModelError, Problem
from rtdenoise.nets import box
from rtdenoise.nets.box import find, load, models
from rtdenoise.nets.onnx import Session
from rtdenoise.nets.torchscript import Generator
from tests.toy_nets import Breaks, Identity, Smoother, save


def test_every_model_in_the_box_has_its_name():
    """`find` takes what `models` lists."""
    assert "speech" in models()
    for name in models():
        assert find(name).card.sample_rate > 0


def test_an_unknown_name_lists_the_known_ones():
    """Wanted, got, choices."""
    with pytest.raises(ModelError, match=r"no model 'speach'\. In the box: .*speech") as raised:
        find("speach")
    assert raised.value.problem is Problem.NO_MODEL


@pytest.mark.parametrize("name", sorted(file.stem for file in box.BOX.glob("*.onnx")))
def test_both_forms_of_a_model_give_the_same_samples(name):
    """Which one a machine runs is no matter of sound, and the card of one names the other."""
    quick, original = box.find(name), box.find(box.original(name))
    assert (type(quick), type(original)) == (Session, Generator)
    assert quick.card.config["torchscript_sha256"] == original.card.sha256
    windows = np.random.default_rng(0).normal(0, 0.1, (2, 40, 1024)).astype(np.float32)
    (a, _), (b, _) = (net(windows, net.initial_state(2)) for net in (quick, original))
    assert np.abs(a - b).max() < 1e-4


def test_a_name_runs_in_torch_where_onnx_is_missing(monkeypatch):
    """A path always means that file."""
    monkeypatch.setattr(box, "_has_onnx", lambda: False)
    assert box.place("speech") == box.original("speech") == box.BOX / "speech.pt"
    assert isinstance(box.find("speech"), Generator)
    assert isinstance(box.find(box.BOX / "speech.onnx"), Session)
    assert box.needs_torch("speech")


def test_only_what_runs_in_torch_needs_it():
    """A name that is not known counts as such, and a library of another maker does not."""
    names = ["speech", "speech-superres", "speech.pt", "mine.onnx", "rnnoise", "", "unknown"]
    assert [box.needs_torch(name) for name in names] == [0, 1, 1, 0, 0, 1, 1]


def test_a_net_that_raises_is_told_in_its_own_last_line(tmp_path, capsys):
    """Not forty lines of a scripted net's traceback, and exit code 4."""
    path = save(Breaks(1, raises=True), tmp_path / "net.pt")
    with pytest.raises(ModelError, match=r"breaks the contract: .*this net broke on purpose$"):
        load(path)
    assert main(["verify", str(path)]) == 4
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "Traceback" not in told


def test_a_file_that_is_in_use_is_not_loaded_again(tmp_path):
    """In mid run, torch would stop all threads for it; another file of the name is another net."""
    path = save(Identity(), tmp_path / "net.pt")
    first = load(path)

    assert load(path) is first
    assert load(tmp_path / "." / "net.pt") is first
    save(Smoother(), path)
    assert load(path) is not first
