"""The server: blind pages, nothing lost, nothing else given out."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import ipaddress
import json
import random
import socket
import sqlite3
import threading
import urllib.error
import urllib.request
from collections import Counter

import pytest

from tests.train.listening import NAMES
from train.cli import listen

pytest.importorskip("pyloudnorm", reason="loudness needs the eval extra")


def ask(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=10) as answer:
        return answer.read(), dict(answer.headers)


def status(url, data=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_nothing_a_listener_gets_names_a_system(served):
    """Pages, plans, headers and file names are blind; one listener's tokens are nobody else's."""
    _, url, _ = served
    seen, tokens = b"", []
    for path in ("/", "/page.js", "/page.css"):
        body, headers = ask(url + path)
        seen += body + str(headers).encode()
    for _ in range(2):
        body, headers = ask(url + "/api/session", {})
        seen += body + str(headers).encode()
        plan = json.loads(body)
        mine = [s["token"] for page in plan["pages"] for s in page["stimuli"]]
        mine += [page["reference"] for page in plan["pages"] if page["reference"]]
        tokens += mine
        sizes: Counter[int] = Counter()
        for token in mine:
            wav, headers = ask(f"{url}/audio/{token}")
            sizes[len(wav)] += 1
            seen += str(headers).encode()
        assert len(sizes) == 1  # no length tells them apart
    assert len(set(tokens)) == len(tokens)
    for word in (*NAMES, "anchor", "item0"):
        assert word.encode() not in seen


def test_orders_differ_between_listeners_and_stay_with_each(served):
    """Every listener gets all stimuli, in an order of their own that a reload keeps."""
    method, url, db = served
    plans = [json.loads(ask(url + "/api/session", {})[0]) for _ in range(6)]
    again = json.loads(ask(url + "/api/session", {"session": plans[0]["session"]})[0])
    assert again == plans[0]
    with contextlib.closing(sqlite3.connect(db)) as base:
        rows = base.execute(
            "SELECT session, item, system FROM stimuli WHERE open = 0 ORDER BY session, page, place"
        ).fetchall()
    orders: dict[str, list[tuple[str, str]]] = {}
    for session, item, system in rows:
        orders.setdefault(session, []).append((item, system))
    assert len({tuple(order) for order in orders.values()}) == 6
    stimuli = 5 if method == "mushra" else 3
    assert all(len(set(order)) == len(order) == 3 * stimuli for order in orders.values())


def test_a_rating_is_saved_at_once_changed_and_never_of_somebody_else(served):
    """Out of range, unheard, of another listener's stimulus: refused, and nothing is written."""
    method, url, db = served
    low, high = (0, 100) if method == "mushra" else (1, 5)
    one, two = (json.loads(ask(url + "/api/session", {})[0]) for _ in range(2))
    token = one["pages"][0]["stimuli"][0]["token"]
    good = {"session": one["session"], "token": token, "value": high, "plays": 2}

    def rate(**changes):
        return status(url + "/api/rating", json.dumps(good | changes).encode())

    assert rate() == 204
    assert rate(value=low, plays=3) == 204
    assert rate(value=high + 1) == rate(value=low - 1) == rate(value="x") == 400
    assert rate(plays=0) == rate(value=None) == 400
    assert status(url + "/api/rating", b'{"value": NaN, "plays": 1}') == 400
    assert rate(session=two["session"]) == rate(token="0" * 32) == 400
    with contextlib.closing(sqlite3.connect(db)) as base:
        assert base.execute("SELECT token, value, plays FROM ratings").fetchall() == [
            (token, low, 3)
        ]
    again = json.loads(ask(url + "/api/session", {"session": one["session"]})[0])
    assert again["pages"][0]["stimuli"][0] == {"token": token, "value": low, "plays": 3}


def test_the_server_gives_out_nothing_else(served):
    """No file by path, no endless body, no broken JSON."""
    _, url, _ = served
    for path in ("/../pyproject.toml", "/page.html", "/audio/../r.sqlite", "/audio/", "/r.sqlite"):
        assert status(url + path) == 404
    for body in (b"no json", b"[1]", b"{}" + b" " * 5000):
        assert status(url + "/api/rating", body) == 400
    assert status(url + "/api/other", b"{}") == 404
    assert status(url + "/") == 200


