"""Nets of strangers on the command line: they cannot hold it, write to it, or leave half a file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rtdenoise.cli import main
from rtdenoise.errors import ModelError
from tests.conftest import CLIPS
from tests.toy_nets import Identity, save

# The child imports what takes long, says so, and then runs the command.
CHILD = """
import sys, torch, rtdenoise.nets.torchscript, rtdenoise.files.offline, rtdenoise.live.live
from rtdenoise.cli import interrupt, main
interrupt.GRACE_S = 0.5
print("ready", flush=True)
sys.exit(main(sys.argv[1:]))
"""
GUARD_S = 60  # far more than any of them takes


class LoopsAtOnce(Identity):
    """Never gives its first state."""

    @torch.jit.export
    def initial_state(self, channels: int) -> Tensor:
        k = torch.zeros(1)
        while bool(k[0] > -1):
            k = k + 1
        return torch.zeros(channels, 0) * k


class LoopsLater(Identity):
    """Never returns from hop 31."""

    @torch.jit.export
    def initial_state(self, channels: int) -> Tensor:
        return torch.zeros(channels, 1)

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        after = state + windows.shape[1]
        while bool(after[0, 0] > 30):
            after = after + 1
        return windows, after


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a sound and two nets that loop."""
    place: Path = tmp_path_factory.mktemp("loops")
    shutil.copy(CLIPS / "clean.flac", place / "in.flac")
    save(LoopsAtOnce(), place / "once.pt")
    save(LoopsLater(), place / "later.pt")
    return place


@pytest.mark.skipif(os.name == "nt", reason="there, a child gets no SIGINT")
@pytest.mark.parametrize(
    ("words", "asked", "code"),
    [
        ("file in.flac -m once.pt", [signal.SIGINT], 130),
        ("file in.flac -m later.pt", [signal.SIGINT], 130),
        ("file in.flac -m later.pt --jobs 2", [signal.SIGINT, signal.SIGINT], 130),
        ("live -i file:in.flac -o file:out.wav --clock fast -m later.pt", [signal.SIGTERM], 4),
    ],
)
def test_a_net_that_loops_for_ever_ends_when_asked(folder, words, asked, code):
    """In the first call or in a later one, in the main thread or another; no file is left."""
    before = sorted(folder.iterdir())
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *words.split()],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    for number in asked:
        time.sleep(1.5)  # until it loops; a signal that comes earlier must end it as well
        child.send_signal(number)
    try:
        told = child.communicate(timeout=GUARD_S)[1]
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        raise

    assert child.returncode == code, told
    assert "Traceback" not in told
    left = {path.name for path in folder.iterdir()} - {path.name for path in before}
    assert left <= {"out.wav.part.wav"}, "only what `recover` finishes may be left"


def test_info_runs_nothing_of_a_model(folder, capsys):
    """A net that never returns has a card like any other."""
    assert main(["info", str(folder / "once.pt")]) == 0
    assert capsys.readouterr().out.startswith("loopsatonce: identity")


class Shouts(Identity):
    """Raises with a message that would clear a terminal and colour it."""

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        if windows.shape[0] > 0:
            raise ValueError("\x1b[2J\x1b[31mowned\x07")
        return windows, state


def test_what_a_net_raises_cannot_steer_the_terminal(tmp_path, capsys):
    """Control characters are replaced."""
    path = save(Shouts(), tmp_path / "net.pt")
    assert main(["verify", str(path)]) == 4
    told = capsys.readouterr().err
    assert "owned" in told
    assert told.strip().isprintable()


class Shrinks(Identity):
    """Gives shorter windows from hop 31 on."""

    @torch.jit.export
    def initial_state(self, channels: int) -> Tensor:
        return torch.zeros(channels, 1)

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        after = state + windows.shape[1]
        if bool(after[0, 0] > 30):
            windows = windows[:, :, :100]
        return windows, after


def test_a_net_that_changes_its_shape_is_an_error_in_files_and_dry_in_live(tmp_path, capsys):
    """Nothing is written in the one, and the hops are counted in the other."""
    net, source = str(save(Shrinks(), tmp_path / "net.pt")), str(CLIPS / "clean.flac")
    assert (
        main(["file", source, "-o", str(tmp_path / "out.wav"), "-m", net]) == ModelError.exit_code
    )
    told = capsys.readouterr().err
    assert "wanted windows (1, 1, 1024)" in told
    assert "got (1, 1, 100) float32" in told
    assert not (tmp_path / "out.wav").exists()

    ends = ["--in", f"file:{source}", "--out", f"file:{tmp_path / 'live.wav'}", "--clock", "fast"]
    assert main(["live", *ends, "-m", net, "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["failed"] == numbers["dry"] == numbers["hops"] // 31
    assert numbers["faults"] == 0
