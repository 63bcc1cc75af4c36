"""Nothing can fill a server: streams, messages, slow and silent clients; and how it ends."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from rtdenoise.serve import seat, server
from rtdenoise.serve.menu import Menu
from rtdenoise.serve.protocol import END, Hello
from rtdenoise.serve.run import serving
from rtdenoise.serve.server import Settings
from tests.streams import PATIENCE_S, asked, closed, connected, number, streamed, told, until
from tests.toy_nets import Identity, generator_for


class Held:
    """A net that gives no answer after its first ones, until it may."""

    holds_state = False

    def __init__(self, net):
        self.net, self.card, self.may, self.calls = net, net.card, threading.Event(), 0
        self.analysis, self.synthesis = net.analysis, net.synthesis

    def begin(self, stream):
        return self

    def initial_state(self, channels):
        return self.net.initial_state(channels)

    def prepare_thread(self):
        self.net.prepare_thread()

    def one_thread(self):
        return self.net.one_thread()

    def __call__(self, windows, state):
        self.calls += 1
        if self.calls > 20:
            assert self.may.wait(PATIENCE_S)
        return self.net(windows, state)


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


def test_a_client_that_sends_nothing_is_let_go(menu, monkeypatch):
    """Before its hello, and after it; each is told why."""
    monkeypatch.setattr(server, "HELLO_S", 0.3)
    with serving(menu, Settings(most=4, idle_s=0.3)) as listener:
        with connect(listener.url) as ws:
            assert "no message came within 0.3 s" in told(ws)["error"]
        with connected(listener) as ws:
            told(ws)
            assert "nothing came for 0.3 s" in told(ws)["error"]
            assert closed(ws) == 1008


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


def test_behind_a_proxy_that_reads_on_a_client_far_ahead_is_let_go():
    """It cannot be held back there, and must not fill the memory."""
    net = Held(generator_for(Identity()))
    limits = Settings(most=1, most_s=1.0, holds_back=False)
    with serving(Menu([net]), limits) as listener, connected(listener) as ws:
        told(ws)
        for _ in range(15):
            ws.send(bytes(2 * 4800))
        assert "more than 1 s of audio wait" in told(ws)["error"]
        assert closed(ws) == 1008
        net.may.set()


def test_a_client_that_reads_no_answer_is_dropped(menu, monkeypatch):
    """What waits for it is bounded, and so is the time."""
    monkeypatch.setattr(seat, "SLOW_S", 0.5)
    with serving(menu, Settings(most=1, most_s=0.5)) as listener:
        place = urlsplit(listener.url)
        with socket.create_connection((place.hostname, place.port), timeout=5) as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with connect(listener.url, sock=link, max_queue=1) as ws:
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
