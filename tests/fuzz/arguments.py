"""Command lines of known options with odd values, in odd orders, for both programs."""

from __future__ import annotations

import argparse
import contextlib
import io
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from . import mutate

CODES = {"rtdenoise": {0, 1, 2, 3, 4}, "train": {0, 1, 2, 4}}
# `live`, `bench`, `doctor` and `tui` run until they are stopped, `listen` and `panel` serve, `fit`
# trains.
LEFT_OUT = {"live", "bench", "doctor", "tui", "panel", "listen", "fit", "features"}
POOL = ("in.wav", "in.flac", "empty.wav", "text.wav", "folder", "out.wav", "missing.wav", "-")


@cache
def parsers(program: str) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of a program's verbs."""
    if program == "rtdenoise":
        from rtdenoise.cli import parser
    else:
        from train.cli import parser
    verbs = next(
        action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)
    )
    return {name: sub for name, sub in verbs.choices.items() if name not in LEFT_OUT}


def word(rng: np.random.Generator) -> str:
    """Draw a value: a file of the folder, a number, or something odd."""
    draw = rng.random()
    if draw < 0.5:
        return str(rng.choice(POOL))
    if draw < 0.75:
        return str(rng.choice(["0", "1", "-1", "0.5", "100", "1e9", "nan", "lowpass 4k", "speech"]))
    return mutate.WORDS[int(rng.integers(len(mutate.WORDS)))].replace("\u0000", "")


def command(verb: argparse.ArgumentParser, rng: np.random.Generator) -> list[str]:
    """Draw options of a verb with values, and its positional words."""
    words: list[str] = []
    for action in verb._actions:
        if action.option_strings:
            if isinstance(action, argparse._HelpAction) or rng.random() < 0.75:
                continue
            words.append(str(rng.choice(action.option_strings)))
            if action.nargs != 0:
                words.append(word(rng))
        else:
            words += [word(rng) for _ in range(int(rng.choice([0, 1, 1, 1, 2])))]
    return words


def prepare(folder: Path) -> None:
    """Put a few files into the folder."""
    rng = np.random.default_rng(0)
    sound = 0.1 * rng.standard_normal(4800)
    (folder / "folder" / "below").mkdir(parents=True)
    for name in ("in.wav", "in.flac", "folder/a.wav", "folder/below/b.flac"):
        soundfile.write(folder / name, sound, 48_000)
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("no sound")


def case(rng: np.random.Generator, folder: Path) -> str:
    """Run a command: a known exit code, no traceback, and the inputs are as they were."""
    program = "rtdenoise" if rng.random() < 0.75 else "train"
    verbs = parsers(program)
    name = list(verbs)[int(rng.integers(len(verbs)))]
    prepare(folder)
    argv = [name, *command(verbs[name], rng)]
    if program == "rtdenoise":
        from rtdenoise.cli import main
    else:
        from train.cli import main
    overwrites = {"-f", "--force"} & set(argv)
    inputs = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(argv)
    except SystemExit as exit:
        code = exit.code if isinstance(exit.code, int) else 2
    said = err.getvalue()
    assert code in CODES[program], (argv, code, said)
    assert "Traceback" not in said, (argv, said)
    assert "-vv shows where" not in said, (argv, said)
    if not overwrites:
        for path, before in inputs.items():
            assert path.read_bytes() == before, (argv, f"{path} was changed")
    return f"exit {code}"
