"""The command line: verbs, exit codes, errors of one line that say what to type."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

from tests.train.sets import RECIPES
from train.cli import VERBS, main

HOUSE = Path(__file__).parents[3] / "train"


def test_alone_it_says_what_there_is(capsys):
    """As `rtdenoise` does."""
    assert main([]) == 2
    said = capsys.readouterr().err
    for verb in VERBS:
        assert f"    {verb} " in said


def test_the_command_line(cache, tmp_path, capsys):
    """fit in slices, export; errors are one line and the host's exit codes."""
    tiny, run = str(RECIPES / "tiny.toml"), str(tmp_path / "run")

    assert main(["fit", tiny, "--cache", str(cache), "--run", run, "--minutes", "0.005"]) == 0
    assert main(["export", run, "-o", str(tmp_path / "net.pt")]) == 0
    assert '"name": "tiny"' in capsys.readouterr().out
    assert main(["fit", tiny, "--cache", str(tmp_path), "--run", run]) == 2
    assert "train prepare" in capsys.readouterr().err
    assert main(["export", str(tmp_path), "-o", str(tmp_path / "net.pt")]) == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--baseline", "magic"], "no baseline 'magic'; known: sinc"),
        (["--baseline", "sinc"], "needs a cut-off. Give --cutoff-hz"),
        (["--task", "superres"], "needs a cut-off. Give --cutoff-hz"),
        (["--estimates", "x=/nowhere"], "wanted a file for each"),
        (["--model", "a=speech", "--model", "a=speech"], "'a' is taken"),
        (["--model", "nothing"], "path/to/net.pt. `rtdenoise models` describes those in the box"),
        (["--card", "c.json"], "needs a model. It holds the numbers of a --model"),
        (["--metrics", "snr,pesq_wb"], "no metric 'pesq_wb' for this; known: snr, si_sdr"),
        (["--data", "/nowhere"], "wanted a folder with clean/"),
    ],
)
def test_wrong_questions_are_one_line(pairs, flags, message, capsys):
    """Before any time is spent."""
    folder = pairs(lambda x: x, files=1)
    assert main(["evaluate", "--data", str(folder), "--kind", "music", *flags]) in (2, 4)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "wanted --systems"),
        (["--results", "/nowhere.sqlite"], "no ratings"),
        (["--systems", "a=/nowhere", "--reference", "/nowhere"], "no folder /nowhere"),
        (["--systems", "a=/x", "--reference", "/", "--anchors", "low"], "--anchors low"),
    ],
)
def test_wrong_flags_are_one_line(flags, message, capsys):
    """As everywhere."""
    assert main(["listen", *flags]) == 2
    assert message in capsys.readouterr().err


BELOW = [file for file in sorted(HOUSE.rglob("*.py")) if file.parent != HOUSE / "cli"]


def test_every_argument_that_would_mend_an_error_is_an_option_of_some_verb():
    """`ArgumentError` names an argument; a verb has to know what to type for it."""
    advice = set().union(
        *(getattr(import_module(f"train.cli.{verb}"), "ADVICE", {}) for verb in VERBS)
    )
    named = set()
    for file in BELOW:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "ArgumentError":
                named.add(ast.literal_eval(node.args[-1]))

    assert named == advice
