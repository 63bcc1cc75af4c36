"""Statistics of ratings, and listeners who are left out."""

from __future__ import annotations

import contextlib
import sqlite3

import numpy as np
import pytest

from tests.train.listening import NAMES
from train.cli import main
from train.listen import results
from train.listen.results import Rating
from train.listen.stimuli import prepare
from train.listen.store import Store

pytest.importorskip("pyloudnorm", reason="loudness needs the eval extra")


def rated(values, method_items=10):
    """Ratings of {listener: {system: value or function of the item}}."""
    return [
        Rating(listener, f"i{item}", system, value(item) if callable(value) else value, 1)
        for listener, systems in values.items()
        for item in range(method_items)
        for system, value in systems.items()
    ]


def test_listeners_who_miss_the_hidden_reference_are_flagged():
    """BS.1534-3: below 90 on more than 15 % of the items; two of ten is more, one is not."""
    ratings = rated(
        {
            "careful": {"reference": 100, "a": 40},
            "once": {"reference": lambda i: 80 if i == 0 else 95, "a": 40},
            "twice": {"reference": lambda i: 80 if i < 2 else 95, "a": 40},
        }
    )
    assert results.failed(ratings, "mushra") == {
        "twice": "hidden reference below 90 on 2 of 10 items"
    }
    ratings = rated({"good": {"reference": 5, "a": 2}, "turned": {"reference": 2, "a": 4}})
    assert list(results.failed(ratings, "acr")) == ["turned"]


def test_means_and_intervals_of_ratings():
    """Known answers: constants have no width; more listeners narrow what listeners spread."""
    ratings = rated({"x": {"reference": 5, "a": 3}, "y": {"reference": 5, "a": 3}})
    text = results.summary(ratings, ["a", "reference"], "acr")
    rows = [[c.strip() for c in line.split("|")[1:5]] for line in text.splitlines()[2:]]
    assert rows == [
        ["reference", "5.00", "[5.00, 5.00]", "20"],
        ["a", "3.00", "[3.00, 3.00]", "20"],
    ]
    widths = []
    for listeners in (4, 40):
        bias = np.linspace(-10, 10, listeners)[:, None]
        low, high = results.interval(50 + bias + np.zeros((listeners, 8)))
        assert low < 50 < high
        widths.append(high - low)
    assert widths[1] < 0.5 * widths[0]
    # Eight ratings of each of four listeners are not 32 listeners: those would have a width of 5.
    assert widths[0] > 10


def test_results_print_all_and_without_the_flagged(folders, capsys):
    """Both tables, who was left out and why, and a CSV."""
    test = prepare(folders / "clean", {n: folders / n for n in NAMES}, 3, (3500.0,))
    store = Store(folders / "r.sqlite", "t", "mushra", test)
    args = ["listen", "--results", str(folders / "r.sqlite")]
    assert main(args) == 2
    assert "nobody has rated" in capsys.readouterr().err
    for reference in (100, 10):
        plan = store.session(None, "")
        with contextlib.closing(sqlite3.connect(store.path)) as db:
            known = dict(
                db.execute(
                    "SELECT token, system FROM stimuli WHERE session = ?", (plan["session"],)
                ).fetchall()
            )
        for page in plan["pages"]:
            for stimulus in page["stimuli"]:
                token = stimulus["token"]
                value = reference if known[token] == "reference" else 50
                store.rate(plan["session"], token, value, 1)
    assert main([*args, "--ratings", str(folders / "all.csv")]) == 0
    out = capsys.readouterr().out
    assert "2 listeners, 24 ratings" in out
    assert "hidden reference below 90 on 3 of 3 items" in out
    everybody, kept = out.split("Without them (1 listeners):")
    assert "| reference | 55.0 |" in everybody
    assert "| reference | 100.0 |" in kept
    assert len((folders / "all.csv").read_text().splitlines()) == 25
