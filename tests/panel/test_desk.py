"""What a page may ask: everything goes to the run that is shown, and its answer comes back."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from rtdenoise.chain.boardfile import open_board
from rtdenoise.cli.panel import options
from rtdenoise.errors import AudioError, DeviceError, Problem, UsageError
from rtdenoise.live import presets
from rtdenoise.panel import boards, child
from rtdenoise.panel.child import LINES
from rtdenoise.panel.desk import Commands, Desk


def test_every_control_answers_with_what_the_run_has(desk, live):
    """What is shown is what holds, also when another value was asked for."""
    assert desk.do({"do": "bypass", "value": True}) is True is live.bypass
    assert desk.do({"do": "residual", "value": True}) is True is live.residual
    assert desk.do({"do": "mix", "value": 40}) == 40 == live.mix
    assert desk.do({"do": "atten-lim", "value": 12}) == 12 == live.atten_lim_db
    assert desk.do({"do": "atten-lim", "value": None}) is None is live.atten_lim_db
    assert desk.do({"do": "set", "path": "2/ratio", "value": 3}) == 3 == live.effect[1].ratio
    assert desk.do({"do": "set", "path": "3/mode", "value": "HPF24"}) == "HPF24"
    assert desk.do({"do": "set", "path": "4/1/threshold_db", "value": -9}) == -9


def test_a_board_is_rearranged_with_its_values(desk, live, net):
    """Moved, removed, added, within another; what nobody touches keeps its value."""
    desk.do({"do": "set", "path": "2/threshold_db", "value": -21})
    desk.do({"do": "set", "path": "3/mode", "value": "HPF24"})
    denoise, compressor, ladder, mix = desk.board()
    assert denoise["model"] == str(net)
    mix["effect"].append({"type": "Gain", "gain_db": 3})

    answer = desk.do({"do": "arrange", "effects": [ladder, mix, compressor, {"type": "Reverb"}]})

    assert answer["board"] == live.board
    assert live.board == ["LadderFilter", "Mix", "Compressor", "Reverb"]
    values = {row["path"]: row["value"] for row in live.parameters()}
    assert values["3/threshold_db"] == -21
    assert values["1/mode"] == "HPF24"
    assert values["2/2/gain_db"] == 3


def test_a_board_that_is_none_leaves_the_old_one(desk, live):
    """The reason names the effect, as for a file."""
    for effects, text in (
        ([{"type": "Compresor"}], "effect 1: .*Compressor"),
        ([{"type": "Gain", "gain_db": "loud"}], "gain_db"),
        ([{"type": ["Gain"]}], "type"),
        ({"type": "Gain"}, "list of effects"),
        (["Gain"], "list of effects"),
    ):
        with pytest.raises(UsageError, match=text):
            desk.do({"do": "arrange", "effects": effects})
    assert live.board == ["Denoise", "Compressor", "LadderFilter", "Mix"]


def test_a_board_is_saved_and_loaded(desk, live, folder):
    """The file is one that `live` reads; one that exists is not replaced unasked."""
    file = folder / "boards" / "call.toml"
    desk.do({"do": "set", "path": "2/ratio", "value": 7})
    assert desk.do({"do": "save", "path": str(file)}) == str(file)
    assert open_board(file)[1].ratio == 7
    with pytest.raises(AudioError, match="exists") as caught:
        desk.do({"do": "save", "path": str(file)})
    assert caught.value.problem is Problem.EXISTS
    desk.do({"do": "set", "path": "2/ratio", "value": 2})
    desk.do({"do": "save", "path": str(file), "overwrite": True})
    desk.do({"do": "model", "value": str(folder / "net.pt")})
    assert desk.do({"do": "load", "path": str(file)})["board"] == live.board
    assert live.effect[1].ratio == 2
    with pytest.raises(UsageError, match=r"ends in \.toml"):
        desk.do({"do": "save", "path": str(folder / "call.txt")})


def test_a_recording_is_in_the_panels_folder(desk, live, folder, monkeypatch):
    """Its run may have been started in another one."""
    monkeypatch.chdir(folder)
    began = desk.do({"do": "record", "value": "talk.wav"})
    assert began["file"].startswith(str(folder / "talk.wav"))
    assert live.recording is not None
    desk.do({"do": "record", "value": None})
    assert (folder / "talk.wav").is_file()


def test_a_preset_holds_what_runs(desk, live, folder, net):
    """The devices that the page gives, the model or the file of the board, and the strength."""
    ends = {"in": "null", "out": "speakers"}
    with pytest.raises(UsageError, match="save the board first"):
        desk.do({"do": "store", "name": "call", "settings": dict(ends)})
    desk.do({"do": "save", "path": str(folder / "call.toml")})
    desk.do({"do": "mix", "value": 70})
    desk.do({"do": "store", "name": "call", "settings": dict(ends)})
    assert presets.load("call") == {**ends, "board": str(folder / "call.toml"), "mix": 70}
    assert desk.do({"do": "presets"}) == ["call"]
    with pytest.raises(AudioError, match="exists"):
        desk.do({"do": "store", "name": "call", "settings": dict(ends)})

    desk.do({"do": "model", "value": str(net)})
    desk.do({"do": "atten-lim", "value": 9})
    desk.do({"do": "store", "name": "call", "settings": dict(ends), "overwrite": True})
    assert presets.load("call") == {**ends, "model": str(net), "mix": 70, "atten-lim": 9}
    with pytest.raises(UsageError, match="name of a preset"):
        desk.do({"do": "store", "name": "../call", "settings": dict(ends)})


def test_only_options_of_a_run_start_one(desk):
    """A page cannot give words of its own to a command line."""
    for settings in ({"verbose": True}, {"flight-folder": "/"}, {"in": ["x"]}, {"": "x"}):
        with pytest.raises(UsageError):
            options(settings)
    assert options({"in": "-x y", "force": True, "residual": False}) == ["--in=-x y", "--force"]


def test_a_run_that_fails_says_why(folder):
    """Its last lines are kept, with its exit code, and it can be started again as before."""
    code = (
        "import sys; print('x' * 9999, *range(99), 'no \x1b[2J card', sep='\\n', file=sys.stderr)"
    )
    command = (sys.executable, "-c", f"{code}; sys.exit(3)")
    desk = Desk(Commands(lambda _: command, (), lambda *_: folder))
    for settings in ({"in": "usb"}, None):
        desk.do({"do": "start", "settings": settings})
        assert desk.child is not None
        desk.child._process.wait(60)
        said = desk.child.summary()
        assert (said["code"], said["settings"]) == (3, {"in": "usb"})
        assert said["lines"][-2:] == ["98", r"no \x1b[2J card"]
        assert len(said["lines"]) == LINES


def test_a_run_that_does_not_listen_is_ended(folder, monkeypatch):
    """Asked, told, and then killed: the panel never leaves a run of its own behind."""
    monkeypatch.setattr(child, "TERMINATE_S", 0.2)  # it is stopped, and hears nothing at all
    words = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    command = (sys.executable, "-c", f"print(1); {words}")
    desk = Desk(Commands(lambda _: command, (), lambda *_: folder))
    desk.do({"do": "start", "settings": {}})
    with pytest.raises(UsageError, match="stop it first"):
        desk.do({"do": "start", "settings": {}})
    assert desk.child is not None
    os.kill(desk.child.pid, signal.SIGSTOP)
    desk.close()
    assert desk.child.summary()["code"] in (-signal.SIGKILL, -signal.SIGTERM)


def test_which_run_is_shown(desk):
    """The chosen one; when it is gone, the only one; of several, none until one is chosen."""
    assert desk.chosen([]) is None
    assert desk.chosen([7]) == 7
    assert desk.chosen([7, 8]) == 7
    assert desk.chosen([8, 9]) is None
    assert desk.chosen([9]) == 9
    with pytest.raises(DeviceError, match="no run"):
        desk.do({"do": "attach", "value": 7})


def test_without_a_run_nothing_is_done(desk):
    """The reason says so."""
    for request in ({"do": "mix", "value": 1}, {"do": "stop"}, {"do": "arrange", "effects": []}):
        with pytest.raises(DeviceError, match="start one"):
            desk.do(request)


def test_stop_ends_a_run_that_was_started_elsewhere(desk, live):
    """As `rtdenoise ctl quit` does; the end of the panel does not."""
    desk.close()
    assert not live.wait(0.1)
    desk.do({"do": "stop"})
    assert live.wait(60)


def test_devices_that_cannot_be_listed(folder):
    """A driver that crashes or says something wrong is told as a reason."""
    for code, text in (
        ("import sys; sys.exit('no PortAudio')", "no PortAudio"),
        ("import os; os.abort()", "crashed"),
        ("print('x')", "cannot be listed"),
    ):
        desk = Desk(Commands(list, (sys.executable, "-c", code), lambda *_: folder))
        with pytest.raises(DeviceError, match=text):
            desk.do({"do": "devices"})


def test_a_plugin_from_a_file_keeps_its_parameters():
    """It is described by its file alone, and the values come from its parameters."""
    plugin = {"type": "VST3", "path": "x.vst3"}
    rows = [{"path": f"1/1/{name}", "value": value} for name, value in (("a", 0.5), ("b", None))]
    board = [{"type": "Mix", "effect": [plugin]}]
    assert boards.with_values(board, rows)[0]["effect"] == [plugin | {"a": 0.5}]
