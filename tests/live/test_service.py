"""What service managers read, and what systemd is told while sound runs."""

from __future__ import annotations

import plistlib
import shutil
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextlib import closing, suppress
from itertools import count

import pytest

from rtdenoise.live.notify import Notifier
from rtdenoise.live.service import TASKS, property_list, task, unit

STATUS = {"callbacks": 0, "load_percent": 19.6, "xruns": 1, "late": 2}
unix = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="has no Unix sockets")


@pytest.mark.parametrize("folder", ["plain", "a b", "50%h", "$HOME", 'q"', "o'brien", "b\\"])
def test_systemd_takes_the_unit_wherever_python_is(tmp_path, folder):
    """It finds nothing wrong with it, and the path of a program that is not there it would tell."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze: apt install systemd")
    python = tmp_path / folder / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    file = tmp_path / "rtdenoise.service"
    found = []
    for preset in ("call", 'Büro 50% $5 "x"'):
        file.write_bytes(unit([str(python), "-m", "rtdenoise", f"--preset={preset}"], preset))
        command = ["systemd-analyze", "verify", "--user", str(file)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False,
            env={"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        found.append(done.stdout + done.stderr)

    assert found == ["", ""]
    assert "preset B\u00fcro 50%% $5" in file.read_text()


@pytest.mark.parametrize("preset", ["call", "Büro & <b> 50%", None])
def test_launchd_and_windows_read_the_command_back(preset):
    """Word by word: plists and XML have their own quotes."""
    command = ["/opt/my python/bin/python", "-m", "rtdenoise", f"--preset={preset}"]
    task_run = ET.fromstring(task(command, preset)).find(f".//{{{TASKS}}}Exec")

    assert plistlib.loads(property_list(command, preset))["ProgramArguments"] == command
    assert task_run is not None
    assert [child.text for child in task_run] == [command[0], subprocess.list2cmdline(command[1:])]


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A socket as systemd has it, and the name that it tells."""
    name = f"@rtdenoise-{tmp_path.name}" if request.param == "abstract" else str(tmp_path / "n")
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("only Linux has abstract names")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0", 1))
        listening.setblocking(False)
        yield name, listening


def heard(listening) -> list[str]:
    """All lines that were told since the last call."""
    lines = []
    while True:
        try:
            lines += listening.recv(4096).decode().split("\n")
        except BlockingIOError:
            return lines


@unix
def test_ready_is_told_with_the_first_sound_and_life_only_while_sound_comes(manager):
    """No callbacks, no WATCHDOG: systemd starts a run again whose sound has stopped.

    A run that waits for a device lives; it is not ready by waiting alone.
    """
    name, listening = manager
    environment = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000000"}
    told = ["READY=1", "WATCHDOG=1", "STATUS=20 % of the deadline, xruns 1, late 2"]
    with closing(Notifier(environment, count(0.0, 2.0).__next__)) as notifier:
        notifier.running(STATUS)
        notifier.running(STATUS, waiting=True)
        assert heard(listening) == []
        notifier.running(STATUS | {"callbacks": 1})
        assert heard(listening) == told
        later = []
        for callbacks in range(2, 32):  # a minute
            notifier.running(STATUS | {"callbacks": callbacks})
            later += heard(listening)
        for _ in range(30):
            notifier.running(STATUS | {"callbacks": 31})
        assert heard(listening) == []
        for _ in range(6):  # 12 s
            notifier.running(STATUS | {"callbacks": 31}, waiting=True)
        waited = heard(listening)
        assert waited.count("WATCHDOG=1") == 2
        assert waited.count("STATUS=waiting for a device") == 1
        notifier.stopping()
        notifier.stopping()
        assert heard(listening) == ["STOPPING=1"]

    assert "READY=1" not in later
    assert later.count("WATCHDOG=1") == 10  # at least twice in 20 s, and not at every look
    assert later.count(told[2]) == 6


NOBODY = ["", "nosuch", "vsock:2:1234", "/nosuch/socket", "@nosuch", "/a\0b", "/" + "x" * 200]


@unix
@pytest.mark.parametrize("name", NOBODY)
def test_a_manager_that_is_not_there_costs_nothing(name):
    """Neither an error nor a wait."""
    with closing(Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "x"})) as notifier:
        notifier.running(STATUS | {"callbacks": 1})
        notifier.stopping()
    notifier.running(STATUS | {"callbacks": 2})


@unix
def test_ready_is_told_again_if_the_manager_was_too_busy(manager):
    """A start that is never told ready would be ended."""
    name, listening = manager
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, suppress(BlockingIOError):
        other.setblocking(False)
        while True:
            other.sendto(b"X=1", name.replace("@", "\0", 1))
    with closing(Notifier({"NOTIFY_SOCKET": name})) as notifier:
        notifier.running(STATUS | {"callbacks": 1})
        assert "READY=1" not in heard(listening)
        notifier.running(STATUS | {"callbacks": 2})

    assert heard(listening)[0] == "READY=1"
