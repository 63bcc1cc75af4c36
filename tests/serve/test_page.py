"""The page of a server, in a real Chromium whose microphone is a file."""

from __future__ import annotations

import base64
import os
import shutil
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile as sf

pytest.importorskip("starlette", reason="needs the extra: pip install 'rtdenoise[serve]'")

from rtdenoise.chain.effect import Denoise
from rtdenoise.core.stage import process
from rtdenoise.core.stream import Stream
from rtdenoise.files.scores import score
from rtdenoise.serve import protocol
from rtdenoise.serve.menu import Menu
from rtdenoise.serve.pages import FILES
from rtdenoise.serve.protocol import Hello
from rtdenoise.serve.run import serving
from rtdenoise.serve.seat import Refusal, Seat
from rtdenoise.serve.server import Settings
from tests.sounds import lag

pytestmark = pytest.mark.browser
LONG_MS = 60_000  # a guard against hanging
RATE = 48_000
# The page's own node is kept, so that a test can listen to what is heard.
HOOK = """
const Real = AudioWorkletNode;
window.AudioWorkletNode = class extends Real {
  constructor(...given) { super(...given); window.node ??= this; }
};
"""
RECORD = """async () => {
  const text = `registerProcessor("tape", class extends AudioWorkletProcessor {
    process(inputs) {
      const all = new Float32Array(3 * 128);
      inputs.forEach(([input], at) => { if (input) all.set(input, 128 * at); });
      this.port.postMessage(all);
      return true;
    } })`;
  await node.context.audioWorklet.addModule("data:text/javascript," + encodeURIComponent(text));
  const tape = new AudioWorkletNode(node.context, "tape", { numberOfInputs: 3 });
  window.heard = [];
  tape.port.onmessage = ({ data }) => heard.push(data);
  for (const output of [0, 1, 2]) node.connect(tape, output, output);
}"""
TAKE = """() => {
  const all = new Float32Array(window.heard.flatMap((part) => [...part]));
  window.heard = [];
  const bytes = new Uint8Array(all.buffer), texts = [];
  for (let at = 0; at < bytes.length; at += 8192) {
    texts.push(String.fromCharCode(...bytes.subarray(at, at + 8192)));
  }
  return btoa(texts.join(""));
}"""


@pytest.fixture(scope="module")
def browser(clips, tmp_path_factory):
    """A Chromium whose microphone is the demo's noisy voice."""
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs chromium (make system)")
    audio, rate = sf.read(clips / "noisy.flac")
    file = tmp_path_factory.mktemp("microphone") / "noisy.wav"
    sf.write(file, audio, rate, "PCM_16")
    flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    flags += ["--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={file}"]
    with driver.sync_playwright() as play:
        running = play.chromium.launch(executable_path=chromium, args=flags)
        yield running
        running.close()


@pytest.fixture(scope="module")
def menu(identity):
    """A real model and one that changes nothing."""
    return Menu(["speech-small", identity])


@pytest.fixture(scope="module")
def listener(menu):
    """A server with the page."""
    with serving(menu, Settings(most=2, page=True)) as listener:
        yield listener


@pytest.fixture
def opened(browser):
    """A function that opens the page; no script may fail and nothing come from elsewhere."""
    faults: list[str] = []
    places: set[str] = set()

    def policy(said):
        if "Content Security Policy" in said:
            faults.append(said)

    def open_page(listener, width=1000, permissions=("microphone",), bypass=False):
        at = listener.url.replace("ws:", "http:").removesuffix(protocol.PATH)
        view = {"width": width, "height": 900}
        context = browser.new_context(
            viewport=view, permissions=list(permissions), bypass_csp=bypass
        )
        page = context.new_page()
        page.set_default_timeout(LONG_MS)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: policy(said.text))
        page.on("request", lambda asked: places.add(asked.url.split("/")[2]))
        page.add_init_script(HOOK)
        page.goto(at)
        return page

    yield open_page
    for context in browser.contexts:
        context.close()
    assert faults == []
    assert len({place for place in places if place}) <= 2  # servers of this test


