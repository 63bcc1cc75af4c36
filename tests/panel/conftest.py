"""A panel, and a run in this process that it shows: a file of noise at the pace of a card."""

from __future__ import annotations

import sys

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
from rtdenoise.panel.server import MOST_FEEDS, Panel
from tests.runtime import runtime_folder
from tests.toy_nets import Identity, save

RATE = 48_000


@pytest.fixture
def folder(monkeypatch):
    """A runtime folder and settings of its own."""
    with runtime_folder() as place:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(place / "settings"))
        yield place


@pytest.fixture(scope="session")
def noise(tmp_path_factory):
    """A file of noise that is longer than any test."""
    path = tmp_path_factory.mktemp("noise") / "noise.wav"
    audio = np.random.default_rng(440).uniform(-0.2, 0.2, RATE).astype(np.float32)
    sf.write(path, np.tile(audio, 300), RATE, "PCM_16")
    return path


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
    for _ in range(MOST_FEEDS):  # the threads of its pages, which would make the folder again
        assert panel.feeds.acquire(timeout=20)
