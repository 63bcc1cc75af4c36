"""Who may use a server: tokens, web pages, certificates."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import InvalidStatus

from rtdenoise.errors import UsageError
from rtdenoise.serve.access import read_tokens
from rtdenoise.serve.protocol import Hello
from rtdenoise.serve.run import Address, Listener, serving
from rtdenoise.serve.server import Settings
from tests.streams import PATIENCE_S, asked, closed, connected, told


@pytest.fixture(scope="module")
def visited(menu):
    """A server that a page of another place may use."""
    with serving(menu, Settings(most=4, origins=("https://ours.example",))) as listener:
        yield listener


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
def test_pages_of_others_cannot_connect(visited, origin, welcome):
    """A browser lets every page open a WebSocket to this machine, and tells whose it is."""
    port = str(urlsplit(visited.url).port)
    options = {} if origin is None else {"origin": origin.replace("PORT", port)}
    if welcome:
        with connected(visited, **options) as ws:
            assert "ready" in told(ws)
    else:
        with pytest.raises(InvalidStatus, match="403"), connected(visited, **options):
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

    async def first_answer(url):
        async with connect_async(url, ssl=trusted) as ws:  # two threads cannot share one SSL object
            await ws.send(Hello(48_000).text())
            return await ws.recv()

    with serving(menu, Settings(most=1), address) as listener:
        assert listener.url.startswith("wss://")
        assert "ready" in json.loads(asyncio.run(first_answer(listener.url)))


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
