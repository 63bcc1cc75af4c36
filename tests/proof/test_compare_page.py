"""The page of a comparison, used in a real Chromium."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from rtdenoise.core.loudness import integrated
from rtdenoise.proof import compare, compare_page
from rtdenoise.proof.compare import Part, Version, as_recorded
from tests.conftest import CLIPS
from tests.sounds import read

pytestmark = pytest.mark.browser
RATE = 48_000
NAMES = ("secretnet.pt", "secretboard.toml")


@dataclass
class Opened:
    """A page in a tab, and what went wrong in it."""

    page: Any
    faults: list[str]

    def js(self, code):
        return self.page.evaluate(code)

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def buffers(self):
        """What the page decoded, (channels, samples) each."""
        code = """() => player.buffers.map((b) => [...Array(b.numberOfChannels).keys()].map((c) => {
          const raw = new Uint8Array(b.getChannelData(c).buffer); let s = "";
          for (let i = 0; i < raw.length; i += 8192)
            s += String.fromCharCode(...raw.subarray(i, i + 8192));
          return btoa(s); }))"""
        decoded = [[base64.b64decode(row) for row in rows] for rows in self.js(code)]
        return [np.array([np.frombuffer(r, np.float32) for r in rows]) for rows in decoded]

    def wait(self, code):
        """Until it is true; Playwright's own wait needs what the page's policy forbids."""
        for _ in range(3000):
            if self.js(code):
                return
            self.page.wait_for_timeout(10)
        pytest.fail(f"never true: {code}")

    def playing(self):
        self.wait("player.nodes !== null && player.place > player.offset + 0.05")


def sound():
    """A voice in rain, louder on the left."""
    voice = read(CLIPS / "noisy.flac")[:, : 3 * RATE]
    return np.repeat(voice, 2, 0) * np.array([[1.0], [0.5]], np.float32)


def made(folder):
    """A page of two channels, an input and two versions of other levels."""
    audio = sound()
    part = Part("my <talk>.wav", audio, RATE, 0.0, 10.5)
    kinds = zip(NAMES, ("model", "board"), (0.25 * audio, 0.8 * np.roll(audio, 7, 1)), strict=True)
    versions = [Version(n, kind, a, integrated(a, RATE)) for n, kind, a in kinds]
    commands = {name: f"rtdenoise live -m {name}" for name in NAMES}
    path = folder / "a.html"
    page = compare_page.make_page(part, [as_recorded(part), *versions], commands)
    path.write_bytes(page.html)
    return path


@pytest.fixture(scope="module")
def lossless(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "installed", lambda: False)
        return made(tmp_path_factory.mktemp("flac"))


@pytest.fixture(scope="module")
def lossy(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "installed", lambda: False)
        patch.setattr(compare_page, "LOSSLESS_BYTES", 0)
        return made(tmp_path_factory.mktemp("vorbis"))


def opened(browser, path, **settings):
    page, faults = browser.new_context(**settings).new_page(), []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    page.on("request", lambda asked: faults.append(asked.url[:80]) if asked.url[:5] not in
            ("file:", "data:") else None)  # fmt: skip
    page.goto(path.as_uri())
    page.wait_for_selector("#versions button")
    return Opened(page, faults)


@pytest.fixture
def here(browser, lossless):
    one = opened(browser, lossless)
    yield one
    assert one.faults == []
    one.page.context.close()


@pytest.fixture(params=["lossless", "lossy"])
def either(request, browser):
    one = opened(browser, request.getfixturevalue(request.param))
    yield one, request.param
    assert one.faults == []
    one.page.context.close()


def test_names_are_hidden_until_they_are_asked_for(here):
    """In all that the document holds; then the table, the pictures and the buttons have them."""
    assert here.page.locator("#versions button").all_inner_texts() == ["A", "B", "C"]
    here.press("2")
    here.playing()
    for name in NAMES:
        assert name not in here.page.content()
    assert here.page.locator("h1").inner_text() == "my <talk>.wav"
    here.page.click("#reveal")
    for name in NAMES:
        assert here.page.locator(f"#versions button:has-text('{name}')").count() == 1
        assert here.page.locator(f"tbody th:has-text('{name}')").count() == 1
        assert here.page.locator(f".picture img[alt='Spectrogram of {name}']").count() == 1
    assert here.page.locator("tbody tr").count() == 3


def test_all_versions_are_equally_loud_as_the_browser_decodes_them(either):
    """Within 0.05 LU; lossy ones within 0.2. None clips."""
    here, kind = either
    buffers = here.buffers()[:3]
    loud = [integrated(audio, RATE) for audio in buffers]

    assert here.js("player.context.sampleRate") == RATE
    assert {audio.shape for audio in buffers} == {(2, 3 * RATE)}  # or they would loop out of step
    assert max(loud) - min(loud) < (0.05 if kind == "lossless" else 0.2)
    assert max(np.abs(audio).max() for audio in buffers) <= 1


def test_switching_keeps_the_place(here):
    """The same sources play on by one clock, and only the gains change."""
    here.press("1")
    here.playing()
    here.js("""() => { window.before = [player.nodes.map((n) => n.source), player.place,
      player.context.currentTime]; }""")
    here.press("3", "2")
    same, moved = here.js("""() => [player.nodes.every((n, i) => n.source === before[0][i]),
      (player.place - before[1]) - (player.context.currentTime - before[2])]""")
    assert same
    assert abs(moved) < 1e-6
    here.wait("""() => player.nodes.every(({ gain }, i) =>
      Math.abs(gain.gain.value - (i === 1 ? 1 : 0)) < 1e-3)""")
    assert here.page.locator("#versions .on").inner_text() == "B"


def test_what_was_removed_is_the_input_minus_the_version(either):
    """At the level at which it was in the input beside the version; of the input, nothing."""
    here, encoding = either
    buffers, kinds = here.buffers(), here.js("versions.map((v) => v.kind)")
    gains = here.js("versions.map((v) => v.gain)")
    own = kinds.index("input")
    original = here.js(f"versions[{own}].gain") * sound()
    level = np.sqrt((original**2).mean())
    assert np.sqrt(((buffers[own] - original) ** 2).mean()) < 0.25 * level  # aligned, too
    for i in range(3):
        mix = here.js(f"(player.heard = {i}, player.removed = true, player.gains())")
        heard = sum(gain * audio for gain, audio in zip(mix, buffers, strict=True))
        fit = here.js(f"versions[{i}].fit")
        wanted = fit * (buffers[own] * gains[i] / gains[own] - buffers[i])
        if encoding == "lossless":
            np.testing.assert_allclose(heard, wanted, atol=1e-6)
        else:  # the loss of the encoder
            assert np.sqrt(((heard - wanted) ** 2).mean()) < 0.25 * level
        if i == own:
            assert np.abs(heard).max() < 1e-4


def test_all_can_be_done_by_keys(here):
    """Versions, play and pause, what was removed, a loop, a second back, and the names."""
    here.press(" ")
    here.playing()
    here.press(" ")
    assert here.js("player.nodes") is None
    here.press("2", "r")
    here.playing()
    assert here.js("[player.heard, player.removed]") == [1, True]
    here.press("r", "9")  # there is no ninth
    assert here.js("[player.heard, player.removed]") == [1, False]
    here.press(" ")
    here.js("player.seek(1)")
    here.press("[")
    here.js("player.seek(2)")
    here.press("]")
    assert here.js("[player.from, player.to]") == pytest.approx([1, 2])
    here.press(" ")
    here.playing()
    assert here.js("player.nodes[0].source.loopStart") == 1
    here.wait("player.context.currentTime - player.begun > 1.2")
    assert 1 <= here.js("player.place") <= 2
    here.press("Escape", " ")
    here.js("player.seek(1.5)")
    here.press("ArrowLeft")
    assert here.js("[player.from, player.to, player.place]") == pytest.approx([0, 3, 0.5])
    here.press("n")
    assert here.page.locator("#results").is_visible()


def test_the_space_bar_means_play_after_a_click_too(here):
    """And a button that was reached by the tab key does what it says."""
    here.page.click("#versions button:nth-child(2)")
    here.playing()
    here.press(" ")
    assert here.js("[player.nodes, player.heard]") == [None, 1]
    here.press("Tab", " ")
    assert here.js("[player.nodes !== null, player.heard]") == [True, 2]


def test_a_part_is_looped_by_dragging(here):
    """A drag is a loop, a click in it a place, and a click beside it ends it."""
    box = here.page.locator("#timeline").bounding_box()
    mouse = here.page.mouse

    def click(*shares):
        mouse.move(box["x"] + shares[0] * box["width"], box["y"] + 20)
        mouse.down()
        mouse.move(box["x"] + shares[-1] * box["width"], box["y"] + 20)
        mouse.up()

    click(0.75, 0.25)
    assert here.js("[player.from, player.to]") == pytest.approx([0.75, 2.25], abs=0.01)
    click(0.5)
    assert here.js("[player.from, player.place]") == pytest.approx([0.75, 1.5], abs=0.01)
    click(0.9)
    assert here.js("[player.from, player.to]") == [0, 3]


def test_who_has_chosen_is_told_what_and_how_to_use_it(here):
    """Name and command, and a star at the version."""
    index = here.js("versions.findIndex((v) => v.kind === 'model')")
    here.press(str(index + 1))
    here.page.click("#prefer")

    assert here.page.locator("#choice").inner_text() == (
        f"You prefer {'ABC'[index]}: secretnet.pt. To use it: rtdenoise live -m secretnet.pt"
    )
    assert here.page.locator("#versions .liked").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_on_a_telephone(browser, lossless, scheme):
    """360 pixels, nothing to scroll sideways, blind and with names."""
    here = opened(
        browser,
        lossless,
        viewport={"width": 360, "height": 700},
        color_scheme=scheme,
        has_touch=True,
    )
    here.press("1", "n")
    assert here.js("document.documentElement.scrollWidth") <= 360
    ground = here.js("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(244, 246, 248)" if scheme == "light" else "rgb(24, 28, 32)")
    assert here.faults == []
    here.page.context.close()
