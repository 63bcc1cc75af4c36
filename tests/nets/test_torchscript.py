"""Model files: what obeys the contract loads; what does not is told what is missing."""

from __future__ import annotations

import json
import warnings

import pytest
import torch
from torch import nn

from rtdenoise.errors import ModelError
from rtdenoise.nets.box import find, load, models
from rtdenoise.nets.card import EXTRA_FILE, Card
from tests.toy_nets import Identity, Smoother, card_for, save


def script(module: nn.Module, path, card: str | None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        extra = {} if card is None else {EXTRA_FILE: card}
        torch.jit.save(torch.jit.script(module.eval()), str(path), _extra_files=extra)
    return path


def changed(module: nn.Module, **values) -> str:
    """The card of *module* as JSON, with some keys set (None: taken away)."""
    card = json.loads(card_for(module).to_json()) | values
    return json.dumps({k: v for k, v in card.items() if v is not None})


def test_a_users_file_that_obeys_the_contract_loads(tmp_path):
    """Nothing else is needed: a scripted module with the card inside."""
    generator = load(save(Smoother(), tmp_path / "mine.pt", name="mine"))

    assert generator.card.name == "mine"
    assert find(tmp_path / "mine.pt").card == generator.card


def test_a_card_survives_the_file(tmp_path):
    """What was written is what is read, metrics and all."""
    card = card_for(
        Identity(), metrics={"SI-SDR dB": {"identity": 3.0, "model": 9.5}}, data=[{"name": "x"}]
    )

    assert Card.from_json(card.to_json()) == card
    assert load(script(Identity(), tmp_path / "a.pt", card.to_json())).card == card


class NoState(nn.Module):
    def forward(self, windows: torch.Tensor, state: torch.Tensor):
        return windows, state


class WrongShape(Identity):
    def forward(self, windows: torch.Tensor, state: torch.Tensor):
        return windows[:, :, :100], state


class OneWindowOnly(Identity):
    def forward(self, windows: torch.Tensor, state: torch.Tensor):
        return windows.reshape(1, 1, 1024), state


@pytest.mark.parametrize(
    ("module", "card", "message"),
    [
        (Identity(), None, "no card"),
        (Identity(), "{", "not JSON"),
        (Identity(), "[]", "not a JSON object"),
        (Identity(), changed(Identity(), schema=99), "schema 99.*reads 1"),
        (Identity(), changed(Identity(), sampel_rate=1), "unknown keys sampel_rate; known: .*rate"),
        (Identity(), changed(Identity(), hop=None), "lacks hop"),
        (Identity(), changed(Identity(), hop=2000), "1 <= hop <= window"),
        (Identity(), changed(Identity(), task="cook"), "task = 'cook'.*denoise"),
        (Identity(), changed(Identity(), hop=0), "hop = 0.*1 to"),
        (Identity(), changed(Identity(), hop=True), "hop = True.*int"),
        (Identity(), changed(Identity(), hop=512.0), r"hop = 512\.0.*int"),
        (Identity(), changed(Identity(), hop=float("nan")), "NaN is no number"),
        (Identity(), changed(Identity(), window=1 << 40), "window = 1099511627776, wanted"),
        (Identity(), changed(Identity(), lookahead=10**30), "lookahead = 10+, wanted"),
        (Identity(), changed(Identity(), lookahead=-1), "lookahead = -1, wanted"),
        (Identity(), changed(Identity(), channels=10**6), "channels = 1000000, wanted"),
        (Identity(), changed(Identity(), parameters=10**30), "parameters = 10+, wanted"),
        (Identity(), changed(Identity(), sample_rate=10**9), "sample_rate = 1000000000, wanted"),
        (Identity(), changed(Identity(), name=["x"]), "name = .*wanted str"),
        (Identity(), changed(Identity(), data={"a": 1}), "data = .*wanted list"),
        (Identity(), changed(Identity(), name="\x1b[2Jx"), r"name has control.*'\\x1b\[2Jx'"),
        (Identity(), changed(Identity(), licence="MIT\u202e"), "licence has control"),
        (Identity(), changed(Identity(), versions={"\x07": "1"}), "versions has control"),
        (Identity(), changed(Identity(), data=[{"name": ["a\x9bm"]}]), "data has control"),
        (Identity(), changed(Identity(), description="x" * 30_000), "description has 30000"),
        (Identity(), changed(Identity(), **{"\x1b[2J": 1}), r"unknown keys '\\x1b\[2J'"),
        (Identity(), "[" * 100_000, "not JSON"),
        (Identity(), changed(Identity(), analysis_window="rect"), "do not add up to one"),
        (Identity(), changed(Identity(), sha256="0" * 64), "not those of the card"),
        (Smoother(), changed(Identity()), "not those of the card"),
        (NoState(), changed(NoState()), "initial_state"),
        (WrongShape(), changed(WrongShape()), r"wanted windows \(1, 1, 1024\).*got \(1, 1, 100\)"),
        (OneWindowOnly(), changed(OneWindowOnly()), "forward.*failed"),
    ],
)
def test_a_file_that_breaks_the_contract_says_how(tmp_path, module, card, message):
    """Found when loading, not in the middle of a call."""
    with pytest.raises(ModelError, match=f"(?s){message}"):
        load(script(module, tmp_path / "bad.pt", card))


def test_a_damaged_file_is_not_a_crash(tmp_path):
    """Cut off, or no archive at all."""
    whole = save(Smoother(), tmp_path / "whole.pt").read_bytes()
    for name, content in (
        ("cut.pt", whole[: len(whole) // 2]),
        ("text.pt", b"hello"),
        ("0.pt", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match="damaged"):
            load(tmp_path / name)


def test_an_unknown_name_lists_the_box():
    """The error is the list of choices."""
    with pytest.raises(ModelError, match=r"(?s)no model 'spech'.*In the box"):
        find("spech")
    with pytest.raises(ModelError, match=r"no model file nowhere/net.pt"):
        find("nowhere/net.pt")


@pytest.mark.parametrize("name", models())
def test_every_model_in_the_box_loads(name):
    """Card, hash and shapes of what ships."""
    assert find(name).card.name == name


@pytest.mark.parametrize("data", [[1], ["text"], [[]], [None]])
def test_the_data_of_a_card_are_objects(data):
    """`info` shows name, hours and licence of each."""
    with pytest.raises(ModelError, match="data, wanted a list of objects"):
        card_for(Identity(), data=data)