@pytest.fixture
def taped(monkeypatch):
    """What the server got and gave, as blocks."""
    got, gave = [], []
    decoded, take = Hello.decoded, Seat.take

    def decode(hello, message):
        got.append(decoded(hello, message))
        return got[-1]

    def taken(seat, answer):
        if answer.message:
            gave.append(decoded(answer.lane.hello, answer.message))
        take(seat, answer)

    monkeypatch.setattr(Hello, "decoded", decode)
    monkeypatch.setattr(Seat, "take", taken)
    return got, gave


def noted(menu, monkeypatch):
    """A list to which each stream that begins is added, as what its client said."""
    hellos: list[Hello] = []
    lane = menu.lane

    def begin(hello):
        hellos.append(hello)
        return lane(hello)

    monkeypatch.setattr(menu, "lane", begin)
    return hellos


def live(page):
    """Start, and wait for the sound."""
    page.click("#go")
    page.wait_for_selector("body[data-state=live]")
    page.wait_for_selector("#latency:has-text('ms')")


def recorded(page, seconds):
    """What is heard, what was before and after, (n, 3, 128), for some seconds but silence."""
    count = f"() => heard.filter((part) => part.some((x) => x)).length * 128 > {seconds * RATE}"
    page.evaluate("() => { window.heard = []; }")
    page.wait_for_function(count)
    sound = np.frombuffer(base64.b64decode(page.evaluate(TAKE)), np.float32)
    return sound.reshape(-1, 3, 128)


