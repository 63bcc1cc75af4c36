"""The server over real sockets: who may stream, what is refused, and that nothing can fill it."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs rtdenoise[serve]")
connecting = pytest.importorskip("websockets.sync.client", reason="needs rtdenoise[serve]")
from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402

from rtdenoise.chain.effect import Denoise  # noqa: E402
from rtdenoise.errors import UsageError  # noqa: E402
from rtdenoise.nets.box import find  # noqa: E402
from rtdenoise.serve import seat, server  # noqa: E402
from rtdenoise.serve.menu import Menu  # noqa: E402
from rtdenoise.serve.protocol import END, Hello, Resume  # noqa: E402
from rtdenoise.serve.run import Address, Listener, serving  # noqa: E402
from rtdenoise.serve.server import Settings, read_tokens  # noqa: E402
from tests.toy_nets import Identity, Smoother, generator_for  # noqa: E402

PATIENCE_S = 30
PLAIN = Hello(48_000)


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


@contextmanager
def connected(listener, hello=PLAIN, **options):
    """A connection that has said *hello*, which may be a text; it waits for every message."""
    with connecting.connect(listener.url, open_timeout=PATIENCE_S, **options) as ws:
        ws.send(hello if isinstance(hello, str) else hello.text())
        yield ws


def told(ws):
    """The next message of text."""
    while isinstance(said := ws.recv(timeout=PATIENCE_S), bytes):
        pass
    return json.loads(said)


def closed(ws):
    """The code with which the server closes."""
    try:
        while True:
            ws.recv(timeout=PATIENCE_S)
    except ConnectionClosed as end:
        return end.rcvd.code


def streamed(listener, hello, sound, rng):
    """The aligned answer to *sound* in messages of random sizes, and the counts of the stream."""
    with connected(listener, hello) as ws:
        ready = told(ws)["ready"]
        got, done = [], []

        def read():
            for message in ws:
                (got if isinstance(message, bytes) else done).append(message)

        reader = threading.Thread(target=read)
        reader.start()
        rest = hello.encoded(sound)
        while rest:
            size = int(rng.integers(1, 4000)) * hello.frame_bytes
            ws.send(rest[:size])
            rest = rest[size:]
        ws.send(END)
        reader.join(PATIENCE_S)
    out = hello.decoded(b"".join(got))
    return out[:, ready["latency_samples"] :], json.loads(done[-1])["done"]


def asked(listener, path, **headers):
    """The status and the text of an answer to GET."""
    port = urlsplit(listener.url).port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, text


def number(listener, name):
    """A number of the metrics; 0 if it was never counted."""
    lines = asked(listener, "/metrics")[1].decode().splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)


def until(holds):
    """Wait for *holds* to be true."""
    end_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end_s
        time.sleep(0.02)


@pytest.mark.parametrize(
    "hello",
    [
        Hello(8000, model="speech"),
        Hello(16_000, format="f32", model="speech"),
        Hello(44_100, 2, "f32", "speech", 70.0),
        Hello(48_000, 2, "s16", "speech", atten_lim_db=12.0),
    ],
    ids=str,
)
def test_what_is_served_is_what_the_effect_gives(served, hello, rng):
    """As many samples, aligned, at any rate, however they are cut into messages."""
    shape = hello.channels, hello.rate // 2
    sound = hello.decoded(hello.encoded((0.1 * rng.standard_normal(shape)).astype(np.float32)))
    out, done = streamed(served, hello, sound, rng)
    effect = Denoise("speech", hello.mix, hello.atten_lim_db)
    wanted = effect.process(sound, hello.rate)

    assert out.shape == sound.shape
    step = 2**-15 if hello.format == "s16" else 0
    np.testing.assert_allclose(out, wanted, rtol=0, atol=2e-6 + step)
    assert done["frames_in"] == shape[1]
    assert done["failed"] == done["dry"] == done["nonfinite"] == 0


def test_a_board_is_served_by_the_name_of_its_file(served, rng):
    """Its effects run as on a file; its nets share calls with the other streams."""
    hello = Hello(48_000, format="f32", model="call")
    sound = (0.1 * rng.standard_normal((1, 9000))).astype(np.float32)
    out, _ = streamed(served, hello, sound, rng)
    wanted = Denoise("speech").process(sound * np.float32(10 ** (-6 / 20)), 48_000)

    np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-5)


def test_an_empty_stream_gives_the_latency(served):
    """The end may come first."""
    with connected(served) as ws:
        latency = told(ws)["ready"]["latency_samples"]
        ws.send(END)
        done = told(ws)["done"]

    assert (done["frames_in"], done["frames_out"]) == (0, latency)
    with pytest.raises(ConnectionClosed) as caught:
        ws.recv()
    assert caught.value.rcvd.code == 1000


def test_a_stream_that_is_resumed_is_told_what_is_lost(served):
    """The server begins anew, says so, and counts it."""
    before = number(served, "rtdenoise_lost_frames_total")
    with connected(served, Hello(48_000, resume=Resume("abc", 4711))) as ws:
        ready = told(ws)["ready"]

    assert ready["resumed"] == {"stream": "abc", "lost": 4711}
    assert ready["stream"] != "abc"
    assert number(served, "rtdenoise_lost_frames_total") == before + 4711


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("{", "JSON"),
        (b"\0\0", "JSON first"),
        ('{"protocol": 9}', "speaks 1"),
        (Hello(48_000, model="nothing"), "'nothing' here; this server has: identity, smoother, sp"),
        (Hello(48_000, model="/etc/passwd"), "this server has"),
        (Hello(48_000, model="../call.toml"), "this server has"),
        ('{"protocol": 1, "rate": 48000, "x": 1}', "unknown key 'x'"),
        ('{"protocol": 1, "rate": 12}', "sample rate 12 Hz"),
    ],
)
def test_a_wrong_beginning_is_refused_in_words(served, first, words):
    """One line says what was wanted, and the connection ends with 1008."""
    with connecting.connect(served.url) as ws:
        ws.send(first if isinstance(first, str | bytes) else first.text())
        assert words in told(ws)["error"]
        assert closed(ws) == 1008


@pytest.mark.parametrize(
    ("wrong", "words"),
    [(b"123", "whole frames of 2 bytes"), ("{}", "wanted samples"), ("[", "JSON")],
)
def test_a_wrong_message_ends_the_stream(served, wrong, words):
    """Half a frame, and text that is no end."""
    with connected(served) as ws:
        told(ws)
        ws.send(b"\0\0" * 100)
        ws.send(wrong)
        assert words in told(ws)["error"]
        assert closed(ws) == 1008


def test_a_message_that_is_too_long_ends_the_stream(served):
    """`ready` says how long one may be."""
    with connected(served) as ws:
        most = told(ws)["ready"]["most_bytes"]
        ws.send(bytes(most + 2))
        assert closed(ws) == 1009


def test_more_streams_than_there_is_room_for_are_refused(served):
    """The client is told when to try again; a place that becomes free is given."""
    with connected(served) as a, connected(served) as b, connected(served) as c:
        with connected(served) as d:
            for ws in (a, b, c, d):
                assert "ready" in told(ws)
            with connected(served) as late:
                refused = told(late)
                assert "all 4 streams" in refused["error"]
                assert refused["retry_s"] > 0
                assert closed(late) == 1013
        until(lambda: json.loads(asked(served, "/health")[1])["streams"] == 3)
        with connected(served) as again:
            assert "ready" in told(again)


def test_a_client_that_vanishes_leaves_nothing(served):
    """Without a close, in mid stream: its place is free again, and nothing of it stays."""
    for _ in range(6):
        with connected(served) as ws:
            told(ws)
            ws.send(b"\1\1" * 48_000)
            reset = struct.pack("ii", 1, 0)
            ws.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            ws.socket.shutdown(socket.SHUT_RDWR)
    until(lambda: json.loads(asked(served, "/health")[1])["streams"] == 0)
    until(lambda: not served.server.hub._tasks)

    assert not served.server._seats


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [
        (None, True),
        ("http://127.0.0.1:PORT", True),
        ("http://127.0.0.1:1", False),
        ("http://localhost:PORT", False),
        ("https://example.org", False),
        ("null", False),
        ("http://[", False),
        ("https://ours.example", True),
    ],
)
def test_pages_of_others_cannot_connect(menu, origin, welcome):
    """A browser lets every page open a WebSocket to this machine, and tells whose it is."""
    with serving(menu, Settings(most=4, origins=("https://ours.example",))) as listener:
        port = str(urlsplit(listener.url).port)
        options = {} if origin is None else {"origin": origin.replace("PORT", port)}
        if welcome:
            with connected(listener, **options) as ws:
                assert "ready" in told(ws)
        else:
            with pytest.raises(InvalidStatus, match="403"), connected(listener, **options):
                pass


def test_a_name_that_was_made_to_mean_this_machine_is_refused(served):
    """The page and the host are then the same, and both are somebody else's."""
    place = urlsplit(served.url)
    with socket.create_connection((place.hostname, place.port), timeout=PATIENCE_S) as link:
        host = f"evil.example:{place.port}"
        link.sendall(
            f"GET {place.path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        assert b" 403 " in link.recv(100)


def test_only_who_knows_a_token_may_stream(menu, caplog):
    """In the first message or in the header; the health is everybody's, and no log has it."""
    tokens = read_tokens("# ours\nfirst-secret\n\n second-secret \n")
    with serving(menu, Settings(most=4, tokens=tokens)) as listener:
        for hello, options in [
            (Hello(48_000, token="first-secret"), {}),
            (Hello(48_000, token="second-secret"), {}),
            (Hello(48_000), {"additional_headers": {"Authorization": "Bearer first-secret"}}),
        ]:
            with connected(listener, hello, **options) as ws:
                assert "ready" in told(ws)
        for wrong in (None, "", "first-secre", "first-secret ", "# ours", "\ud800"):
            with connected(listener, Hello(48_000, token=wrong)) as ws:
                assert "token" in told(ws)["error"]
                assert closed(ws) == 1008
        assert asked(listener, "/health")[0] == 200
        assert asked(listener, "/metrics")[0] == 401
        status, text = asked(listener, "/metrics", Authorization="Bearer first-secret")
        assert status == 200
        assert 'rtdenoise_refused_total{reason="token"} 6.0' in text.decode()

    assert "secret" not in caplog.text


def test_the_numbers_are_counted(served, rng):
    """Streams, hops, bytes and times, in the form of Prometheus."""
    hello = Hello(48_000)
    sound = (0.1 * rng.standard_normal((1, 51_200))).astype(np.float32)
    names = {
        "rtdenoise_streams_begun_total": 1,
        'rtdenoise_streams_ended_total{how="done"}': 1,
        "rtdenoise_hops_total": 102,
        'rtdenoise_bytes_total{direction="in"}': 102_400,
        'rtdenoise_bytes_total{direction="out"}': 104_448,
    }
    before = {name: number(served, name) for name in names}
    streamed(served, hello, sound, rng)

    until(lambda: number(served, 'rtdenoise_streams_ended_total{how="done"}') > before[
        'rtdenoise_streams_ended_total{how="done"}'])  # fmt: skip
    assert {name: number(served, name) - before[name] for name in names} == names
    assert number(served, "rtdenoise_streams_most") == 4
    assert number(served, "rtdenoise_answer_seconds_count") > 0


def test_a_client_that_sends_nothing_is_let_go(menu, monkeypatch):
    """Before its hello, and after it; each is told why."""
    monkeypatch.setattr(server, "HELLO_S", 0.3)
    with serving(menu, Settings(most=4, idle_s=0.3)) as listener:
        with connecting.connect(listener.url) as ws:
            assert "no message came within 0.3 s" in told(ws)["error"]
        with connected(listener) as ws:
            told(ws)
            assert "nothing came for 0.3 s" in told(ws)["error"]
            assert closed(ws) == 1008


class Held:
    """A net that gives no answer after its first ones, until it may."""

    holds_state = False

    def __init__(self, net):
        self.net, self.card, self.may, self.calls = net, net.card, threading.Event(), 0
        self.analysis, self.synthesis = net.analysis, net.synthesis
        self.initial_state, self.prepare_thread = net.initial_state, net.prepare_thread

    def begin(self, stream):
        return self

    def __call__(self, windows, state):
        self.calls += 1
        if self.calls > 20:
            assert self.may.wait(PATIENCE_S)
        return self.net(windows, state)


def test_audio_that_comes_too_fast_waits_with_the_client(rng):
    """The server reads no more than it can hold, and gives every sample in the end."""
    net = Held(generator_for(Identity()))
    sound = (0.1 * rng.standard_normal((1, 48_000 * 20))).astype(np.float32)
    with serving(Menu([net]), Settings(most=1, most_s=1.0)) as listener:
        got = []
        hello = Hello(48_000, format="f32")
        client = threading.Thread(
            target=lambda: got.append(streamed(listener, hello, sound, np.random.default_rng(1)))
        )
        client.start()
        held = [-1.0, 0.0]
        while len(held) < 12 or held[-1] != held[-10] or not held[-1]:
            held.append(number(listener, 'rtdenoise_bytes_total{direction="in"}'))
            time.sleep(0.05)
        assert held[-1] <= 4 * (48_000 + 22 * 512 * 8 + 2 * 4000)  # a second, and what was answered
        net.may.set()
        client.join(PATIENCE_S)

    np.testing.assert_allclose(got[0][0], sound, atol=1e-6)


def test_a_client_that_reads_no_answer_is_dropped(menu, monkeypatch):
    """What waits for it is bounded, and so is the time."""
    monkeypatch.setattr(seat, "SLOW_S", 0.5)
    with serving(menu, Settings(most=1, most_s=0.5)) as listener:
        place = urlsplit(listener.url)
        with socket.create_connection((place.hostname, place.port), timeout=5) as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with connecting.connect(listener.url, sock=link, max_queue=1) as ws:
                ws.send(Hello(192_000, 2, "f32").text())
                with suppress(ConnectionClosed, TimeoutError, OSError):
                    for _ in range(2000):
                        ws.send(bytes(8 * 9600))
        until(lambda: json.loads(asked(listener, "/health")[1])["streams"] == 0)

        assert number(listener, 'rtdenoise_streams_ended_total{how="slow"}') == 1


def test_a_server_that_ends_lets_streams_end(menu):
    """New ones are refused, those that are open are told, and may end in their own time."""
    with serving(menu, Settings(most=4, drain_s=PATIENCE_S)) as listener:
        with connected(listener) as ws:
            assert "ready" in told(ws)
            loop = listener.server._loop
            loop.call_soon_threadsafe(listener.stop)
            assert told(ws) == {"draining": {"seconds": PATIENCE_S}}
            assert asked(listener, "/health")[0] == 503
            with connected(listener) as late:
                assert "ends" in told(late)["error"]
                assert closed(late) == 1013
            ws.send(b"\1\0" * 4800)
            ws.send(END)
            assert told(ws)["done"]["frames_in"] == 4800
        until(lambda: not listener.server.hub.alive)


def test_streams_that_do_not_end_are_ended(menu):
    """The time is bounded: the client is told, and may go to another server."""
    with serving(menu, Settings(most=4, drain_s=0.2)) as listener:
        with connected(listener) as ws:
            assert "ready" in told(ws)
            listener.server._loop.call_soon_threadsafe(listener.stop)
            assert "draining" in told(ws)
            assert "ends" in told(ws)["error"]
            assert closed(ws) == 1012
        until(lambda: not listener.server.hub.alive)


def test_the_number_of_streams_is_measured(menu):
    """A share of a core each: more channels and other rates take more of it."""
    with serving(Menu(["speech"]), Settings()) as listener:
        most = json.loads(asked(listener, "/health")[1])["most"]
        own, other = (listener.server._cost(Hello(rate)) for rate in (48_000, 16_000))
        assert most == int(0.8 / own)
        assert other > own
        assert listener.server._cost(Hello(48_000, 2)) == 2 * own
        with connected(listener, Hello(48_000, 64)) as ws:
            assert "of a core" in told(ws)["error"]
            assert closed(ws) == 1013


def test_a_stream_is_encrypted_with_a_certificate(menu, tmp_path):
    """wss:// with a certificate and a key of files."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=x"
    words = [*made.split(), "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        ["openssl", *words, "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    trusted = ssl.create_default_context(cafile=str(certificate))
    address = Address(port=0, certificate=certificate, key=key)
    with serving(menu, Settings(most=1), address) as listener:
        assert listener.url.startswith("wss://")
        with connected(listener, ssl=trusted) as ws:
            assert "ready" in told(ws)


def test_a_certificate_that_cannot_be_used_is_an_error(menu, tmp_path):
    """One line, with the file."""
    wrong = tmp_path / "cert.pem"
    for prepare in (lambda: None, lambda: wrong.write_text("no certificate")):
        prepare()
        with pytest.raises(UsageError, match=r"cert\.pem cannot be used"):
            Listener(menu, Settings(most=1), Address(port=0, certificate=wrong))


def test_an_address_that_cannot_be_used_is_an_error(menu, served):
    """A port that is taken, one that is none, and an address of another machine."""
    taken = urlsplit(served.url).port
    for address in (Address(port=taken), Address(port=70_000), Address("203.0.113.1", 0)):
        with pytest.raises(UsageError, match=rf"{address.host} port {address.port} cannot be used"):
            Listener(menu, Settings(most=1), address)


def test_what_is_served_has_names_of_its_own(tmp_path):
    """Two boards of one name, none at all, and one that cannot stream are refused."""
    for folder, text in (("a", ""), ("b", ""), ("c", '[[effect]]\ntype = "PitchShift"\n')):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.toml").write_text(text)
    with pytest.raises(UsageError, match="two models or boards are called x"):
        Menu([], [tmp_path / "a" / "x.toml", tmp_path / "b" / "x.toml"])
    with pytest.raises(UsageError, match="nothing to serve"):
        Menu([])
    with pytest.raises(UsageError, match="PitchShift"):
        Menu([], [tmp_path / "c" / "x.toml"])
    assert Menu([find("speech")]).names == ["speech"]
