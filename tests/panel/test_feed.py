"""What a page is sent: the state of the run, and its sound, as the run reports them."""

from __future__ import annotations

import base64
import json
import os
from itertools import islice

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.chain.effect import Denoise
from rtdenoise.live.control import Control
from rtdenoise.live.hosts import Host
from rtdenoise.live.live import Live
from rtdenoise.live.tap import TapReader
from rtdenoise.panel import spectra
from rtdenoise.panel.feed import Feed
from tests.toy_nets import Identity, generator_for

PATIENCE = 3000  # messages


def first(feed, wanted):
    """The first message of the feed that is as *wanted* says."""
    for name, message in islice(feed, PATIENCE):
        if wanted(name, message):
            return message
    raise AssertionError("it did not come")


def state(feed, wanted=lambda _: True):
    """The next state that is as *wanted* says."""
    return first(feed, lambda name, message: name == "state" and wanted(message))


@pytest.fixture
def feed(desk):
    feed = Feed(desk)
    yield iter(feed)
    feed.close()


def test_a_page_that_opens_gets_everything(feed, live):
    """Status, parameters, the board, what happened so far, and the axes; all that JSON can hold."""
    live.mark("before the page")
    now = state(feed)

    assert now["pid"] == os.getpid() == now["status"]["pid"]
    assert [event["text"] for event in now["events"]] == ["mark: before the page"]
    assert [one["type"] for one in now["board"]] == ["Denoise", "Compressor", "LadderFilter", "Mix"]
    assert {row["path"] for row in now["parameters"]} >= {"2/ratio", "3/mode", "4/1/ratio"}
    assert now["form"]["columns_per_s"] == spectra.COLUMNS_PER_S
    assert len(now["form"]["bands_hz"]) == spectra.BANDS
    assert now["hosts"][0]["pid"] == os.getpid()
    assert json.loads(json.dumps(now, allow_nan=False)) == now


def test_what_others_change_is_sent(feed, live):
    """Another page, `ctl` or a program; what has not changed is not sent again."""
    state(feed)
    assert "board" not in state(feed)
    with Host(os.getpid()) as other:
        other.ask("set", path="2/ratio", value=5)
        other.ask("mix", value=30)
    changed = state(feed, lambda now: "parameters" in now)
    assert {row["path"]: row["value"] for row in changed["parameters"]}["2/ratio"] == 5
    assert changed["status"]["mix"] == 30
    assert changed["events"] == []


def test_a_run_that_is_over_says_so(feed, live):
    """As long as its process answers; what is shown is then known to be old."""
    state(feed)
    live.stop()
    gone = state(feed, lambda now: now["status"] and now["status"]["ended"] != "running")
    assert gone["status"]["ended"] == "stopped"


def test_no_run_and_then_one(feed, noise):
    """A page that is open sees a run that starts, and that it is gone afterwards."""
    assert state(feed)["status"] is None
    with Live(f"file:{noise}", "null", Denoise(generator_for(Identity()))) as live, Control(live):
        assert state(feed, lambda now: now["status"])["status"]["model"] == "identity"
    assert state(feed, lambda now: not now["status"])["hosts"] == []


def test_the_sound_costs_little(feed, live):
    """At most 100 kB for each second of sound, with both spectra."""
    state(feed)
    sent, columns = 0, 0
    while columns < spectra.COLUMNS_PER_S:
        message = first(feed, lambda name, _: name == "sound")
        sent += len(json.dumps(message))
        columns += len(base64.b64decode(message["before"])) // spectra.BANDS
    assert sent * spectra.COLUMNS_PER_S / columns < 100_000


def test_before_and_after_show_the_same_moment(feed, folder):
    """The input is delayed as the output is: a net that changes nothing gives equal pictures."""
    audio = np.random.default_rng(7).uniform(-0.5, 0.5, 48_000 * 60).astype(np.float32)
    audio *= np.repeat(np.arange(600) % 3 == 0, 4800)  # bursts, which would show a shift
    sf.write(folder / "bursts.wav", audio, 48_000, "FLOAT")
    effect = Denoise(generator_for(Identity()))
    with Live(f"file:{folder / 'bursts.wav'}", "null", effect) as live, Control(live):
        live.bypass = True  # a late hop must not differ
        state(feed, lambda now: now["status"])
        seen = 0
        while seen < 40:
            message = first(feed, lambda name, _: name == "sound")
            before, after = (
                np.frombuffer(base64.b64decode(message[each]), np.uint8)
                for each in ("before", "after")
            )
            assert np.abs(before.astype(int) - after).max() <= 1
            seen += before.size // spectra.BANDS
        assert message["levels"]["reduction"] is None or abs(message["levels"]["reduction"]) < 0.1


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 192_000])
def test_a_sine_is_in_its_band_at_its_level(rate):
    """At every rate; 0 dB is a sine of full scale, and silence is 0."""
    hz, gain = 1000.0, 0.05
    seconds = np.arange(rate) / rate
    sound = (gain * np.sin(2 * np.pi * hz * seconds)).astype(np.float32)[None]
    column = spectra.columns(sound, 3, rate // 40, rate)[1]
    band = int(np.argmax(column))
    span = spectra.TOP_DB - spectra.FLOOR_DB
    level_db = spectra.FLOOR_DB + span * column[band] / 255

    assert spectra.top_hz(band, rate) <= hz + 40
    assert band == spectra.BANDS - 1 or spectra.top_hz(band + 1, rate) >= hz - 40
    assert level_db == pytest.approx(20 * np.log10(gain), abs=1.5)
    assert not spectra.columns(0 * sound, 3, rate // 40, rate).any()
    assert spectra.columns(sound[:, :5], 2, rate // 40, rate).shape == (2, spectra.BANDS)
    broken = np.full((2, rate), np.nan, np.float32)
    assert not spectra.columns(broken, 3, rate // 40, rate).any()


def test_the_histogram_counts_every_call(live):
    """Also those that took longer than it shows; how many were over their deadline is said."""
    with Host(os.getpid()) as host:
        reader = TapReader(host.ask("status")["tap"])
    while len(reader.calls()) < 20:
        assert not live.wait(0.05)
    times = spectra.call_times(reader)
    assert times is not None
    assert sum(times["counts"]) == times["calls"] >= 20
    assert times["deadline_ms"] == pytest.approx(1e3 * 512 / 48_000, abs=1e-3)
    assert 0 < times["median_ms"] <= times["longest_ms"]
    past = int(spectra.BINS / spectra.WIDEST)
    assert times["over"] == sum(times["counts"][past:])
