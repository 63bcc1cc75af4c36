"""`rtdenoise ctl`: the control of a run as people type it."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rtdenoise.cli import main
from rtdenoise.errors import DeviceError
from rtdenoise.live import hosts
from rtdenoise.live.control import Control
from rtdenoise.live.hosts import Host
from tests.toy_nets import Identity, save


def test_the_command_controls_a_run(live, capsys):
    """As people type it."""

    def says(*words: str) -> Any:
        assert main(["ctl", *words]) == 0
        return capsys.readouterr().out.strip()

    assert says("mix", "60") == "60 %"
    assert says("atten-lim", "none") == "no limit"
    assert says("bypass") == "on"
    assert says("bypass", "off", "--json") == "false"
    assert says("set", "1/mix", "30") == "30"
    assert "1/mix           30 %  (0 to 100)" in says("parameters")
    assert says("list").startswith(f"{os.getpid()}: null -> null, identity, preset call")
    assert "model identity; mix 30 %" in says("status", "--host", "call")
    assert json.loads(says("status", "--json"))["model"] == "identity"
    says("mark", "here")
    assert says("events").endswith("s  mark: here")
    assert main(["ctl", "mix", "101"]) == 2
    assert "0 (only the input) to 100" in capsys.readouterr().err
    assert main(["ctl", "status", "--host", "nosuch"]) == 3


def test_of_several_runs_one_must_be_chosen(live, monkeypatch, capsys):
    """The list says which there are."""
    monkeypatch.setattr(hosts, "running", lambda: [os.getpid(), os.getpid()])
    assert main(["ctl", "status"]) == 2
    said = capsys.readouterr().err

    assert said.count(f"{os.getpid()}: null -> null, identity, preset call") == 2
    assert "--host" in said


def test_a_run_that_is_gone_is_a_sentence_and_code_3(live, other_folder, capsys):
    """Whether none is there, it ended while a client was connected, or was killed."""
    assert main(["ctl", "status"]) == 3
    assert "no run to control. To start one: rtdenoise live" in capsys.readouterr().err
    with Control(live):
        host = Host(os.getpid())
    with host, pytest.raises(DeviceError, match="is gone"):
        host.ask("status")
    if hosts.UNIX:
        left = hosts.address(4_000_000)
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(left))
        assert main(["ctl", "bypass", "--host", "4000000"]) == 3
        assert not left.exists()


def test_the_command_changes_and_records(own, tmp_path, capsys, monkeypatch):
    """As people type it, from another folder than the run's."""
    monkeypatch.chdir(tmp_path)
    save(Identity(), tmp_path / "net.pt", name="mine", window=2048, hop=1024)
    Path("call.toml").write_text("[[effect]]\ntype = 'Gain'\n")

    def says(*words: str) -> Any:
        assert main(["ctl", *words]) == 0
        return capsys.readouterr().out.strip()

    assert says("model", "net.pt") == "mine; the delay is 1024 samples more from now on"
    assert says("board", "call.toml") == "board: Gain"
    assert says("record", "a.wav").startswith(str(tmp_path / "a"))
    assert says("record", "--stop").startswith(f"{tmp_path / 'a.wav'}, ")
    assert main(["ctl", "record", "a.wav"]) == 1
    assert "Choose another name, or overwrite it: -f" in capsys.readouterr().err
    says("record", "a.wav", "-f")
    assert main(["ctl", "record", "b.wav"]) == 2
    says("record", "--stop")
    assert main(["ctl", "model", "nosuch"]) == 4
    assert main(["ctl", "board", "no.toml"]) == 2


def test_the_live_command_is_controlled(other_folder, tmp_path, capsys):
    """From its start to `quit`: a board that is saved, a model that was made ready, the end."""
    path = save(Identity(), tmp_path / "net.pt", name="mine")
    file = tmp_path / "call.toml"
    file.write_text("[[effect]]\ntype = 'Gain'\n")
    answers: list[Any] = []

    def client() -> None:
        while not hosts.running():
            time.sleep(0.05)
        with Host(os.getpid()) as host:
            file.write_text("[[effect]]\ntype = 'Invert'\n")
            while host.ask("status")["board"] == ["Gain"]:
                time.sleep(0.05)
            answers.append(host.ask("status")["board"])
            answers.append(host.ask("model", value=str(path))["model"])
            host.ask("quit")

    asking = threading.Thread(target=client)
    asking.start()
    ends = ["-i", "null", "-o", "null", "--duration", "300"]
    assert main(["live", *ends, "--board", str(file), "--watch", "--ready", str(path)]) == 0
    asking.join()
    said = capsys.readouterr().err

    assert answers == [["Invert"], "mine"]
    assert said.index("board: Invert runs") < said.index("mine runs")
    assert not hosts.running()
