"""The panel's server: it answers its own page, which knows the token, and nobody else."""

from __future__ import annotations

import http.client
import json
import re
import socket
from pathlib import Path

import pytest

import rtdenoise.panel
from rtdenoise.cli.panel import live_words, store
from rtdenoise.errors import UsageError
from rtdenoise.panel.desk import Commands, Desk
from rtdenoise.panel.server import FILES, NAMES, Panel

ROOM = Path(rtdenoise.panel.__file__).parent


@pytest.fixture(scope="module")
def panel():
    """A panel that is served; what it shows is looked for when it is asked."""
    panel = Panel(Desk(Commands(live_words, (), store)))
    panel.serve()
    yield panel
    panel.close()


def ask(panel, method, path, body=None, headers=()):
    """The status, headers and text of an answer; `TOKEN` in the path is the panel's token."""
    port = panel._server.server_port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(
            method, path.replace("TOKEN", panel.token), body, {"Host": "localhost", **dict(headers)}
        )
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("name", FILES)
def test_the_page_is_there_for_who_knows_the_token(panel, name):
    """Each file of the page, with a policy by which it loads nothing from elsewhere."""
    status, headers, text = ask(panel, "GET", f"/TOKEN/{name}")

    assert (status, text) == (200, (ROOM / FILES[name]).read_bytes())
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "'unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["page.html", *NAMES])
def test_the_page_names_no_place_outside(name):
    """Neither a script nor a style, a font or a picture comes from another machine."""
    assert not re.findall(r"https?:|//[a-z0-9-]+\.|@import|url\(", (ROOM / name).read_text())


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/page.html", "/page.js", "/feed", "/do", "/TOKEN", "/TOKENx/", "/xTOKEN/"),
        *("/token/", "//", "/TOKEN/page.py", "/TOKEN/server.py", "/TOKEN/../server.py"),
        *("/TOKEN/%2e%2e/errors.py", "/TOKEN//etc/passwd", "/TOKEN/page.js/", "/TOKEN/do"),
        *("/%00/", "/%ff/", "/once/", "/once/x", "/?TOKEN", "/TOKEN/page.js?x", "/TOKEN/\\page.js"),
    ],
)
def test_everything_else_is_not_found(panel, path):
    """Without the token, with a wrong one, and outside the files of the page."""
    assert ask(panel, "GET", path)[0] == 404


@pytest.mark.parametrize("path", ["/do", "/x/do", "/TOKEN/", "/TOKEN/feed", "/TOKEN/do/"])
def test_nothing_else_is_done(panel, path):
    """A request that changes something has one address."""
    assert ask(panel, "POST", path, b'{"do": "presets"}')[0] == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "", "localhost.evil:80", "[::2]"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_name_of_this_machine_is_refused(panel, method, host):
    """A page elsewhere could give its own name this address, and be the same origin then."""
    path = "/TOKEN/" if method == "GET" else "/TOKEN/do"
    assert ask(panel, method, path, b'{"do": "presets"}', {"Host": host})[0] == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:7", 200),
        ("http://evil.example", 403),
        ("null", 403),
        ("http://localhost", 403),
        ("http://localhost:8", 403),
    ],
)
def test_another_page_is_refused(panel, origin, status):
    """A browser says whose page a request comes from."""
    headers = {"Host": "localhost:7", "Origin": origin}
    assert ask(panel, "POST", "/TOKEN/do", b'{"do": "presets"}', headers)[0] == status


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"x", b"[]", b'"do"', b'{"do": NaN}', b"{" * 9000, b"\xff"),
        b'{"do": "' + b"x" * 65_536 + b'"}',
    ],
)
def test_a_body_that_is_no_request_is_refused(panel, body):
    """Too long, no JSON, or no object; the server goes on."""
    assert ask(panel, "POST", "/TOKEN/do", body)[0] == 400
    assert ask(panel, "POST", "/TOKEN/do", b'{"do": "presets"}')[0] == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD"])
def test_other_methods_are_not_known(panel, method):
    """A page elsewhere may ask with OPTIONS what it may do: nothing."""
    status, headers, _ = ask(panel, method, "/TOKEN/do", b"{}")
    assert status == 501
    assert "Access-Control-Allow-Origin" not in headers


def test_it_listens_on_loopback_only(panel):
    """Other machines cannot reach it, whatever they know."""
    assert panel._server.server_address[0] == "127.0.0.1"
    assert panel.url.startswith("http://127.0.0.1:")


def test_the_address_for_a_browser_works_once(panel):
    """Other users see the words of a browser's command line, when it is used up."""
    path = "/" + panel.once().split("/", 3)[3]
    status, headers, _ = ask(panel, "GET", path)

    assert (status, headers["Location"]) == (303, f"/{panel.token}/")
    assert panel.token not in path
    assert ask(panel, "GET", path)[0] == 404


def test_a_port_that_is_taken_is_told(panel, desk):
    """With the way out."""
    with pytest.raises(UsageError, match=r"port \d+ cannot be used: .*in use; 0 takes"):
        Panel(desk, panel._server.server_port)
    with pytest.raises(UsageError, match="port 70000"):
        Panel(desk, 70_000)


def test_what_a_request_answers(panel, live):
    """The answer of the run, or its refusal with the reason."""

    def do(**body):
        status, _, text = ask(panel, "POST", "/TOKEN/do", json.dumps(body).encode())
        return status, json.loads(text)

    assert do(do="mix", value=60) == (200, {"ok": True, "result": 60.0})
    status, reply = do(do="mix", value=600)
    assert (status, reply["ok"]) == (409, False)
    assert "0 (only the input) to 100" in reply["error"]
    assert do(do="nosuch")[0] == do()[0] == do(do=["mix"])[0] == 409
    assert live.mix == 60


def test_a_page_that_leaves_is_forgotten(panel, live):
    """Its connection to the run is closed, and its place is free for another page."""
    places = panel.feeds._value
    with socket.create_connection(("127.0.0.1", panel._server.server_port), 20) as page:
        page.sendall(f"GET /{panel.token}/feed HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        text = b""
        while b"event: sound" not in text:
            text += page.recv(65_536)
        assert panel.feeds._value == places - 1
    for _ in range(places):  # each of which can be had
        assert panel.feeds.acquire(timeout=20)
