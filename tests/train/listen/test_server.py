"""The server: blind pages, nothing lost, nothing else given out."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import urllib.error
import urllib.request
from collections import Counter

import pytest

from tests.train.listening import NAMES

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
    assert rate(session=two["session"]) == rate(token="0" * 32) == 404
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
