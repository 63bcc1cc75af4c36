"""Runs that are controlled by their socket, each in a runtime folder of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rtdenoise.chain.effect import Denoise
from rtdenoise.live.control import Control
from rtdenoise.live.hosts import Host
from rtdenoise.live.live import Live
from tests.runtime import runtime_folder
from tests.toy_nets import Identity, generator_for


def run(folder: Path) -> Live:
    """A run at the pace of a card, which has not started, and whose marks are in *folder*."""
    effect = Denoise(generator_for(Identity()))
    return Live("null", "null", effect, duration_s=600, flight_folder=folder)


@pytest.fixture(scope="module")
def folder():
    """Where the socket of the run is that the tests of a file share."""
    with runtime_folder() as place:
        yield place / "rtdenoise"


@pytest.fixture
def other_folder():
    """A second one, where nothing runs."""
    with runtime_folder() as place:
        yield place / "rtdenoise"


@pytest.fixture(scope="module")
def live(folder):
    """A run that the tests of a file share."""
    with run(folder.parent) as live, Control(live, "call"):
        yield live


@pytest.fixture
def own(other_folder):
    """A run of the test's own."""
    with run(other_folder.parent) as live, Control(live):
        yield live


@pytest.fixture
def host(live):
    """A client of the run that is shared."""
    with Host(os.getpid()) as host:
        yield host
