"""Fixtures every room's tests share."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from rtdenoise.nets.torchscript import Generator
from tests.toy_nets import Identity, Smoother, generator_for

# A shell's background job ignores SIGINT, and so does all that it starts: CI may be one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

CLIPS = Path(__file__).parents[1] / "examples" / "audio"


@pytest.fixture(autouse=True, scope="session")
def _no_settings(tmp_path_factory):
    """No test depends on the presets, the config file and the variables of who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("settings")))
        for name in [name for name in os.environ if name.startswith("RTDENOISE_")]:
            if name != "RTDENOISE_JACK_ALONE":  # of tools/jack_card.py
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def _no_module_stays(tmp_path_factory):
    """A module that a test wrote is not found by the next test that writes one of that name."""
    before, folder = set(sys.modules), str(tmp_path_factory.getbasetemp())
    yield
    for name in sys.modules.keys() - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(folder):
            del sys.modules[name]


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(440)


@pytest.fixture(scope="session")
def identity() -> Generator:
    """A net that changes nothing."""
    return generator_for(Identity())


@pytest.fixture(scope="session")
def smoother() -> Generator:
    """A net with memory."""
    return generator_for(Smoother())


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of real recordings that ships with the project."""
    return CLIPS


@pytest.fixture(scope="module")
def browser():
    """A real Chromium, without a window and without a sound card.

    Its event loop ends with the file: it keeps others in this process from having one.
    """
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs chromium (make system)")
    with driver.sync_playwright() as play:
        flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        running = play.chromium.launch(executable_path=chromium, args=flags)
        yield running
        running.close()
