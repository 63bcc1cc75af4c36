"""`rtdenoise service`, and what a service manager hears of a run."""

from __future__ import annotations

import plistlib
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rtdenoise.cli import main
from rtdenoise.live import presets
from tests.toy_nets import Identity, save

NULLS = ["--in", "null", "--out", "null"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home folder of this test alone, and no service manager that it could reach."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    presets.save("call", {"in": "null"})
    return tmp_path


INSTALL = ["service", "install", "--manager", "systemd", "--preset"]


def test_install_writes_the_unit_that_print_shows_and_remove_removes_it(home, capsys):
    """The command has absolute paths and the preset; a unit of another content needs -f."""
    unit = home / ".config/systemd/user/rtdenoise.service"
    presets.save("two words", {})
    assert main(["service", "print", "--manager", "systemd", "--preset", "call"]) == 0
    text = capsys.readouterr().out
    assert main([*INSTALL, "call"]) == 0
    told = capsys.readouterr().err
    assert unit.read_text() == text
    assert main([*INSTALL, "call"]) == 0  # there is nothing to change
    assert main([*INSTALL, "two words"]) == 1
    assert "-f" in capsys.readouterr().err
    assert unit.read_text() == text
    assert main([*INSTALL, "two words", "-f"]) == 0
    command = next(li for li in unit.read_text().splitlines() if li.startswith("ExecStart="))
    words = shlex.split(command.removeprefix("ExecStart="))
    assert Path(words[0]).is_absolute()
    assert Path(words[0]).samefile(sys.executable)
    assert words[-1] == "--preset=two words"
    for line in ("daemon-reload", "enable rtdenoise.service", "restart --no-block"):
        assert f"To start it: systemctl --user {line}" in told
    assert main(["service", "remove", "--manager", "systemd"]) == 0
    assert not unit.exists()
    assert main(["service", "remove", "--manager", "systemd"]) == 2


@pytest.mark.parametrize("works", [True, False])
def test_systemctl_is_run_where_it_works_and_said_where_it_fails(home, works, capsys):
    """A program in its place writes down what it is called with."""
    program = home / "bin" / "systemctl"
    program.parent.mkdir()
    failing = "" if works else 'case "$*" in *restart*) exit 1;; esac\n'
    program.write_text(f'#!/bin/sh\necho "$@" >> {home}/calls\n{failing}')
    program.chmod(0o700)
    assert main([*INSTALL, "call"]) == 0
    calls = (home / "calls").read_text().splitlines()

    assert calls == [
        "--user show-environment", "--user daemon-reload", "--user enable rtdenoise.service",
        "--user restart --no-block rtdenoise.service",
    ]  # fmt: skip
    assert ("(it failed here)" in capsys.readouterr().err) is not works


def test_a_service_that_could_not_run_is_not_installed(home, capsys):
    """The preset is read as `live` reads it: it would fail at every login."""
    presets.preset_file("call").write_text("mix = 'loud'")
    for name in ("call", "nosuch", "../x"):
        assert main([*INSTALL, name]) == 2
    assert not (home / ".config/systemd").exists()
    assert "mix: wanted a number" in capsys.readouterr().err


def test_the_files_of_other_systems_are_written_and_the_commands_said(home, capsysbinary):
    """launchd and Windows cannot run here: their commands are what the user has to type."""
    for manager, says in (
        ("launchd", b"launchctl bootstrap gui/"),
        ("windows", b"schtasks /Create /TN rtdenoise /XML "),
    ):
        words = ["--manager", manager]
        assert main(["service", "install", *words, "--preset", "call"]) == 0
        assert says in capsysbinary.readouterr().err
    plist = plistlib.loads((home / "Library/LaunchAgents/rtdenoise.live.plist").read_bytes())
    assert plist["ProgramArguments"][-1] == "--preset=call"
    assert plist["ProgramArguments"][0] == sys.executable


@pytest.fixture
def listening(home, monkeypatch):
    """A socket in the place of systemd's."""
    if not hasattr(socket, "AF_UNIX"):
        pytest.skip("has no Unix sockets")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(home / "notify"))
        server.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(home / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        yield server


def test_a_run_tells_that_it_is_ready_that_it_lives_and_that_it_stops(home, listening):
    """READY with the first sound and not before; SIGTERM, as systemd stops it, is exit code 0."""
    model = save(Identity(), home / "net.pt")
    command = [sys.executable, "-m", "rtdenoise", "live", *NULLS, "-m", str(model)]
    command += ["--duration", "600"]
    heard: list[str] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        while heard.count("WATCHDOG=1") < 4:
            heard += listening.recv(4096).decode().split("\n")
        running.send_signal(signal.SIGTERM)
        while "STOPPING=1" not in heard:
            heard += listening.recv(4096).decode().split("\n")
        assert running.wait(60) == 0
        assert running.stderr is not None
        lines = running.stderr.read().splitlines()

    assert heard[0] == "READY=1"
    assert heard.count("READY=1") == heard.count("STOPPING=1") == 1
    assert any(line.startswith("STATUS=") for line in heard)
    assert heard[-1] == "STOPPING=1"
    assert any("latency in ms" in line for line in lines)


def test_a_run_that_cannot_start_is_never_ready(listening):
    """It tells that it stops, and systemd sees the exit code."""
    assert main(["live", "--in", "file:/nosuch.wav", "--out", "null"]) == 1
    assert listening.recv(4096) == b"STOPPING=1"
