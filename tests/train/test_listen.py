"""The listening test: equal sounds, blind pages, nothing lost, honest statistics."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import urllib.error
import urllib.request
from collections import Counter

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.errors import UsageError
from tests.train.listening import NAMES, RATE, sound
from train.cli import main
from train.listen import results
from train.listen.results import Rating
from train.listen.stimuli import prepare
from train.listen.store import Store

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


def test_stimuli_are_equally_loud_and_never_clip(folders):
    """ITU-R BS.1770 at one value for all of an item; peaks stay below full scale."""
    import io

    import pyloudnorm

    peaky = sound(7) * 0.02
    peaky[:8000:400] = 0.9  # loudness would ask for a gain above one
    sf.write(folders / NAMES[0] / "item1.wav", peaky, RATE, "FLOAT")
    test = prepare(folders / "clean", {n: folders / n for n in NAMES}, 3, (3500.0,))
    assert test.systems == ("reference", *NAMES, "anchor 3.5 kHz")
    formats = set()
    for item in test.items:
        sounds = [sf.read(io.BytesIO(test.wavs[item, s])) for s in test.systems]
        meter = pyloudnorm.Meter(RATE)
        lufs = [meter.integrated_loudness(x) for x, _ in sounds]
        assert np.ptp(lufs) < 0.1
        assert max(np.abs(x).max() for x, _ in sounds) < 1
        assert max(lufs) < -22.9
        formats |= {(len(x), x.shape, rate) for x, rate in sounds}
    assert len(formats) == 1


def test_anchors_are_low_passed_references(folders):
    """Nothing above the cut-off, the same below, no delay."""
    from train.listen.stimuli import lowpass

    x = sound(0)[None]
    power = [np.abs(np.fft.rfft(s[0])) ** 2 for s in (x, lowpass(x, RATE, 3500.0))]
    hz = np.fft.rfftfreq(x.shape[1], 1 / RATE)
    assert power[1][hz > 3700].sum() < 1e-3 * power[0][hz > 3700].sum()
    assert power[1][hz < 3300].sum() == pytest.approx(power[0][hz < 3300].sum(), rel=0.01)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda f: (f / NAMES[0] / "item1.wav").unlink(), "no item1 in"),
        (lambda f: sf.write(f / NAMES[0] / "item0.wav", sound(0), 8000), "8000 Hz"),
        (lambda f: sf.write(f / NAMES[0] / "item0.wav", sound(0, 1.0), RATE), "16000 samples"),
        (lambda f: sf.write(f / NAMES[0] / "item0.wav", 0 * sound(0), RATE), "is silent"),
        (lambda f: (f / NAMES[0] / "item0.wav").write_bytes(b"x"), "not a sound file"),
        (lambda f: shutil.rmtree(f / NAMES[0]), "no item0 in"),
        (lambda f: shutil.rmtree(f / "clean"), "no such folder"),
    ],
)
def test_files_that_make_no_test_are_one_error_before_serving(folders, break_it, message, capsys):
    """Not in the middle of a listener's session."""
    break_it(folders)
    args = ["listen", "--reference", str(folders / "clean"), "--db", str(folders / "r.sqlite")]
    assert main([*args, "--systems", *(f"{n}={folders / n}" for n in NAMES)]) == 2
    assert message in capsys.readouterr().err


def test_a_late_system_is_told(folders):
    """Switching between stimuli that are not aligned skips: 20 ms are heard."""
    late = np.pad(sound(0), (320, 0))[: len(sound(0))]
    sf.write(folders / NAMES[0] / "item0.wav", late, RATE, "FLOAT")
    test = prepare(folders / "clean", {n: folders / n for n in NAMES}, 3)
    assert test.warnings == [
        f"item0 of {NAMES[0]} comes 20 ms late: switching between stimuli will skip"
    ]


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


def test_ratings_of_other_sounds_are_not_mixed(folders):
    """A data base belongs to one set of sounds and one method; the same may go on."""
    systems = {name: folders / name for name in NAMES}
    test = prepare(folders / "clean", systems, 3)
    db = folders / "r.sqlite"
    first = Store(db, "t", "acr", test)
    assert Store(db, "t", "acr", prepare(folders / "clean", systems, 3)).id == first.id
    for method, items in (("mushra", 3), ("acr", 2)):
        with pytest.raises(UsageError, match="another test"):
            Store(db, "t", method, prepare(folders / "clean", systems, items))
    (folders / "no.sqlite").write_bytes(b"this is no data base" * 100)
    with pytest.raises(UsageError, match=r"no\.sqlite"):
        Store(folders / "no.sqlite", "t", "acr", test)


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
                assert store.rate(plan["session"], token, value, 1)
    assert main([*args, "--csv", str(folders / "all.csv")]) == 0
    out = capsys.readouterr().out
    assert "2 listeners, 24 ratings" in out
    assert "hidden reference below 90 on 3 of 3 items" in out
    everybody, kept = out.split("Without them (1 listeners):")
    assert "| reference | 55.0 |" in everybody
    assert "| reference | 100.0 |" in kept
    assert len((folders / "all.csv").read_text().splitlines()) == 25


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "wanted --systems"),
        (["--results", "/nowhere.sqlite"], "no ratings"),
        (["--systems", "a=/nowhere", "--reference", "/nowhere"], "no such folder"),
        (["--systems", "a=/x", "--reference", "/", "--anchors", "low"], "--anchors low"),
    ],
)
def test_wrong_flags_are_one_line(flags, message, capsys):
    """As everywhere."""
    assert main(["listen", *flags]) == 2
    assert message in capsys.readouterr().err
