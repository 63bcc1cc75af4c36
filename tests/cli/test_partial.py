"""Damaged and cut-off files on the command line: each verb says so, and a batch goes on."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rtdenoise.cli import main
from tests.damaged import damaged_flac
from tests.sounds import noise, read, tell_files, write
from tests.toy_nets import Smoother, save


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The path of a net with memory."""
    return str(save(Smoother(), tmp_path_factory.mktemp("models") / "smoother.pt"))


@pytest.fixture
def here(tmp_path, monkeypatch, rng):
    """A working folder with a whole file, one that is cut off, and a damaged one."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "whole.wav", noise(rng, 1, 48_000), subtype="PCM_16")
    data = (tmp_path / "whole.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[: 44 + 48_000])
    damaged_flac(tmp_path / "damaged.flac")
    return tmp_path


def test_file_saves_the_part_and_counts_it_as_failed(here, model, capsys):
    """Exit code 1, a line that says how much is missing and where the part is; the rest is done."""
    inputs = ["cut.wav", "whole.wav", "damaged.flac"]
    assert main(["file", *inputs, "-m", model, "--json", "-O", "out"]) == 1
    out, err = capsys.readouterr()
    lines = {line["input"]: line for line in map(json.loads, out.splitlines())}

    assert [lines[name]["status"] for name in inputs] == ["partial", "ok", "partial"]
    assert lines["whole.wav"]["partial"] == ""
    said = "cut.wav is cut off: 0.50 s of 1.00 s are missing. What can be read is in out/cut.wav"
    assert said in err
    assert "1 done, 2 failed" in err
    assert read(here / "out" / "cut.wav").shape == (1, 24_000)
    assert read(here / "out" / "damaged.flac").shape == (1, 144_000)
    assert main(["file", "cut.wav", "-m", model, "-q"]) == 1
    assert "cut off" in capsys.readouterr().err


def test_a_picture_and_scores_of_a_part(here, model, capsys):
    """They are as long as what can be read; a clean file of another length is an error."""
    pytest.importorskip("matplotlib")
    words = ["file", "damaged.flac", "-m", model, "--picture", "-o", "out.flac"]
    assert main(words) == 1
    assert tell_files(here) == ["cut.wav", "damaged.flac", "out.flac", "out.flac.png", "whole.wav"]
    assert main(["file", "cut.wav", "-m", model, "--reference", "whole.wav"]) == 1
    assert "48000 samples" in capsys.readouterr().err


def test_degrade_names_what_is_not_whole_and_goes_on(here, capsys):
    """Half a file is no example of anything."""
    assert main(["degrade", "-r", ".", "-O", "out", "gain -6"]) == 1
    err = capsys.readouterr().err

    assert "cut.wav is cut off" in err
    assert "damaged.flac is damaged 1." in err
    assert tell_files(here / "out") == ["whole.wav"]


def test_live_plays_what_can_be_read_and_then_says_so(here, model, capsys):
    """Exit code 1 and one line; the recording is kept."""
    ends = ["--in", "file:damaged.flac", "--out", "file:out.wav", "--clock", "fast"]
    assert main(["live", "-m", model, *ends, "-q"]) == 1
    err = capsys.readouterr().err

    assert "rtdenoise live: damaged.flac is damaged 1." in err
    assert "`rtdenoise file` saves" in err
    assert read(here / "out.wav").shape[1] >= 144_000
    assert np.abs(read(here / "out.wav")).max() > 0.01
