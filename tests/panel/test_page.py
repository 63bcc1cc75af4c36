"""The page of the panel, used in a real Chromium on runs between files."""

from __future__ import annotations

import os
import signal
import tomllib

import pytest
import soundfile as sf
from pedalboard import Gain, Reverb

from rtdenoise.chain.board import Board
from rtdenoise.live import presets
from rtdenoise.live.control import Control
from rtdenoise.live.hosts import Host
from rtdenoise.live.live import Live
from rtdenoise.live.tapfile import tap_folder

pytestmark = pytest.mark.browser
LONG_MS = 40_000  # a guard against hanging: a run starts in a few seconds


@pytest.fixture
def opened(browser, panel):
    """A function that opens the page; no script may fail and nothing come from elsewhere."""
    faults: list[str] = []
    places: set[str] = set()

    def open_page(width=1280, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        page = context.new_page()
        page.set_default_timeout(LONG_MS)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())
        page.on("request", lambda asked: places.add(asked.url))
        page.goto(panel.url)
        return page

    yield open_page
    for context in browser.contexts:
        context.close()
    assert faults == []
    assert all(place.startswith((panel.url, "data:")) for place in places)


def shown(page, pid=None):
    """Wait until the page shows the run with its board."""
    page.wait_for_selector(f"body[data-ready='{pid or os.getpid()}']", state="attached")
    page.wait_for_selector("#pill:has-text('running')")
    page.wait_for_selector("#e-1")
    return page


def until(page, what):
    """Wait until something of the run holds."""
    for _ in range(1500):
        if what():
            return
        page.wait_for_timeout(20)
    raise AssertionError("it did not come to hold")


def drag(page, place, share):
    """Move a slider."""
    page.locator(place).evaluate(
        "(bar, share) => { bar.value = share; bar.dispatchEvent(new Event('input')); }", share
    )


def test_the_strength_is_set_and_shown(opened, live):
    """Bypass, residual, mix and limit reach the run, and the page shows what the run has."""
    page = shown(opened())
    for name in ("bypass", "residual"):
        page.click(f"#{name}")
        page.wait_for_selector(f"#{name}[aria-pressed=true]")
        assert getattr(live, name)
    page.wait_for_selector("#pill:has-text('bypassed')")
    drag(page, "#mix-value-bar", 0.25)
    until(page, lambda: live.mix == 25)
    page.fill("#mix-value", "60")
    page.keyboard.press("Enter")
    until(page, lambda: live.mix == 60)
    page.fill("#mix-value", "600")
    page.keyboard.press("Enter")
    page.wait_for_selector("#trouble:has-text('0 (only the input) to 100')")
    page.wait_for_function("() => document.querySelector('#mix-value').value === '60'")
    page.uncheck("#limit-value-none")
    until(page, lambda: live.atten_lim_db is not None)
    drag(page, "#limit-value-bar", 0.12)
    until(page, lambda: live.atten_lim_db == 12)
    live.mix = 33  # by another program
    page.wait_for_function("() => document.querySelector('#mix-value').value === '33'")


def test_the_board_is_edited(opened, live, folder):
    """Every kind of parameter; up, remove, add, within another; to a file and back."""
    page = shown(opened())
    drag(page, "#k-2-ratio-bar", 0.5)
    until(page, lambda: live.effect[1].ratio > 5)
    page.fill("#k-4-1-threshold_db", "-30")
    page.keyboard.press("Tab")
    until(page, lambda: live.effect[3].inner[0].threshold_db == -30)
    page.select_option("#k-3-mode", "HPF24")
    until(page, lambda: live.effect[2].mode.name == "HPF24")
    page.check("#k-1-residual")
    until(page, lambda: live.effect[0].residual)

    page.click("#e-3-up")
    page.wait_for_selector("#e-2:has-text('LadderFilter')")
    until(page, lambda: live.board == ["Denoise", "LadderFilter", "Compressor", "Mix"])
    assert live.effect[1].mode.name == "HPF24"
    page.click("#e-1-remove")
    until(page, lambda: live.board == ["LadderFilter", "Compressor", "Mix"])
    page.wait_for_selector("#e-3:has-text('Mix')")
    page.select_option("#kind", "Gain")
    page.select_option("#where", "3")
    page.click("#add button")
    page.wait_for_selector("#e-3-2:has-text('Gain')")
    page.select_option("#where", "")
    page.select_option("#kind", "DryWet")
    page.click("#add button")
    until(page, lambda: live.board == ["LadderFilter", "Compressor", "Mix", "DryWet"])
    page.wait_for_selector("#e-4-1:has-text('Gain')")
    page.select_option("#kind", "module:Class")
    page.fill("#needs input", "nosuch:Effect")
    page.click("#add button")
    page.wait_for_selector("#trouble:has-text('nosuch')")

    file = folder / "call.toml"
    page.fill("#board-path", str(file))
    page.click("#save")
    page.wait_for_selector("#kept:has-text('call.toml')")
    assert [one["type"] for one in tomllib.loads(file.read_text())["effect"]] == live.board
    file.write_text("[[effect]]\ntype = 'Reverb'\n")
    page.click("#load")
    until(page, lambda: live.board == ["Reverb"])
    page.wait_for_selector("#k-1-room_size")