def places(quanta, sound):
    """Where *quanta* (n, 128) are in *sound* (m,), to the last bit of 16; -1: they are not."""

    def steps(x):
        return np.rint(x * 32768).astype(np.int16).tobytes()

    whole = steps(sound)
    return np.array([whole.find(steps(quantum)) // 2 for quantum in quanta])


def test_the_microphone_comes_back_clean_and_whole(
    opened, listener, menu, taped, clips, monkeypatch
):
    """Every frame that the browser sent came back, as `rtdenoise file` cleans it, and is heard."""
    got, gave = taped
    hellos = noted(menu, monkeypatch)
    page = opened(listener, bypass=True)  # for the tape
    live(page)
    page.evaluate(RECORD)
    cleaned = recorded(page, 1.0)
    page.click("#raw")
    recorded(page, 0.3)
    raw = recorded(page, 0.5)
    page.click("#stop")
    page.wait_for_selector("#said:has-text('s came back')")
    page.wait_for_selector("body[data-state=stopped]")
    listener_empty(page, listener)
    sent, back = np.concatenate(got, axis=1), np.concatenate(gave, axis=1)
    if len(hellos) > 1 and os.getloadavg()[0] > 2 * (os.cpu_count() or 1):
        pytest.skip("other programs take so much that the page gave the server up")
    latency = back.shape[1] - sent.shape[1]
    effect = Denoise("speech-small")
    wanted = process(effect.stage(Stream(RATE, 1)), sent)

    assert latency == effect.latency(RATE)
    assert np.abs(back[:, latency:] - wanted).max() < 1e-4
    for tape, played in ((cleaned, back), (raw, sent)):  # what is missing fades at a gap
        loud = [heard for heard, _, _ in tape if heard.any()]
        assert np.mean(places(loud, played[0]) >= 0) > 0.7
    before, after = places(cleaned[:, 1], sent[0]), places(cleaned[:, 2], back[0])
    there = (before > 0) & (after > latency)
    assert np.mean((after - latency == before)[there]) > 0.9
    assert gain_db(sent[0], wanted[0], clips) > 4


def listener_empty(page, listener):
    """Wait until the server has no stream."""
    for _ in range(500):
        if listener.server.empty.is_set():
            return
        page.wait_for_timeout(20)
    raise AssertionError("the stream did not end")


def gain_db(sent, cleaned, clips):
    """How much the SI-SDR rises, as median over pieces of a second; the file is played in loops."""
    noisy, _ = sf.read(clips / "noisy.flac", dtype="float32")
    clean, _ = sf.read(clips / "clean.flac", dtype="float32")
    gains = []
    for at in range(0, len(sent) - RATE, RATE // 2):
        piece = sent[at : at + RATE]
        place = -lag(piece, noisy)
        reference = clean[max(0, place) : max(0, place) + RATE][None]
        if place >= 0 and reference.shape[1] == RATE and np.abs(reference).max() > 0.05:
            both = [score(each[at : at + RATE][None], reference) for each in (sent, cleaned)]
            gains.append(both[1]["SI-SDR dB"] - both[0]["SI-SDR dB"])
    assert len(gains) > 1
    return np.median(gains)


def test_a_break_is_bridged_and_told(opened, listener, menu, monkeypatch):
    """The microphone is heard meanwhile; the page connects again, and says what was lost."""
    hellos = noted(menu, monkeypatch)
    server = listener.server
    page = opened(listener)
    live(page)
    seats = list(server._seats.values())
    ends = Refusal(protocol.RESTARTS, "this server ends", "draining")
    server._loop.call_soon_threadsafe(seats[0].refuse, ends)
    page.wait_for_selector("body[data-state=away]")
    assert "this server ends" in page.inner_text("#said")
    page.wait_for_selector("body[data-state=live]")
    page.wait_for_selector("#counts .some:has-text('breaks') dd:has-text('1')")
    page.wait_for_selector("#counts .some:has-text('lost')")
    page.select_option("#model", menu.names[1])
    page.wait_for_selector(f"#about:has-text('{menu.names[1]}')")
    page.click("#stop")
    listener_empty(page, listener)

    assert hellos[1].resume is not None
    assert [hello.model for hello in hellos] == [None, None, menu.names[1]]


def test_refusals_are_told(opened, menu):
    """A token that is wanted can be given; a server that is full is asked again."""
    with serving(menu, Settings(most=1, page=True, tokens=("secret",))) as listener:
        page = opened(listener)
        assert not page.locator("#token").is_visible()
        page.click("#go")
        page.wait_for_selector("#trouble:has-text('token')")
        page.fill("#token", "secret")
        page.keyboard.press("Enter")
        page.wait_for_selector("body[data-state=live]")
        other = opened(listener)
        other.evaluate("() => { document.querySelector('#secret').hidden = false; }")
        other.fill("#token", "secret")
        other.click("#go")
        other.wait_for_selector("body[data-state=away]")
        assert "Trying again in 5.0 s" in other.inner_text("#said")
        other.click("#stop")
        other.wait_for_selector("body[data-state=stopped]")


def test_without_a_microphone(opened, listener):
    """The page says what is in the way, and can be started again."""
    page = opened(listener, permissions=())
    page.click("#go")
    page.wait_for_selector("#trouble:has-text('does not allow this page')")
    assert page.locator("#go").is_enabled()


def test_by_keyboard_on_a_phone(opened, listener):
    """At 360 px nothing is cut off; every control is reached by Tab, has a name and a ring."""
    page = opened(listener, 360)
    page.locator("#go").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-state=live]")
    wide = """() => [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility()
        && !e.closest('.bar, .hidden') && e.getBoundingClientRect().right > 360.5)
        .map((e) => e.outerHTML.slice(0, 80))"""
    page.wait_for_selector("#counts dd")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate(wide) == []
    seen = {}
    for _ in range(12):
        page.keyboard.press("Tab")
        name, ring, label = page.evaluate(
            """() => { const e = document.activeElement, s = getComputedStyle(e);
            const labels = [...(e.labels || [])].map((l) => l.textContent).join(' ');
            return [e.id, s.outlineStyle !== 'none',
                e.getAttribute('aria-label') || labels || e.textContent.trim()]; }"""
        )
        if name:
            seen[name] = ring and label
    assert {"stop", "raw", "model", "mix-value", "mix-value-bar"} <= set(seen)
    assert all(seen.values())
    page.locator("#stop").focus()
    page.keyboard.press("Space")
    page.wait_for_selector("body[data-state=stopped]")
    listener_empty(page, listener)


def test_nothing_but_the_page_is_served(listener, menu):
    """Its files with their policy; no other file of the folder or of the machine."""
    for name in FILES:
        status, headers = asked(listener, name)
        assert status == 200
        assert "default-src 'none'" in headers["Content-Security-Policy"]
    for name in ("server.py", "../server.py", "%2e%2e/errors.py", "page.html"):
        assert asked(listener, name)[0] == 404
    with serving(menu, Settings(most=1)) as without:
        assert asked(without, "")[0] == 404


def asked(listener, name):
    """The status and the headers of an answer."""
    connection = HTTPConnection(urlsplit(listener.url).netloc, timeout=30)
    with closing(connection):
        connection.request("GET", f"/{name}")
        answer = connection.getresponse()
        return answer.status, answer.headers
