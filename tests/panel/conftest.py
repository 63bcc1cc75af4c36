"""A panel, and a run in this process that it shows: a file of noise at the pace of a card."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from pedalboard import Compressor, LadderFilter

from rtdenoise.chain.board import Board, Mix
from rtdenoise.chain.effect import Denoise
from rtdenoise.cli.panel import live_words, store
from rtdenoise.live.control import Control
from rtdenoise.live.live import Live
from rtdenoise.panel.desk import Commands, Desk
from rtdenoise.panel.server import Panel
from tests.toy_nets import Identity, save

RATE = 48_000
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def folder(monkeypatch):
    """A runtime folder and settings of its own; a socket's name must be short."""
    place = Path(tempfile.mkdtemp(prefix="rtd"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place / "settings"))
    yield place
    shutil.rmtree(place, ignore_errors=True)  # a page that leaves may look for runs once more


@pytest.fixture
def noise(folder):
    """A file of noise that is longer than any test."""
    audio = np.random.default_rng(440).uniform(-0.2, 0.2, RATE).astype(np.float32)
    sf.write(folder / "noise.wav", np.tile(audio, 300), RATE, "PCM_16")
    return folder / "noise.wav"


@pytest.fixture
def net(folder):
    """A model file that changes nothing."""
    return save(Identity(), folder / "net.pt")


@pytest.fixture
def live(noise, net, folder):
    """A run that can be controlled: a model, two plugins, and a mix of one."""
    board = Board([Denoise(net), Compressor(), LadderFilter(), Mix([Compressor()])])
    where = {"flight_folder": folder, "tap_seconds": 5.0}
    with Live(f"file:{noise}", "null", board, clock="real", **where) as live, Control(live):
        yield live


@pytest.fixture
def desk(folder):
    """What the pages of a panel share."""
    listing = (sys.executable, "-c", "print('[]')")
    desk = Desk(Commands(live_words, listing, store))
    yield desk
    desk.close()


@pytest.fixture
def panel(desk):
    """A panel that is served."""
    panel = Panel(desk)
    panel.serve()
    yield panel
    panel.close()


@pytest.fixture(scope="session")
def browser():
    """A real Chromium, without a window."""
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs chromium (make system)")
    with driver.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()
