"""The client of a server of streams, against a server in this process that does what it is told."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from rtdenoise.errors import AudioError, Problem, ServerError, UsageError
from tests.sounds import noise
from tests.streams import until

pytest.importorskip("websockets", reason="needs the extra: pip install 'rtdenoise[serve]'")

from rtdenoise.serve import course
from rtdenoise.serve.client import Event, Hello, Remote, aclean, clean
from tests.serve.fake import LATENCY, Turn, faked

RATE = 48_000


def cut(audio, *sizes):
    """*audio* in blocks of these sizes, again and again."""
    at, blocks = 0, list[np.ndarray]()
    while at < audio.shape[1]:
        size = sizes[len(blocks) % len(sizes)]
        blocks.append(audio[:, at : at + size])
        at += size
    return blocks


def through(url, audio, form="f32", sizes=(512,), **more):
    """The sound after the server, and the stream that keeps what happened."""
    remote = Remote(url, Hello(RATE, len(audio), form), **more)
    parts = list(clean(remote, cut(audio, *sizes)))
    return np.concatenate([np.zeros((len(audio), 0), np.float32), *parts], axis=1), remote


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("form", "step"), [("f32", 0.0), ("s16", 2**-15)])
@pytest.mark.parametrize("sizes", [(512,), (1, 0, 70_000), (4097,)])
def test_as_many_samples_aligned(rng, channels, form, step, sizes):
    """However the blocks are cut, and whatever the type on the way."""
    audio = noise(rng, channels, 100_001)
    with faked() as fake:
        out, remote = through(fake.url, audio, form, sizes)

    assert out.dtype == np.float32
    assert out.shape == audio.shape
    assert np.abs(out - audio / 2).max() <= step
    assert remote.done["frames_in"] == 100_001
    assert remote.done["frames_out"] == 100_001 + LATENCY


@pytest.mark.parametrize("length", [0, 1, LATENCY, LATENCY + 1])
def test_a_stream_that_is_shorter_than_its_latency(rng, length):
    """Nothing is lost at the end of it."""
    audio = noise(rng, 1, length)
    with faked() as fake:
        out, _ = through(fake.url, audio)

    assert np.array_equal(out, audio / 2)


def test_the_same_in_an_event_loop(rng):
    """From an iterable of either kind."""
    audio = noise(rng, 2, 30_000)
    blocks = cut(audio, 700)

    async def later():
        for block in blocks:
            await asyncio.sleep(0)
            yield block

    async def all_of(source):
        remote = Remote(fake.url, Hello(RATE, 2, "f32"))
        return np.concatenate([out async for out in aclean(remote, source)], axis=1)

    with faked() as fake:
        outs = [asyncio.run(all_of(source)) for source in (blocks, later())]

    for out in outs:
        assert np.array_equal(out, audio / 2)


def test_it_works_where_an_event_loop_runs_already(rng):
    """As in a notebook."""
    audio = noise(rng, 1, 2000)

    async def cell():
        return through(fake.url, audio)[0]

    with faked() as fake:
        assert np.array_equal(asyncio.run(cell()), audio / 2)


def test_what_is_asked_for_is_said_first():
    """Only what was given."""
    wishes: dict[str, Any] = {
        "model": "speech",
        "mix": 60.0,
        "atten_lim_db": 12.0,
        "token": "secret",
    }
    form = {"protocol": 1, "rate": 16_000, "channels": 2, "format": "s16"}
    with faked() as fake:
        list(clean(Remote(fake.url, Hello(16_000, 2, "s16", **wishes)), []))
        list(clean(Remote(fake.url, Hello(16_000)), []))

    assert fake.hellos[0] == form | wishes
    assert {"token", "resume", "model"}.isdisjoint(fake.hellos[1])


BREAKS = [
    Turn(cut=30_000, keeps=5000),  # killed
    Turn(cut=30_000, keeps=5000, code=1012, last='{"error": "the server ends", "problem": ""}'),
    Turn(cut=30_000, code=1001),
    Turn(cut=1, code=1011),
    Turn(cut=30_000, code=1008, last='{"error": "nothing came for 30 s", "problem": "idle"}'),
]


@pytest.mark.parametrize("turn", BREAKS, ids=["killed", "drained", "away", "at once", "idle"])
def test_after_a_break_what_was_on_its_way_is_sent_again(rng, turn):
    """Nothing of a file is lost, and what was repeated is told."""
    audio, events = noise(rng, 1, 80_000), list[Event]()
    with faked([turn]) as fake:
        out, remote = through(fake.url, audio, tell=events.append)

    assert np.array_equal(out, audio / 2)
    assert [event.kind for event in events] == ["ready", "away", "resumed", "done"]
    assert remote.lost == 0
    assert remote.repeated == events[2].facts["repeated"] >= sum(fake.got) - 80_000 > 0
    assert fake.hellos[1]["resume"] == {"stream": "s1", "samples": 0}


@pytest.mark.parametrize("turn", BREAKS, ids=["killed", "drained", "away", "at once", "idle"])
def test_sound_that_cannot_wait_loses_what_was_on_its_way(rng, turn):
    """The output has the input there, so that it stays aligned; server and user are told."""
    audio, events = noise(rng, 1, 80_000), list[Event]()
    with faked([turn]) as fake:
        out, remote = through(fake.url, audio, repeat=False, tell=events.append)
    dry = (out == audio) & (audio != 0)

    assert out.shape == audio.shape
    assert np.array_equal(np.where(dry, out / 2, out), audio / 2)
    assert np.count_nonzero(dry) == remote.lost == events[2].facts["lost"] > 0
    assert fake.hellos[1]["resume"] == {"stream": "s1", "samples": remote.lost}
    assert 80_000 - remote.lost <= sum(fake.got) <= 80_000


def test_break_after_break(rng):
    """Also while the sound is sent again, and while the end is waited for."""
    audio = noise(rng, 1, 20_000)
    turns = [Turn(cut=9000, keeps=9000), Turn(cut=4096, keeps=100), Turn(cut=10_000, code=1012)]
    with faked(turns) as fake:
        out, _ = through(fake.url, audio)

    assert np.array_equal(out, audio / 2)
    assert len(fake.hellos) == 4


def test_a_full_server_is_asked_again_when_it_says(rng, monkeypatch):
    """After a break; a server that is full at the start is an error, which says when to try."""
    audio = noise(rng, 1, 40_000)
    full = json.dumps({"error": "all 2 streams are taken", "problem": "full", "retry_s": 0.01})
    with faked([Turn(first=full, code=1013)]) as fake, pytest.raises(ServerError) as caught:
        through(fake.url, audio)
    monkeypatch.setattr(course, "FIRST_WAIT_S", 0.01)
    turns = [Turn(cut=9000), Turn(first=full, code=1013), Turn(first=full, code=1013)]
    with faked(turns) as fake:
        out, _ = through(fake.url, audio)

    assert caught.value.retry_s == 0.01
    assert caught.value.problem is Problem.FULL
    assert "all 2 streams are taken" in str(caught.value)
    assert np.array_equal(out, audio / 2)


def test_patience_ends(rng, monkeypatch):
    """A server that does not come back is an error, which says so."""
    monkeypatch.setattr(course, "FIRST_WAIT_S", 0.01)
    with faked([Turn(cut=9000)]) as fake:
        remote = Remote(fake.url, Hello(RATE, format="f32"), patience_s=0.1)
        blocks = iter(cut(noise(rng, 1, 80_000), 512))
        outs = clean(remote, blocks)
        next(outs)
    with pytest.raises(ServerError, match=r"lost for 0\.1 s.*nothing listens there"):
        list(outs)


@pytest.mark.parametrize("code", [1008, 1009, 1002])
def test_a_refusal_in_the_middle_is_final(rng, code):
    """The server would refuse the same again; the reason is its own."""
    said = json.dumps({"error": "wanted whole frames", "problem": "request"})
    with (
        faked([Turn(cut=9000, code=code, last=said)]) as fake,
        pytest.raises(ServerError, match="wanted whole frames"),
    ):
        through(fake.url, noise(rng, 1, 80_000))

    assert len(fake.hellos) == 1


@pytest.mark.parametrize(
    ("first", "problem", "said"),
    [
        ({"error": "wrong token", "problem": "token"}, Problem.TOKEN, "wrong token"),
        (
            {"error": "protocol = 1: this server speaks 2", "problem": ""},
            "",
            "this server speaks 2",
        ),
        ({"hello": 1}, "", "no server of streams"),
        ([], Problem.NO_SERVER, "no server of streams"),
    ],
)
def test_a_refusal_at_the_start(first, problem, said):
    """One line with the server's reason; a stranger that speaks WebSocket is none."""
    with faked([Turn(first=json.dumps(first))]) as fake, pytest.raises(ServerError) as caught:
        list(clean(Remote(fake.url, Hello(RATE, token="my secret")), []))

    assert said in str(caught.value)
    assert caught.value.problem == problem
    assert "my secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_stream_that_is_not_whole_is_an_error(rng):
    """A part is never taken for the whole."""
    with (
        faked([Turn(missing=7)]) as fake,
        pytest.raises(ServerError, match="7 samples are missing"),
    ):
        through(fake.url, noise(rng, 1, 9000))


