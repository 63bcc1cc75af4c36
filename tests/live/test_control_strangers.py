"""The control socket of a run: who may enter, and that no client can do harm."""

from __future__ import annotations

import json
import os
import random
import re
import socket
import stat
import time
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from rtdenoise.errors import DeviceError
from rtdenoise.live import control, hosts
from rtdenoise.live.control import MOST_CLIENTS, Control
from rtdenoise.live.hosts import Host

needs_unix = pytest.mark.skipif(not hosts.UNIX, reason="there are no Unix sockets")


@pytest.fixture
def crowded(live, other_folder):
    """A socket of its own for a test that leaves many clients behind."""
    with Control(live):
        yield


def told(sock: socket.socket) -> Any:
    """The next reply on a raw connection."""
    data = b""
    while not data.endswith(b"\n"):
        part = sock.recv(65536)
        assert part, "the connection was closed"
        data += part
    return json.loads(data)


def raw() -> socket.socket:
    """A raw connection."""
    sock = hosts._connected(hosts.address(os.getpid()))
    sock.settimeout(20)
    return sock


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"do": "mix", "value": 600}, "0 .* to 100"),
        ({"do": "mix", "value": float("nan")}, "JSON"),
        ({"do": "mix", "value": 10**400}, "smaller"),
        ({"do": "mix", "value": "all"}, "wanted a number"),
        ({"do": "mix", "value": True}, "wanted a number"),
        ({"do": "mix"}, "wanted a number"),
        ({"do": "atten-lim", "value": -1}, "0 .* to 100"),
        ({"do": "bypass", "value": 1}, "toggle"),
        ({"do": "set", "path": "1/mix", "value": 101}, "0 to 100 %"),
        ({"do": "set", "path": "1/residual", "value": 1}, "true or false"),
        ({"do": "set", "path": "2/mix", "value": 1}, "1/mix, 1/atten_lim_db"),
        ({"do": "set", "value": 1}, "path"),
        ({"do": "events", "since": -1}, "0 or more"),
        ({"do": "mark", "text": "x" * 2000}, "characters"),
        ({"do": "nosuch"}, "status, bypass, mix"),
        ({"do": ["mix"]}, "wanted one of"),
        ({}, "wanted one of"),
        ([], "object"),
        ("quit", "object"),
    ],
)
def test_a_wrong_request_is_answered_with_what_was_wanted(live, request_, error):
    """The range, the choices or the form; the connection and the run go on."""
    with raw() as sock:
        sock.sendall(json.dumps(request_).encode() + b"\n")
        reply = told(sock)
        assert not reply["ok"]
        assert re.search(error, reply["error"])
        sock.sendall(b'{"do": "mix", "value": 70, "id": [7]}\n')
        assert told(sock) == {"ok": True, "result": 70.0, "id": [7]}


@needs_unix
def test_only_the_user_may_enter(live, folder):
    """The folder and the socket are closed to others."""
    sock = folder / f"live-{os.getpid()}.sock"

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(sock.stat().st_mode) == 0o600


@needs_unix
def test_another_users_folder_is_not_trusted(live, folder, monkeypatch):
    """Who owns the folder could put a socket of his own there; the run goes on without control."""
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(DeviceError, match="another user"):
        hosts.running()
    with Control(live):
        assert not live.wait(0.05)


@needs_unix
def test_another_users_process_is_not_answered(live, monkeypatch):
    """The kernel says whose process is at the other end."""
    monkeypatch.setattr(control, "peer_is_me", lambda _: False)
    with raw() as sock:
        assert sock.recv(100) == b""


def test_a_token_keeps_others_from_a_port(live, other_folder, monkeypatch):
    """Where there are no Unix sockets: who cannot read the user's file is not answered."""
    for module in (hosts, control):
        monkeypatch.setattr(module, "UNIX", False)
    with Control(live):
        file = hosts.address(os.getpid())
        port = json.loads(file.read_text())["port"]
        if os.name != "nt":
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with Host(os.getpid()) as host:
            assert host.ask("mix", value=50) == 50.0
        for first in (b'{"token": "no"}\n', b'{"do": "status"}\n', b"[]\n", b"\xff\n"):
            with socket.create_connection(("127.0.0.1", port), 20) as sock:
                sock.sendall(first + b'{"do": "mix", "value": 1}\n')
                with suppress(ConnectionResetError):
                    assert sock.recv(100) == b""
        assert live.mix == 50.0
    assert not file.exists()


def test_garbage_hurts_nobody(live, crowded, host):
    """Bytes, half lines, deep JSON, endless lines: the server answers or drops, and goes on."""
    chance = random.Random(440)
    words = [b'{"do": "', b"mix", b"set", b'"}', b"\n", b"{", b"[" * 3000, b"\xff\xfe", b"1e999"]
    words += [b":", b'"value": ', b"null", b"\x00", b"\r\n", b'{"do": "board"}\n']
    words += [b'{"do": "set", "path": "1/mix", "value": []}\n', b'{"do": "model", "value": 3}\n']
    words += [b'{"do": "record", "value": []}\n', b'{"do": "bypass", "value": {}}\n']
    for _ in range(60):
        with raw() as sock, suppress(OSError):  # it may be dropped
            sock.sendall(b"".join(chance.choices(words, k=chance.randrange(1, 30))))
    with raw() as sock:
        try:
            sock.sendall(b"x" * (1 << 20))
            reply = told(sock)
        except OSError:
            reply = {"error": "a line has at most"}  # closed before all of it was sent
        assert "a line has at most" in reply["error"]

    assert host.ask("status")["ended"] == "running"
    assert live.summary()["faults"] == 0


def _ask_for_ever(sock: socket.socket) -> None:
    """Send requests and read nothing, until the other end is closed."""
    end_s = time.monotonic() + 60
    while time.monotonic() < end_s:
        try:
            sock.send(b'{"do": "effects"}\n' * 100)
        except BlockingIOError:
            time.sleep(0.01)


def test_a_client_that_does_not_read_is_dropped(live, host, monkeypatch):
    """What it has asked for fills its buffers only; others are answered."""
    monkeypatch.setattr(control, "SEND_S", 0.2)
    with raw() as sock:
        sock.setblocking(False)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            _ask_for_ever(sock)
    assert host.ask("mix", value=10) == 10.0


def test_an_idle_client_is_dropped(live, monkeypatch):
    """A connection that nobody uses keeps no place."""
    monkeypatch.setattr(control, "IDLE_S", 0.1)
    with raw() as sock:
        sock.sendall(b'{"do": "mi')
        assert sock.recv(100) == b""


def all_are_served(count: int) -> bool:
    """Whether so many new clients get an answer."""
    with ExitStack() as stack:
        some = [stack.enter_context(Host(os.getpid())) for _ in range(count)]
        try:
            return all(one.ask("mix", value=40) == 40.0 for one in some)
        except DeviceError as error:
            if "16 clients are connected, which is the most" not in str(error):
                raise
            return False


def test_one_client_too_many_is_told_so(live, crowded):
    """The most are served; who comes then gets a sentence, and a place when one is free."""
    end_s = time.monotonic() + 60
    for count, served in ((MOST_CLIENTS, True), (MOST_CLIENTS + 1, False), (MOST_CLIENTS, True)):
        while all_are_served(count) != served:  # those who left may still be counted
            assert time.monotonic() < end_s
            time.sleep(0.05)
