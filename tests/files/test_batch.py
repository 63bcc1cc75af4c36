"""Plans of batches: how outputs are named, and which inputs are left out or refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rtdenoise.errors import UsageError
from rtdenoise.files.batch import Naming, plan


def tree(folder, *names):
    """Empty files that only have names."""
    for name in names:
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def pairs(root, inputs, recursive=False, **naming):
    """(input, output) of each job, relative to *root*."""
    made = plan([str(Path(root, i)) for i in inputs], Naming(**naming), recursive)
    return [
        tuple(os.path.relpath(name, root) for name in (job.source, job.target)) for job in made.jobs
    ]


def test_outputs_are_named_after_their_inputs(tmp_path):
    """Beside the input with .denoised; in a folder under its own name; or as told."""
    tree(tmp_path, "a.wav", "b.c.flac")
    out = str(tmp_path / "out")
    assert pairs(tmp_path, ["a.wav"]) == [("a.wav", "a.denoised.wav")]
    assert pairs(tmp_path, ["b.c.flac"], suffix="-x") == [("b.c.flac", "b.c-x.flac")]
    assert pairs(tmp_path, ["a.wav"], folder=out) == [("a.wav", "out/a.wav")]
    assert pairs(tmp_path, ["a.wav"], folder=out, suffix=".x") == [("a.wav", "out/a.x.wav")]


def test_folders_and_globs_are_mirrored_without_the_results_of_an_earlier_run(tmp_path):
    """A second run over the same folder finds the same inputs."""
    tree(tmp_path, "t/a.wav", "t/b/c.mp3", "t/b/no.txt", "t/.hidden/x.wav", "t/a.denoised.wav")
    tree(tmp_path, "u/a.wav", "t/out/a.wav")
    out = str(tmp_path / "t" / "out")
    expected = [("t/a.wav", "t/out/a.wav"), ("t/b/c.mp3", "t/out/b/c.mp3")]
    assert pairs(tmp_path, ["t"], True, folder=out, force=True) == expected
    assert pairs(tmp_path, ["t/**/[a-c].*"], folder=out, force=True)[0] == expected[0]
    several = pairs(tmp_path, ["t/b", "u"], True, folder=str(tmp_path / "o"))
    assert several == [("t/b/c.mp3", "o/b/c.mp3"), ("u/a.wav", "o/u/a.wav")]
    tree(tmp_path, "odd[1].wav")
    assert pairs(tmp_path, ["odd[1].wav", "./odd[1].wav"]) == [
        ("odd[1].wav", "odd[1].denoised.wav")
    ]


def test_contradictions_are_refused_before_anything_is_touched(tmp_path):
    """One output for two inputs, by -o or by name."""
    tree(tmp_path, "a/x.wav", "b/x.wav")
    with pytest.raises(UsageError, match=r"both be written to .*x\.wav"):
        pairs(tmp_path, ["a/x.wav", "b/x.wav"], folder="out")
    with pytest.raises(UsageError, match=r"the output y\.wav is one file, but there are 2"):
        pairs(tmp_path, ["a/x.wav", "b/x.wav"], output="y.wav")
    with pytest.raises(UsageError, match="wanted one of them"):
        pairs(tmp_path, ["a/x.wav"], output="y.wav", folder="out")
