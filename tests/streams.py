"""A client of `rtdenoise serve` for tests: plain connections, which can do anything wrong."""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from rtdenoise.serve.protocol import END, Hello

PATIENCE_S = 30
PLAIN = Hello(48_000)


@contextmanager
def connected(listener, hello=PLAIN, **options):
    """A connection that has said *hello*, which may be a text; it waits for every message."""
    with connect(listener.url, open_timeout=PATIENCE_S, **options) as ws:
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
        return end.rcvd and end.rcvd.code


def streamed(listener, hello, sound, rng):
    """The aligned answer to *sound* in messages of random sizes, and the counts of the stream."""
    with connected(listener, hello) as ws:
        ready = told(ws)["ready"]
        got: list[bytes] = []
        done: list[str] = []

        def read():
            for message in ws:
                if isinstance(message, bytes):
                    got.append(message)
                else:
                    done.append(message)

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
