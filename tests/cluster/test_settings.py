"""The settings of an archive: what they hold of models and boards, and what a worker checks."""

from __future__ import annotations

import pickle
import shutil

import pytest

from rtdenoise.chain.boardfile import described, open_board
from rtdenoise.cluster.items import Item
from rtdenoise.cluster.work import Settings, Worker
from rtdenoise.errors import AudioError, ModelError, Problem
from rtdenoise.files.results import Known
from tests.sounds import noise, write
from tests.toy_nets import Identity, Smoother, save

BOARD = """
[[effect]]
type = "Denoise"
model = "net.pt"

[[effect]]
type = "Convolution"
impulse_response_filename = "room.wav"

[[effect]]
type = "mine:Mine"
"""
MINE = """
from rtdenoise import Effect

class Mine(Effect):
    def stage(self, stream, counters=None):
        raise NotImplementedError
"""


@pytest.fixture
def here(tmp_path, monkeypatch, rng):
    """A working folder with a board, and what it names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    save(Smoother(), tmp_path / "net.pt")
    write(tmp_path / "room.wav", noise(rng, 1, 200), 48_000)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "b.toml").write_text(BOARD)
    return tmp_path


def of_board(path):
    """The digest of a board file's contents."""
    return Settings(board=described(open_board(path))).known().contents


def test_a_board_is_its_contents(here, rng):
    """The bytes of its models, files and programs, and not its name, nor its comments."""
    first = of_board("b.toml")
    (here / "c.toml").write_text("# a comment\n" + BOARD)
    assert of_board("c.toml") == first
    seen = {first}
    for change in (
        lambda: save(Identity(), here / "net.pt"),
        lambda: write(here / "room.wav", noise(rng, 1, 200), 48_000),
        lambda: (here / "mine.py").write_text(MINE + "# another program\n"),
        lambda: (here / "b.toml").write_text(BOARD + '[[effect]]\ntype = "Gain"\n'),
        lambda: (here / "b.toml").write_text(BOARD + '[[effect]]\ntype = "Gain"\ngain_db = 3\n'),
    ):
        change()
        found = of_board("b.toml")
        assert found not in seen
        seen.add(found)


def test_a_model_is_the_bytes_of_its_file(here):
    """A copy under another name is the same; models in the box and of other makers have digests."""
    shutil.copy("net.pt", "copy.pt")
    of = {name: Settings(model=name).known().contents for name in ("net.pt", "copy.pt", "speech")}
    assert of["net.pt"] == of["copy.pt"] != of["speech"]
    with pytest.raises(ModelError, match=r"nosuch\.pt"):
        Settings(model="nosuch.pt").known()


def test_settings_travel_and_a_worker_checks_what_it_has(here):
    """On another machine a file of the same name may be another model."""
    settings = pickle.loads(pickle.dumps(Settings(model=str(here / "net.pt")).known()))
    Worker(settings)
    save(Identity(), here / "net.pt")
    with pytest.raises(ModelError, match="is not that of the run"):
        Worker(settings)


def test_items_travel(here):
    """With what is known of them, and why they cannot be processed."""
    fault = AudioError("no", Problem.STORE)
    item = Item("a", 5, "b", "c", "d", Known(True, "done", "k"), fault)
    back = pickle.loads(pickle.dumps(item))
    assert (back.known, str(back.fault), back.fault.problem) == (item.known, "no", Problem.STORE)
    line = Worker(Settings(model=str(here / "net.pt")))(back)
    assert (line["status"], line["error"], line["problem"]) == ("failed", "no", "store")
