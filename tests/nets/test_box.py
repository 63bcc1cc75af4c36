"""The box: generators by name or path, and what is said of those that break the contract."""

from __future__ import annotations

import pytest

from rtdenoise.cli import main
from rtdenoise.errors import ModelError, Problem
from rtdenoise.nets.box import find, load, models
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
