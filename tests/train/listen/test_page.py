"""The page of a listening test, clicked in a real Chromium."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter

import pytest

from train.listen import results

pytest.importorskip("pyloudnorm", reason="loudness needs the eval extra")


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