@pytest.fixture
def listener():
    """A function that listens at a port and answers each connection with these bytes."""
    sockets = []

    def listen(answer: bytes):
        server = socket.create_server(("127.0.0.1", 0))
        sockets.append(server)

        def serve():
            with suppress(OSError):  # the end of the listening
                while True:
                    with server.accept()[0] as one:
                        one.recv(4096)
                        one.sendall(answer)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return f"127.0.0.1:{server.getsockname()[1]}"

    threads: list[threading.Thread] = []
    yield listen
    for server in sockets:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak WebSocket"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP 404"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP 200"),
        (b"", "does not speak WebSocket"),
    ],
)
def test_what_answers_is_no_server_of_streams(listener, answer, said):
    """One clear line, whatever it is."""
    with pytest.raises(ServerError, match=said) as caught:
        list(clean(Remote(f"ws://{listener(answer)}", Hello(RATE)), []))

    assert "no server of streams" in str(caught.value)


def test_there_is_nothing_at_the_address(listener):
    """No port, no name."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for url, said in (
        (f"ws://127.0.0.1:{port}", "nothing listens there"),
        ("ws://nosuch.invalid", "the name is not known"),
    ):
        with pytest.raises(ServerError, match=said) as caught:
            list(clean(Remote(url, Hello(RATE)), []))
        assert caught.value.problem is Problem.NO_SERVER


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Files of a certificate for 127.0.0.1 that vouches for itself, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    try:
        subprocess.run([*command, *names, *files], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl")
    return folder / "cert.pem", folder / "key.pem"


def test_tls_by_files(rng, certificate, tmp_path, listener):
    """With the file that vouches for the server; without it, and without TLS, a clear error."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    audio = noise(rng, 1, 9000)
    with faked(ssl=context) as fake:
        out, _ = through(fake.url, audio, authority=certificate[0])
        with pytest.raises(ServerError, match="certificate is not trusted") as caught:
            through(fake.url, audio)
        assert caught.value.problem is Problem.TLS
        with pytest.raises(ServerError, match="wss://"):
            through(fake.url.replace("wss", "ws"), audio)
    with faked() as fake, pytest.raises(ServerError, match="does not speak TLS") as caught:
        through(fake.url.replace("ws", "wss"), audio)
    with pytest.raises(UsageError, match="has no certificates"):
        through("wss://127.0.0.1:1", audio, authority=tmp_path / "none.pem")
    with pytest.raises(UsageError, match="without TLS"):
        through("ws://127.0.0.1:1", audio, authority=certificate[0])

    assert np.array_equal(out, audio / 2)


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8765", "ftp://a", "ws://", "ws://a:x", "ws://a:1/?t=1", "ws://u:p@a:1"]
)
def test_an_address_that_is_none(url):
    """It is refused before anything is tried, and a password in it is not shown."""
    with pytest.raises(UsageError, match="wanted ws://HOST:PORT") as caught:
        Remote(url, Hello(RATE))

    assert "u:p" not in str(caught.value)


