"""Servers that the tests of the room share."""

from __future__ import annotations

import pytest

pytest.importorskip("starlette", reason="needs rtdenoise[serve]")
pytest.importorskip("websockets", reason="needs rtdenoise[serve]")

from rtdenoise.serve.menu import Menu
from rtdenoise.serve.run import serving
from rtdenoise.serve.server import Settings
from tests.toy_nets import Identity, Smoother, generator_for


@pytest.fixture(scope="module")
def menu(tmp_path_factory):
    """Three models and a board."""
    board = tmp_path_factory.mktemp("boards") / "call.toml"
    board.write_text(
        '[[effect]]\ntype = "Gain"\ngain_db = -6\n[[effect]]\ntype = "Denoise"\nmodel = "speech"\n'
    )
    return Menu([generator_for(Identity()), generator_for(Smoother()), "speech"], [board])


@pytest.fixture(scope="module")
def served(menu):
    """A server without a token."""
    with serving(menu, Settings(most=4)) as listener:
        yield listener
