"""`rtdenoise file --longest`: one long recording on all cores, as a user runs it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rtdenoise.cli import main
from rtdenoise.cluster import seams
from tests.sounds import noise, read, tell_files, write
from tests.toy_nets import Smoother, save


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The path of a net with memory."""
    path = tmp_path_factory.mktemp("models") / "smoother.pt"
    return str(save(Smoother(), path, config={"memory_s": 1.0}))


@pytest.fixture
def here(tmp_path, monkeypatch, rng):
    """A working folder with a long recording and a short one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(seams, "CHECK_S", 0.5)
    write(tmp_path / "long.wav", noise(rng, 2, 4 * 44_100), 44_100, subtype="PCM_24")
    write(tmp_path / "short.wav", noise(rng, 1, 9000), 44_100)
    return tmp_path


def test_the_outputs_are_those_of_a_run_without_it(here, model, capsys):
    """Within 1e-5; nothing is left beside them; a second run with the same log does nothing."""
    words = ["file", "long.wav", "short.wav", "-m", model, "--log", "l.jsonl", "-O", "out"]
    assert main(["file", "long.wav", "short.wav", "-m", model, "-O", "uncut"]) == 0
    assert main([*words, "--longest", "1.5"]) == 0
    for name in ("long.wav", "short.wav"):
        uncut, joined = read(here / "uncut" / name), read(here / "out" / name)
        assert joined.shape == uncut.shape
        assert np.abs(joined - uncut).max() <= 1e-5
    assert tell_files(here / "out") == ["long.wav", "short.wav"]
    capsys.readouterr()
    assert main([*words, "--longest", "1.5", "--json"]) == 0
    lines = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert [line["status"] for line in lines] == ["skipped", "skipped"]


def test_an_effect_that_never_forgets_is_one_line(here, capsys):
    """The long recording fails and says why; the short one, which is not cut, is done."""
    pytest.importorskip("pedalboard")
    (here / "board.toml").write_text('[[effect]]\ntype = "Chorus"\n')
    words = ["file", "long.wav", "short.wav", "--board", "board.toml", "-O", "out"]
    assert main([*words, "--longest", "1.5"]) == 1
    err = capsys.readouterr().err
    assert "cannot be cut into pieces for Chorus: it counts from the start" in err
    assert tell_files(here / "out") == ["short.wav"]


@pytest.mark.parametrize("longest", ["0", "-3", "nan"])
def test_a_length_that_makes_no_sense(longest, here, model, capsys):
    """It is refused before any work."""
    assert main(["file", "long.wav", "-m", model, f"--longest={longest}"]) == 2
    assert "wanted more than 0 s" in capsys.readouterr().err