def test_a_token_is_not_shown():
    """In what a program prints of a stream."""
    assert "my secret" not in repr(Remote("ws://a:1", Hello(RATE, token="my secret")))


@pytest.mark.parametrize("shape", [(512,), (1, 512), (512, 2)])
def test_a_block_of_another_shape(shape):
    """Before it is sent."""
    with faked() as fake, pytest.raises(AudioError, match=r"wanted \(2, samples\)"):
        list(clean(Remote(fake.url, Hello(RATE, 2)), [np.zeros(shape, np.float32)]))


def test_an_error_of_the_source_is_the_users_own(rng):
    """And one who looks no further leaves nothing behind."""

    def source():
        yield noise(rng, 1, 2000)
        raise KeyError("mine")

    before = set(threading.enumerate())
    with faked() as fake:
        running = set(threading.enumerate())
        with pytest.raises(KeyError, match="mine"):
            list(clean(Remote(fake.url, Hello(RATE)), source()))
        endless = clean(Remote(fake.url, Hello(RATE)), itertools.repeat(noise(rng, 1, 2000)))
        next(endless)
        del endless
        until(lambda: not set(threading.enumerate()) - running)  # the server's handlers end, too
    until(lambda: not set(threading.enumerate()) - before)


def test_without_the_extra():
    """One line says what to install."""
    code = (
        "import sys; sys.modules['websockets'] = None\n"
        "from rtdenoise.serve.client import *\n"
        "list(clean(Remote('ws://127.0.0.1:1', Hello(48000)), []))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert "UsageError: streams need the package websockets: pip install 'rtdenoise[serve]'" in (
        done.stderr
    )
