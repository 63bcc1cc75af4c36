"""The listening test: equal sounds, blind pages, nothing lost, honest statistics."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import threading
import urllib.error
import urllib.request
from collections import Counter

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.errors import UsageError
from train.__main__ import main
from train.listen import results
from train.listen.results import Rating
from train.listen.server import serve
from train.listen.stimuli import prepare
from train.listen.store import Store

pytest.importorskip("pyloudnorm", reason="loudness needs the eval extra")

RATE = 16_000
NAMES = ("secretsystem", "othersystem")


def sound(seed, seconds=1.5):
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    x = rng.standard_normal(n) * (1 + np.sin(2 * np.pi * 3 * np.arange(n) / RATE))
    return (0.05 * x).astype(np.float32)


@pytest.fixture
def folders(tmp_path):
    """Three items of two systems, at levels of their own."""
    for folder, gain in (("clean", 1.0), (NAMES[0], 0.1), (NAMES[1], 4.0)):
        (tmp_path / folder).mkdir()
        for item in range(3):
            x = gain * sound(item) + (folder != "clean") * 0.02 * sound(50 + item)
            sf.write(tmp_path / folder / f"item{item}.wav", x, RATE, "FLOAT")
    return tmp_path


@contextlib.contextmanager
def running(store, test):
    server = serve(store, test, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(params=["mushra", "acr"])
def served(folders, request):
    systems = {name: folders / name for name in NAMES}
    anchors = (3500.0, 7000.0) if request.param == "mushra" else ()
    test = prepare(folders / "clean", systems, 3, anchors)
    store = Store(folders / "r.sqlite", "A & B <test>", request.param, test)
    with running(store, test) as url:
        yield request.param, url, folders / "r.sqlite"


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


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser():
    """A real Chromium, without a window and without a sound card."""
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs chromium (make system)")
    with driver.sync_playwright() as play:
        flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


def begin(browser, url):
    page = browser.new_context().new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(url)
    page.click("#begin")
    page.wait_for_selector("h2:has-text(' 1 of ')")
    return page, faults


def rate_page(page, method, value):
    """Play everything on the page, rate it; `value` of a slider's place."""
    if method == "acr":
        page.click("#play")
        page.click(f".votes label:nth-child({value(0)})")
        return
    rows = page.locator(".stimulus")
    for place in range(rows.count()):
        row = rows.nth(place)
        row.locator("button").click()
        row.locator("input").fill(str(value(place)))
        row.locator("input").dispatch_event("change")


def count(db):
    with contextlib.closing(sqlite3.connect(db)) as base:
        return base.execute("SELECT count(*) FROM ratings").fetchone()[0]


@pytest.mark.browser
def test_a_listener_rates_everything_and_a_reload_loses_nothing(browser, served):
    """Unplayed cannot be rated; after a reload in the middle the same page comes with its marks."""
    method, url, db = served
    page, faults = begin(browser, url)
    one = page.locator(".stimulus input, .votes input").first
    assert one.is_disabled()
    assert page.locator("#next").is_disabled()
    pages, each = (3, 5) if method == "mushra" else (9, 1)
    value = (lambda place: 10 * place + 3) if method == "mushra" else (lambda place: 4)
    for number in range(pages):
        page.wait_for_selector(f"h2:has-text(' {number + 1} of ')")
        rate_page(page, method, value)
        page.wait_for_function("() => !document.querySelector('#next').disabled")
        assert count(db) == (number + 1) * each
        if number == 1:
            page.reload()
            assert page.locator("#begin").inner_text() == "Go on"
            page.click("#begin")
            page.wait_for_selector("h2:has-text(' 3 of ')")
            page.click("#back")
            page.wait_for_selector("h2:has-text(' 2 of ')")
            if method == "mushra":
                shown = page.locator(".stimulus output").all_inner_texts()
                assert shown == ["3", "13", "23", "33", "43"]
            else:
                assert page.locator(".votes input[value='4']").is_checked()
            assert "secretsystem" not in page.content()
        page.click("#next")
    page.wait_for_selector("h2:has-text('Thank you')")
    assert count(db) == pages * each
    assert faults == []
    _, _, ratings = results.read(db)
    assert Counter(r.system for r in ratings)["reference"] == 3
    assert min(r.plays for r in ratings) >= 1


@pytest.mark.browser
def test_two_listeners_at_once(browser, served):
    """Each sees and saves their own, in their own order."""
    method, url, db = served
    two = [begin(browser, url)[0] for _ in range(2)]
    for number, page in enumerate(two):
        rate_page(page, method, lambda place, n=number: 1 + 2 * n)
    for page in two:
        page.wait_for_function("() => !document.querySelector('#next').disabled")
    _, _, ratings = results.read(db)
    values: dict[str, set[float]] = {listener: set() for listener in {r.listener for r in ratings}}
    for r in ratings:
        values[r.listener].add(r.value)
    assert sorted(map(sorted, values.values())) == [[1.0], [3.0]]


@pytest.mark.browser
def test_keys_play_and_rate(browser, served):
    """Everything can be done without a mouse."""
    method, url, db = served
    page, _ = begin(browser, url)
    if method == "acr":
        page.keyboard.press(" ")
        page.wait_for_function("() => !document.querySelector('.votes').disabled")
        page.keyboard.press("2")
    else:
        page.keyboard.press("3")
        page.wait_for_selector(".stimulus:nth-child(3) button.on")
        page.locator(".stimulus:nth-child(3) input").focus()
        page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('#bar')")
    for _ in range(100):
        if count(db):
            break
        page.wait_for_timeout(20)
    assert [r.value for r in results.read(db)[2]] == [2.0 if method == "acr" else 51.0]