def test_a_setting_that_needs_a_new_effect(opened, live):
    """A lookahead cannot be set in a plugin that runs: the board is made anew."""
    page = shown(opened())
    page.select_option("#kind", "BrickwallLimiter")
    page.click("#add button")
    page.fill("#k-5-lookahead_ms", "2.5")
    page.keyboard.press("Enter")
    until(page, lambda: round(live.effect[-1].lookahead_ms, 3) == 2.5)
    page.select_option("#k-1-model", "speech-small")
    until(page, lambda: live.effect[0].net.card.name == "speech-small")
    page.select_option("#model", "speech-small")
    until(page, lambda: live.model == "speech-small")
    page.wait_for_selector("#model-about:has-text('noise')")


def test_what_is_kept(opened, live, folder):
    """A recording, a mark with its seconds, and a preset; the page says where they are."""
    page = shown(opened())
    page.fill("#record-path", str(folder / "talk.flac"))
    page.click("#record button")
    page.wait_for_selector("#recording:has-text('talk.flac')")
    until(page, lambda: (live.recording or {}).get("seconds", 0) > 0)
    page.click("#record button:has-text('End')")
    page.wait_for_selector("#record button:text-is('Record')")
    assert sf.info(folder / "talk.flac").frames > 0
    page.fill("#preset", "call")
    page.click("#store button")
    page.wait_for_selector("#trouble:has-text('save the board first')")
    page.fill("#board-path", str(folder / "call.toml"))
    page.click("#save")
    page.wait_for_selector("#kept:has-text('board is in')")
    page.click("#store button")
    page.wait_for_selector("#kept:has-text('preset is in')")
    assert presets.load("call")["board"] == str(folder / "call.toml")
    page.fill("#mark-text", "it crackled")
    page.click("#mark button")
    page.wait_for_selector("#events:has-text('mark: it crackled')")
    page.wait_for_selector("#kept:has-text('rtdenoise-flight')")


def test_the_pictures_show_the_run(opened, live):
    """Meters, both spectra, the histogram and the latency have what the run reports."""
    page = shown(opened())
    page.wait_for_function(
        "() => document.querySelector('.meter output').textContent.endsWith('dB')"
    )
    peak = float(page.inner_text(".meter output").split()[0])
    assert peak == pytest.approx(-14, abs=0.5)  # of noise up to 0.2
    loud = """(id) => { const c = document.getElementById(id), t = c.getContext('2d');
        return t.getImageData(c.width - 1, c.height / 2, 1, 1).data[0] > 60; }"""
    for name in ("before", "after"):
        page.wait_for_function(loud, arg=name)
    page.wait_for_selector("#calls-text:has-text('of the last')")
    total = sum(ms or 0 for ms in live.latency_ms.values())
    assert page.inner_text("#latency") == f"{total:.1f} ms"
    assert "clipped" in page.inner_text("#counts")


def test_a_reload_in_the_middle_and_two_tabs(opened, live):
    """The page keeps nothing of its own: each tab shows what the run has, whoever changed it."""
    one, two = shown(opened()), shown(opened())
    one.fill("#k-2-threshold_db", "-25")
    one.keyboard.press("Enter")
    two.wait_for_function("() => document.querySelector('#k-2-threshold_db').value === '-25'")
    two.click("#bypass")
    one.wait_for_selector("#bypass[aria-pressed=true]")
    one.reload()
    one.wait_for_selector("#bypass[aria-pressed=true]")
    one.wait_for_function("() => document.querySelector('#k-2-threshold_db')?.value === '-25'")
    two.click("#e-2-remove")
    one.wait_for_selector("#e-2:has-text('LadderFilter')")
    one.click("#bypass")
    two.wait_for_selector("#bypass[aria-pressed=false]")


