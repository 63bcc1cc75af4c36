"""An option means one thing, over all verbs of both command lines."""

from __future__ import annotations

import argparse
import re
from typing import Any

import pytest

import rtdenoise.cli
import train.cli

# What an output or a model can be depends on the verb; that it is one does not.
VALUES_DIFFER = {"-o", "--out", "-m", "--model"}


def options():
    """(option, verb, action) for each option of each verb."""
    for cli in (rtdenoise.cli, train.cli):
        for action in cli.parser()._actions:
            if isinstance(action, argparse._SubParsersAction):
                for verb, parser in action.choices.items():
                    for own in parser._actions:
                        for option in own.option_strings:
                            yield option, f"{cli.__name__} {verb}", own


def meaning(option, action):
    """Where it goes, what it takes, and the first words of its help."""
    stem = re.split(r"[:;,(]", action.help)[0].strip()
    takes = "" if option in VALUES_DIFFER else action.metavar
    return action.dest, takes, action.nargs, action.type in (int, float) and action.type, stem


def test_an_option_means_one_thing_in_all_verbs():
    """One name, one place, one kind of value and one explanation."""
    first: dict[str, Any] = {}
    for option, verb, action in options():
        means = meaning(option, action)
        known, where = first.setdefault(option, (means, verb))
        assert means == known, f"{option} in {verb} and in {where}"
    assert {"-o", "-f", "--seed", "--reference"} <= set(first)


@pytest.mark.parametrize("main", [rtdenoise.cli.main, train.cli.main])
def test_a_part_of_an_option_is_no_option(main, capsys):
    """`--output` was --output-dir in one verb and nothing in another."""
    for verb, part in (("file", "--output"), ("degrade", "--ref"), ("evaluate", "--est")):
        words = [verb, "x.wav", part, "y"]
        with pytest.raises(SystemExit) as usage:
            main(words)
        assert usage.value.code == 2
    assert "y.wav" not in capsys.readouterr().out
