"""Fixtures of the listening tests."""

from __future__ import annotations

import pytest
import soundfile as sf

from tests.train.listening import NAMES, RATE, running, sound
from train.listen.stimuli import prepare
from train.listen.store import Store


@pytest.fixture
def folders(tmp_path):
    """Three items of two systems, at levels of their own."""
    for folder, gain in (("clean", 1.0), (NAMES[0], 0.1), (NAMES[1], 4.0)):
        (tmp_path / folder).mkdir()
        for item in range(3):
            x = gain * sound(item) + (folder != "clean") * 0.02 * sound(50 + item)
            sf.write(tmp_path / folder / f"item{item}.wav", x, RATE, "FLOAT")
    return tmp_path


@pytest.fixture(params=["mushra", "acr"])
def served(folders, request):
    systems = {name: folders / name for name in NAMES}
    anchors = (3500.0, 7000.0) if request.param == "mushra" else ()
    test = prepare(folders / "clean", systems, 3, anchors)
    store = Store(folders / "r.sqlite", "A & B <test>", request.param, test)
    with running(store, test) as url:
        yield request.param, url, folders / "r.sqlite"