def test_by_keyboard_alone(opened, live):
    """Every control is reached by Tab, has a name and a ring, and works."""
    page = shown(opened())
    page.locator("#bypass").focus()
    page.keyboard.press("Space")
    until(page, lambda: live.bypass)
    seen, names = set(), {}
    for _ in range(200):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """() => { const e = document.activeElement, s = getComputedStyle(e);
            const labels = [...(e.labels || [])].map((l) => l.textContent).join(' ');
            return [e.id || e.outerHTML.slice(0, 60), s.outlineStyle !== 'none',
                e.getAttribute('aria-label') || labels || e.textContent.trim()]; }"""
        )
        if found[0] in seen:
            break
        seen.add(found[0])
        names[found[0]] = found[1:]
    faults = {name: about for name, about in names.items() if not all(about)}
    assert not {name: about for name, about in faults.items() if "<body" not in name}
    every = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select')]
        .filter((e) => e.checkVisibility() && !e.matches(':disabled')).map((e) => e.id || '')"""
    )
    assert {name for name in every if name} <= seen
    page.locator("#k-2-ratio-bar").focus()
    before = live.effect[1].ratio
    page.keyboard.press("ArrowRight")
    until(page, lambda: live.effect[1].ratio > before)
    page.locator("#e-2-down").focus()
    page.keyboard.press("Enter")
    until(page, lambda: live.board[2] == "Compressor")
    page.wait_for_function("() => document.activeElement.id === 'e-3-down'")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(opened, live, scheme):
    """At 360 px nothing is cut off or scrolled sideways, in both schemes; contrast suffices."""
    page = shown(opened(360, color_scheme=scheme, reduced_motion="reduce"))
    wide = """() => [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility()
        && !e.closest('.bar, .hidden') && e.getBoundingClientRect().right > 360.5)
        .map((e) => e.outerHTML.slice(0, 80))"""
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate(wide) == []
    colours = """(place) => { const s = getComputedStyle(document.querySelector(place));
        const of = (text) => text.match(/[0-9.]+/g).slice(0, 3).map(Number);
        const card = getComputedStyle(document.querySelector('section'));
        return [of(s.color), of(card.backgroundColor)]; }"""
    for place in (".soft", "h2", "#bypass", "#pill", "dt"):
        ink, ground = page.evaluate(colours, place)
        assert contrast(ink, ground) >= 4.5, place


def contrast(one, two):
    """The ratio of WCAG 2 between two colours."""

    def light(colour):
        parts = [c / 255 for c in colour]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one), light(two)))
    return (high + 0.05) / (low + 0.05)


def test_a_run_that_comes_goes_and_comes_back(opened, panel, noise):
    """An open page shows it by itself; when the panel is over, it says that it shows old values."""
    page = opened()
    page.wait_for_selector("#pill:has-text('no run')")
    for effect in (Gain(-6), Reverb()):
        with Live(f"file:{noise}", "null", Board([effect])) as live, Control(live):
            page.wait_for_selector(f"#e-1:has-text('{type(effect).__name__}')")
            page.wait_for_selector("#pill:has-text('running')")
        page.wait_for_selector("#gone:has-text('is gone')")
        assert not page.locator("#strength").is_visible()
    panel.desk.closed = True
    page.wait_for_selector("#about:has-text('old')")


@pytest.mark.slow
def test_a_run_is_started_killed_and_started_again(opened, panel, folder, noise):
    """From the page, between files; what was killed is told, and another run is shown by itself."""
    (folder / "gain.toml").write_text("[[effect]]\ntype = 'Gain'\n")
    page = opened()
    page.wait_for_selector("#pill:has-text('no run')")
    page.select_option("#in", "file:")
    page.fill("#in-file", str(folder / "nosuch.wav"))
    page.select_option("#out", "null")
    page.select_option("#with", "board")
    page.fill("#with-file", str(folder / "gain.toml"))
    page.click("#go")
    page.wait_for_selector("#gone:has-text('exit code 1')")
    page.wait_for_selector("#printed[open] pre:has-text('nosuch.wav')")

    page.fill("#in-file", str(noise))
    page.click("#go")
    page.wait_for_selector("#pill:has-text('running')")
    child = panel.desk.child
    assert child is not None
    shown(page, child.pid)
    with Host(child.pid) as host:
        assert host.ask("status")["board"] == ["Gain"]
    os.kill(child.pid, signal.SIGKILL)
    page.wait_for_selector("#gone:has-text('was killed (signal 9)')")
    assert not page.locator("#strength").is_visible()
    page.reload()
    page.wait_for_selector("#gone:has-text('was killed (signal 9)')")
    page.click("#again")
    page.wait_for_selector("#pill:has-text('running')")
    again = panel.desk.child
    assert again is not None
    assert again.pid != child.pid
    shown(page, again.pid)
    page.click("#stop")
    page.wait_for_selector("#gone:has-text('was stopped')")
    assert again.summary()["code"] == 0
    for left in tap_folder().glob(f"rtdenoise-{child.pid}-*"):  # memory, which it cannot free
        left.unlink(missing_ok=True)
