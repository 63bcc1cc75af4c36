"""The control socket of a run: what a client may ask, and that none can do harm."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import socket
import stat
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from rtdenoise.chain.effect import Denoise
from rtdenoise.cli import main
from rtdenoise.errors import AudioError, DeviceError, ModelError, Problem, UsageError
from rtdenoise.live import control, hosts
from rtdenoise.live.control import MOST_CLIENTS, Control
from rtdenoise.live.hosts import Host
from rtdenoise.live.live import Live
from tests.toy_nets import Identity, generator_for, save

needs_unix = pytest.mark.skipif(not hosts.UNIX, reason="there are no Unix sockets")


@pytest.fixture(scope="module")
def folder():
    """A runtime folder of its own, with a name that is short enough for a socket."""
    place = tempfile.mkdtemp(prefix="rtd")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", place)
        yield Path(place, "rtdenoise")
    shutil.rmtree(place)


@pytest.fixture
def other_folder(monkeypatch):
    """A second one, where nothing runs."""
    place = tempfile.mkdtemp(prefix="rtd")
    monkeypatch.setenv("XDG_RUNTIME_DIR", place)
    yield Path(place, "rtdenoise")
    shutil.rmtree(place)


def run(flights: str | Path = ".") -> Live:
    """A run at the pace of a card, which has not started."""
    effect = Denoise(generator_for(Identity()))
    return Live("null", "null", effect, duration_s=600, flight_folder=flights)


@pytest.fixture(scope="module")
def live(folder, tmp_path_factory):
    """A run that can be controlled."""
    with run(tmp_path_factory.mktemp("flights")) as live, Control(live, "call"):
        yield live


@pytest.fixture
def crowded(live, other_folder):
    """A socket of its own for a test that leaves many clients behind."""
    with Control(live):
        yield


@pytest.fixture
def host(live):
    """A client of the run."""
    with Host(os.getpid()) as host:
        yield host


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


def test_the_strength_is_set_and_read_back(live, host):
    """Each request changes the run, and answers with what holds from now on."""
    assert host.ask("mix", value=60) == 60.0 == live.mix
    assert host.ask("atten-lim", value=12) == 12.0 == live.atten_lim_db
    assert host.ask("atten-lim", value=None) is None is live.atten_lim_db
    assert host.ask("residual", value=True) is True is live.residual
    assert host.ask("residual") is False is live.residual
    assert host.ask("bypass", value="toggle") is True is live.bypass
    assert host.ask("bypass", value=False) is False is live.bypass
    assert host.ask("status")["mix"] == 60.0


def test_the_status_has_what_the_contract_lists(live, host):
    """TUI, panel and scripts read these keys."""
    status = host.ask("status")

    assert status["pid"] == os.getpid()
    assert (status["preset"], status["ends"]) == ("call", ["null", "null"])
    assert (status["rate"], status["channels"], status["block"]) == (48_000, 1, 512)
    assert (status["model"], status["board"]) == ("identity", None)
    assert status["delay_samples"] == 512
    assert set(status) >= {
        *("version", "bypass", "mix", "atten_lim_db", "residual", "latency_ms", "seconds"),
        *("in_db", "out_db", "p50_ms", "p99_ms", "deadline_ms", "load_percent", "xruns", "late"),
        *("dry", "failed", "gaps", "clipped", "drift_ppm", "recording", "waiting", "ended", "tap"),
    }


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


def test_each_client_has_its_own_peaks(live, host):
    """A meter shows the peak since its own last look, whoever else looks."""
    session = live._open.session
    with Host(os.getpid()) as other:
        before = max(one.ask("status")["seconds"] for one in (host, other))
        while session.frames / session.rate < before + 0.05:
            time.sleep(0.01)
        session._levels[:] = 0.5  # as if all blocks had been that loud
        for one in (host, other):
            assert one.ask("status")["in_db"] == pytest.approx(-6.02, abs=0.01)
        while session.frames / session.rate < before + 0.2:
            time.sleep(0.01)
        host.ask("status")
        while session.frames / session.rate < before + 0.3:
            time.sleep(0.01)
        assert host.ask("status")["in_db"] == -120.0


def test_marks_are_events(live, host):
    """With their number and time, so that a script can ask for those since its last look."""
    begun = len(live.events)
    host.ask("mark", text="it crackled")
    (event,) = host.ask("events", since=begun)
    host.ask("mark", text="again\n\x1b[2J")

    assert (event["kind"], event["number"], event["text"]) == ("mark", begun, "mark: it crackled")
    assert [one["number"] for one in host.ask("events", since=begun + 1)] == [begun + 1]


def test_quit_ends_the_run(other_folder):
    """As Ctrl-C does."""
    with run() as live, Control(live), Host(os.getpid()) as host:
        host.ask("quit")

        assert live.wait(60)
        assert live.summary()["ended"] == "stopped"


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


def test_models_and_effects_are_listed(live, host):
    """With what a panel needs for its sliders."""
    assert "speech" in {card["name"] for card in host.ask("models")}
    effects = {effect["name"]: effect for effect in host.ask("effects")}
    mix = next(p for p in effects["Reverb"]["parameters"] if p["name"] == "room_size")
    assert (mix["low"], mix["high"]) == (0.0, 1.0)


def test_model_and_board_change_by_the_socket(other_folder, tmp_path):
    """By name or path, by a file or its text; the answer says what runs and what the delay is."""
    path = save(Identity(), tmp_path / "net.pt", name="mine", window=2048, hop=1024)
    text = "[[effect]]\ntype = 'Gain'\ngain_db = -6\n"
    (tmp_path / "call.toml").write_text(text)
    with run() as live, Control(live), Host(os.getpid()) as host:
        answer = host.ask("model", value=str(path))
        assert (answer["model"], answer["board"], answer["heard"]) == ("mine", None, True)
        assert (answer["delay_samples"], answer["delay_added"]) == (1536, 1024)
        for given in (text, {"path": str(tmp_path / "call.toml")}):
            answer = host.ask("board", value=given)
            assert (answer["model"], answer["board"]) == (None, ["Gain"])
            assert (answer["delay_samples"], answer["delay_added"]) == (1536, 0)
        assert host.ask("set", path="1/gain_db", value=-9) == -9
        assert host.ask("parameters")[0]["value"] == -9
        with pytest.raises(ModelError, match="In the box") as raised:
            host.ask("model", value="nosuch")
        assert raised.value.problem is Problem.NO_MODEL
        with pytest.raises(UsageError, match="the board is not TOML"):
            host.ask("board", value="[[")
        with pytest.raises(UsageError, match="wanted a text"):
            host.ask("board", value=[])
        with pytest.raises(UsageError, match="is a board"):
            host.ask("model", value=str(tmp_path / "call.toml"))
        assert host.ask("status")["board"] == ["Gain"]
        assert [event["kind"] for event in host.ask("events")][:2] == ["changed", "delay"]
        record = host.ask("record", value=str(tmp_path / "a.wav"))
        assert host.ask("status")["recording"]["file"] == record["file"]
        assert host.ask("record", value=None)["file"] == str(tmp_path / "a.wav")
        with pytest.raises(AudioError, match="exists"):
            host.ask("record", value=str(tmp_path / "a.wav"))
        assert host.ask("status")["recording"] is None


def test_the_command_changes_and_records(other_folder, tmp_path, capsys, monkeypatch):
    """As people type it, from another folder than the run's."""
    monkeypatch.chdir(tmp_path)
    save(Identity(), tmp_path / "net.pt", name="mine", window=2048, hop=1024)
    Path("call.toml").write_text("[[effect]]\ntype = 'Gain'\n")

    def says(*words: str) -> Any:
        assert main(["ctl", *words]) == 0
        return capsys.readouterr().out.strip()

    with run() as live, Control(live):
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