def raw(url, request, closing=False):
    """The status that a request, as bytes, gets; None if the connection ends without one."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(request)
        if closing:
            line.shutdown(socket.SHUT_WR)
        answer = line.makefile("rb").readline().split()
    return int(answer[1]) if answer else None


def post(url, body, *headers, path="/api/rating", length=None, closing=False):
    """POST *body* with `Host` and *headers* as they are."""
    given = [h.partition(":")[0].lower() for h in headers]
    lines = [f"POST {path} HTTP/1.1", *headers]
    if "host" not in given:
        lines.append("Host: 127.0.0.1")
    if length is not False:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return raw(url, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body, closing)


def rating(url, value=3, plays=1):
    """A good rating of a new listener's first stimulus."""
    plan = json.loads(ask(url + "/api/session", {})[0])
    token = plan["pages"][0]["stimuli"][0]["token"]
    return {"session": plan["session"], "token": token, "value": value, "plays": plays}


def count(db):
    with contextlib.closing(sqlite3.connect(db)) as base:
        return base.execute("SELECT count(*) FROM ratings").fetchone()[0]


def test_a_hundred_listeners_at_once_lose_nothing(served):
    """A class begins at one sign: every plan is given, every sound, every rating is stored."""
    _, url, db = served
    sign, faults = threading.Barrier(100), []

    def listener():
        try:
            sign.wait(30)
            line = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
            line.request("POST", "/api/session", b"{}")
            plan = json.loads(line.getresponse().read())
            for stimulus in plan["pages"][0]["stimuli"][:1]:
                line.request("GET", f"/audio/{stimulus['token']}")
                assert line.getresponse().read()[:4] == b"RIFF"
                body = {"session": plan["session"], "token": stimulus["token"]}
                line.request("POST", "/api/rating", json.dumps(body | {"value": 3, "plays": 1}))
                answer = line.getresponse()
                answer.read()
                assert answer.status == 204
            line.close()
        except Exception as error:
            faults.append(repr(error))

    threads = [threading.Thread(target=listener) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    assert count(db) == 100
    with contextlib.closing(sqlite3.connect(db)) as base:
        assert base.execute("SELECT count(*) FROM sessions").fetchone()[0] == 100


HOSTS = {
    "127.0.0.1": True,
    "localhost:8765": True,  # the port of a tunnel is another
    "LOCALHOST": True,
    "[::1]:80": True,
    "192.168.1.7": True,  # nobody can rebind an address
    "evil.example": False,
    "evil.example:8765": False,
    "127.0.0.1.evil.example": False,
    "localhost.evil.example": False,
    "127.0.0.1@evil.example": False,
    "": False,
}


def test_a_name_of_somebody_else_is_refused(served):
    """DNS rebinding: a strange page gives itself our address, but cannot choose its own name."""
    _, url, db = served
    for host, known in HOSTS.items():
        before, body = count(db), json.dumps(rating(url)).encode()
        assert post(url, body, f"Host: {host}") == (204 if known else 403), host
        assert count(db) == before + known
        for path in ("/", "/page.js", "/audio/" + "0" * 32):
            expected = (404 if "audio" in path else 200) if known else 403
            get = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
            assert raw(url, get) == expected, (host, path)


def test_no_host_or_two_are_refused(served):
    """The one that is checked has to be the only one."""
    _, url, db = served
    body = json.dumps(rating(url)).encode()
    assert post(url, body, "Host: 127.0.0.1", "Host: evil.example") == 403
    assert raw(url, b"GET / HTTP/1.1\r\n\r\n") == 403
    assert raw(url, b"GET / HTTP/1.0\r\n\r\n") == 403
    assert count(db) == 0


ORIGINS = {
    "http://127.0.0.1": True,
    "https://127.0.0.1": True,
    "http://evil.example": False,
    "http://127.0.0.1:1": False,
    "http://localhost": False,
    "http://127.0.0.1.evil.example": False,
    "null": False,
    "": False,
}


def test_only_our_own_page_may_rate(served):
    """A browser says which page asks; a form of another one cannot rate for a listener."""
    _, url, db = served
    for origin, ours in ORIGINS.items():
        before, body = count(db), json.dumps(rating(url)).encode()
        assert post(url, body, f"Origin: {origin}") == (204 if ours else 403), origin
        plan = post(url, b"{}", f"Origin: {origin}", path="/api/session")
        assert plan == (200 if ours else 403), origin
        assert count(db) == before + ours


BAD = {
    "nothing": b"",
    "half": b'{"session": ',
    "list": b"[]",
    "word": b"null",
    "not UTF-8": b'{"session": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "deep": b"[" * 4000,
    "deep objects": b'{"a":' * 800,
    "no fields": b"{}",
}
WRONG: dict[str, list[object]] = {
    "value": ["3", None, True, [], {}, float("nan"), float("inf"), 1e300, 10**400, -1, 101, 10**20],
    "plays": ["1", None, True, 1.0, float("nan"), -1, 0, 10**30, []],
    "session": [None, 5, "", "x", "0" * 32, "0" * 31, "\ud800" * 32, "\0" * 32, ["0" * 32]],
    "token": [None, 5, "", "../r.sqlite", "0" * 32, "F" * 32, "' OR 1=1 --", {}],
}


def test_every_malformed_body_is_a_bad_request(served):
    """No JSON, no object, wrong types, NaN, numbers without end, unknown ids: 400, and no row."""
    _, url, db = served
    good = rating(url)
    for name, body in BAD.items():
        assert post(url, body) == 400, name
    for field, values in WRONG.items():
        for value in values:
            body = json.dumps(good | {field: value}).encode()
            assert post(url, body) == 400, (field, value)
        assert post(url, json.dumps({k: v for k, v in good.items() if k != field}).encode()) == 400
    for value in WRONG["session"][1:]:
        expected = 200 if value == "0" * 32 else 400  # of a test that was deleted: a new plan
        assert post(url, json.dumps({"session": value}).encode(), path="/api/session") == expected
    assert count(db) == 0
    assert post(url, json.dumps(good).encode()) == 204


def test_a_wrong_length_is_a_bad_request(served):
    """Too long, too short, no number, twice, in chunks: what follows is never read as a request."""
    _, url, db = served
    body = json.dumps(rating(url)).encode()
    for length in ("x", "-1", "+5", "1_0", "0x10", "1e2", "", "9" * 30, len(body) + 4000, 10**9):
        assert post(url, body, length=length) == 400, length
    assert post(url, body, length=len(body) - 1) == 400
    assert post(url, body, length=len(body) + 1, closing=True) == 400
    assert post(url, body, length=False, closing=True) == 400
    assert post(url, body, f"Content-Length: {len(body)}") == 400
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    assert post(url, chunks, "Transfer-Encoding: chunked", length=False) == 400
    assert post(url, chunks, "Transfer-Encoding: chunked") == 400
    assert count(db) == 0


def test_a_data_base_that_is_gone_is_said(served):
    """The page shows that a rating was not saved; the connection does not just end."""
    _, url, db = served
    good = json.dumps(rating(url)).encode()
    for path in db.parent.glob("r.sqlite*"):
        path.unlink()
    db.write_bytes(b"this is no data base" * 100)
    assert post(url, good) == 503
    assert post(url, b"{}", path="/api/session") == 503
    assert status(url + "/audio/" + "0" * 32) == 503
    assert status(url + "/") == 200


def test_it_listens_on_loopback_unless_told_otherwise():
    """Others take part only if somebody asked for that."""
    parser = argparse.ArgumentParser()
    listen.add_arguments(parser)
    assert ipaddress.ip_address(parser.parse_args([]).host).is_loopback


def test_mutilated_bodies_are_stored_whole_or_refused(served):
    """Any byte of a good rating lost, doubled or changed: 204 or 400, and the server goes on."""
    _, url, db = served
    rng, good = random.Random(15), json.dumps(rating(url)).encode()
    for _ in range(300):
        body = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(body))
            body[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
        assert post(url, bytes(body)) in (204, 400), bytes(body)
    with contextlib.closing(sqlite3.connect(db)) as base:
        low, high = (0, 100) if served[0] == "mushra" else (1, 5)
        for value, plays in base.execute("SELECT value, plays FROM ratings"):
            assert low <= value <= high
            assert plays >= 1
    assert status(url + "/") == 200
