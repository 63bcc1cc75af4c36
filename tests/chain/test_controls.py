"""The parameters of a board that runs: which there are, and setting them while it runs."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from pedalboard import Compressor, Gain, LadderFilter, Pedalboard

from rtdenoise.chain import native
from rtdenoise.chain.board import Board, Mix
from rtdenoise.chain.controls import controls, find, names
from rtdenoise.chain.effect import Denoise, DryWet, Effect
from rtdenoise.chain.parameter import Parameter
from rtdenoise.core.stream import Stream
from rtdenoise.errors import UsageError
from tests.toy_nets import Identity, generator_for

RATE = 48_000
STEREO = Stream(RATE, 2)
IDENTITY = generator_for(Identity())
NOISE = np.random.default_rng(440).uniform(-0.3, 0.3, (2, RATE)).astype(np.float32)


class Own(Effect):
    """A user's effect, with a parameter that its stage reads."""

    parameters = (Parameter("width", 0.5, 0, 1), Parameter("file", "a.wav"))

    def __init__(self, width=0.5, file="a.wav") -> None:
        self.width, self.file = width, file

    def stage(self, stream, counters=None):
        raise NotImplementedError


def plugins() -> dict:
    """One of each plugin of pedalboard that streams."""
    made = {}
    for name, kind in native.plugin_types().items():
        if name in native.NOT_STREAMABLE or name == "Convolution":
            continue
        made[name] = kind()
    return made


def test_a_path_names_the_place_on_the_board():
    """From 1, through boards, mixes and native chains; an empty place counts, and has nothing."""
    inner = Board([None, Denoise(IDENTITY)])
    board = Board([Compressor(), inner, Mix([Gain(), DryWet(inner)]), Pedalboard([Gain()]), Own()])
    paths = [control.path for control in controls(board)]

    assert paths[:4] == ["1/threshold_db", "1/ratio", "1/attack_ms", "1/release_ms"]
    assert {"2/2/mix", "3/1/gain_db", "3/2/mix", "3/2/1/2/residual", "4/1/gain_db"} <= set(paths)
    assert paths[-1] == "5/width"  # a file is no value that one turns
    assert [control.path for control in controls(Gain())] == ["1/gain_db"]
    assert names(board) == ["Compressor", "Board", "Mix", "Pedalboard", "Own"]
    assert names(Denoise(IDENTITY)) == ["Denoise"]


def test_a_panel_finds_value_range_unit_and_choices():
    """All that a slider, a switch or a list needs."""
    rows = {row["path"]: row for row in (c.as_dict() for c in controls(_example()))}

    assert rows["1/ratio"] == {
        "path": "1/ratio", "effect": "Compressor", "name": "ratio", "value": 4.0, "least": 1.0,
        "most": None, "unit": "", "kind": "float", "choices": [],
    }  # fmt: skip
    assert rows["1/threshold_db"]["unit"] == "dB"
    assert (rows["2/mode"]["kind"], rows["2/mode"]["value"]) == ("choice", "LPF12")
    assert "HPF24" in rows["2/mode"]["choices"]
    assert (rows["3/atten_lim_db"]["value"], rows["3/atten_lim_db"]["kind"]) == (None, "float")
    assert (rows["3/residual"]["value"], rows["3/residual"]["kind"]) == (False, "bool")
    assert rows["4/gain_db"]["value"] is None  # -inf dB, which JSON does not have


def _example() -> Board:
    return Board([Compressor(ratio=4), LadderFilter(), Denoise(IDENTITY), Gain(-np.inf)])


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ("1/ratio", 0.5, "1 or more"),
        ("1/threshold_db", "loud", "a number, dB"),
        ("1/threshold_db", float("nan"), "wanted dB"),
        ("1/threshold_db", True, "a number"),
        ("2/cutoff_hz", 24_000.0, "less than 24000 Hz"),
        ("2/mode", "LPF13", "LPF12, HPF12"),
        ("2/mode", 1.0, "LPF12, HPF12"),
        ("2/resonance", 1.5, "0 to 1"),
        ("3/mix", 101, "0 to 100 %"),
        ("3/residual", 1, "true or false"),
        ("9/mix", 1, "3/mix"),
        ("2/resonanse", 0.5, "Did you mean 2/resonance"),
    ],
)
def test_a_wrong_value_is_refused_with_its_range(path, value, error):
    """Nothing changes then; a plugin would take some of them and give NaN."""
    board = _example()
    before = [control.as_dict() for control in controls(board)]
    with pytest.raises(UsageError, match=error):
        find(board, path).set(value, RATE)

    assert [control.as_dict() for control in controls(board)] == before


@pytest.mark.parametrize("name", plugins())
def test_no_parameter_that_may_be_set_changes_the_delay(name):
    """The stage was made for one; a plugin that becomes later would fall out of line."""
    plugin = plugins()[name]
    stage = native.Native([plugin], STEREO)
    late = [stage._shortfall(64), stage._shortfall(512)] if stage._even else [0, 0]
    for control in controls(plugin):
        for value in _values(control):
            control.set(value, RATE)
            assert [stage._shortfall(64), stage._shortfall(512)] == late, control.path


def _values(control) -> list:
    """Values at and between the ends of what a parameter takes."""
    if control.kind == "bool":
        return [True, False]
    if control.choices:
        return list(control.choices)
    low, high = control.parameter.low, control.parameter.high
    least = -30.0 if low is None else low
    most = {"Hz": 20_000.0, "dB": 20.0}.get(control.parameter.unit, 50.0) if high is None else high
    return [max(least, 10.0) if control.parameter.unit == "Hz" else least, (least + most) / 2, most]


def test_parameters_are_set_while_another_thread_processes():
    """Of every plugin, thousands of times: what comes out stays finite, and no block fails."""
    made = plugins()
    board = Board(list(made.values()))
    stage = board.stage(STEREO)
    over = threading.Event()
    faults: list[object] = []

    def process() -> None:
        try:
            for _ in range(2):
                for at in range(0, RATE, 480):
                    out = stage.push(NOISE[:, at : at + 480])
                    if not np.isfinite(out).all():
                        faults.append("not finite")
        except Exception as fault:
            faults.append(fault)
        over.set()

    audio = threading.Thread(target=process)
    audio.start()
    turns, rng, all_of_them = 0, np.random.default_rng(1), controls(board)
    while not over.is_set():
        control = all_of_them[rng.integers(len(all_of_them))]
        control.set(rng.choice(np.array(_values(control), object)), RATE)
        turns += 1
    audio.join()

    assert faults == []
    assert turns > 100


def test_a_set_parameter_is_heard():
    """It reaches the stage that runs."""
    board = Board([Gain(0)])
    stage = board.stage(STEREO)
    first = stage.push(NOISE[:, :512]).copy()
    find(board, "1/gain_db").set(-20.0, RATE)
    stage.push(NOISE[:, :24_000])
    quiet = stage.push(NOISE[:, :512])

    np.testing.assert_allclose(first, NOISE[:, :512], atol=1e-6)
    np.testing.assert_allclose(quiet, 0.1 * NOISE[:, :512], atol=1e-4)
