"""`live` tells when music goes into a model for speech; the audio thread does nothing for it."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext

import numpy as np
import pytest

from rtdenoise.chain.effect import Denoise
from rtdenoise.cli import main
from rtdenoise.live import watch
from rtdenoise.live.live import Live
from rtdenoise.live.tap import TapReader
from rtdenoise.live.watch import KindWatch
from tests.live.array_card import ArrayCard
from tests.sounds import notes, read, write
from tests.toy_nets import Identity, generator_for, save

BLOCK = 8192
SENTENCE = "this sounds like music, and {} is for speech: try the model music".format


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch):
    """The cards of these tests are faster than their sound lasts."""
    monkeypatch.setattr(watch, "REST_S", 0.0)


def model(kind, name="toy"):
    """An effect with a card that says which sound it is for."""
    return Denoise(generator_for(Identity(), kind=kind, name=name))


def run(audio, effect, **settings):
    """A run on a card whose microphone hears *audio* again and again, faster than it lasts."""
    card = ArrayCard(audio, again=True)
    return Live("mic", "speakers", effect, block=BLOCK, streams="one", cards=card, **settings)


def said(live):
    """What was told of the kind of sound."""
    return [event.text for event in live.events if event.kind == "unfit"]


def wait_for(live, seconds):
    """Wait until *seconds* of sound more have passed."""
    until = live.summary()["seconds"] + seconds
    while live.summary()["seconds"] < until:
        assert not live.wait(0.01)


@pytest.fixture(scope="module")
def tune():
    """20 s of music (1, n)."""
    return notes(48_000, 20.0)


@pytest.fixture(scope="module")
def talk(clips):
    """20 s of speech in noise (1, n)."""
    return np.resize(read(clips / "noisy.flac"), (1, 960_000))


def test_music_is_told_once_a_model(tune, monkeypatch):
    """Also after a change, of the new model; models for music and for any sound take music."""
    monkeypatch.setattr(watch, "PAUSE_S", 0.0)
    with run(tune, model("speech")) as live:
        guard = KindWatch(live)
        guard.look()
        assert said(live) == []  # too little was heard
        wait_for(live, 21)
        for _ in range(3):
            guard.look()
        assert said(live) == [SENTENCE("toy")]
        for effect in (model("music"), model("any"), model("speech", "other"), model("speech")):
            live.change(effect)
            for _ in range(2):
                guard.look()
        assert said(live) == [SENTENCE("toy"), SENTENCE("other")]
        shown = [event["text"] for event in TapReader(str(live.tap)).events()]
        assert SENTENCE("other") in shown  # on the screens


def test_at_the_end_it_looks_at_what_there_is(tune, talk, tmp_path):
    """Music of 8 s is told; speech in noise, silence, and one stretch of music of two are not."""
    jingle = np.concatenate((talk[:, :480_000], tune[:, :480_000]), axis=1)
    for audio, told in (
        (tune[:, :384_000], [SENTENCE("toy")]), (jingle, []), (jingle[:, ::-1], []),
        (talk, []), (np.zeros_like(talk), []),
    ):  # fmt: skip
        write(tmp_path / "in.wav", audio)
        played = Live(f"file:{tmp_path / 'in.wav'}", "null", model("speech"), clock="fast")
        with played as live, KindWatch(live):
            live.wait()
        assert said(live) == told


def test_it_looks_by_itself_and_rests(tune, monkeypatch):
    """In a thread of its own; between two judgements there is a pause."""
    judged: list[int] = []

    def judge(_, reader):
        judged.append(reader.position)
        return False

    monkeypatch.setattr(watch, "HEAR_S", 0.001)
    monkeypatch.setattr(KindWatch, "_music", judge)
    with run(tune, model("speech")) as live, KindWatch(live):
        wait_for(live, 75)
    *looks, _end = np.array(judged) / 48_000
    assert len(looks) >= 2
    assert looks[0] >= 20
    assert (np.diff(looks) >= 30).all()


def test_without_a_tap_there_is_no_watch(tune):
    """A run that keeps no sound is not judged, and says nothing about it."""
    with run(tune, model("speech"), tap_seconds=0) as live, KindWatch(live):
        wait_for(live, 25)
    assert live.events == []


class CountedCard(ArrayCard):
    """A card that counts the calls of functions, of Python and of C, in each of its callbacks."""

    def open(self, wiring, callback):
        self.counts: list[int] = []

        def counted(*given):
            count = 0

            def add(_frame, event, _arg):
                nonlocal count
                count += event in ("call", "c_call")

            sys.setprofile(add)
            try:
                callback(*given)
            finally:
                sys.setprofile(None)
            self.counts.append(count)

        return super().open(wiring, counted)


def test_the_audio_thread_does_what_it_does_without_the_watch(tune, monkeypatch):
    """Block by block, it calls as many functions, also while the input is judged and told."""
    monkeypatch.setattr(watch, "HEAR_S", 0.001)
    monkeypatch.setattr(watch, "PAUSE_S", 0.0)
    counts = []
    for watched in (False, True):
        card = CountedCard(tune, again=True)
        effect = model("speech")
        with (
            Live("mic", "speakers", effect, block=BLOCK, streams="one", cards=card) as live,
            KindWatch(live) if watched else nullcontext(),
        ):
            wait_for(live, 40)
            until_s = time.monotonic() + 30
            while watched and not said(live) and time.monotonic() < until_s:
                time.sleep(0.01)
        assert bool(said(live)) == watched
        counts.append(card.counts[: 40 * 48_000 // BLOCK])
    assert counts[0] == counts[1]


def test_the_command_tells_it_as_it_tells_other_events(tmp_path, tune, talk, capsys):
    """One line on stderr for music, none for speech, for a model for music, or with --quiet."""
    write(tmp_path / "tune.wav", np.concatenate((tune, tune), axis=1))
    write(tmp_path / "talk.wav", talk)
    speech = save(Identity(), tmp_path / "speech.pt", kind="speech")
    music = save(Identity(), tmp_path / "music.pt", kind="music")

    def told(net, name, *more):
        flags = ["--in", f"file:{tmp_path / name}", "--out", "null", "-m", str(net), *more]
        assert main(["live", "--clock", "fast", *flags]) == 0
        return capsys.readouterr().err.count(f"rtdenoise live: {SENTENCE('identity')}")

    assert told(speech, "tune.wav") == 1
    assert told(speech, "tune.wav", "-q") == 0
    assert told(music, "tune.wav") == 0
    assert told(speech, "talk.wav") == 0
