"""Robust mode gives the same sound, some hops later; a worker that is late costs only its time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.chain.effect import Denoise, Effect
from rtdenoise.cli import parser
from rtdenoise.cli.ends import worker_hint
from rtdenoise.core.relay import JOIN
from rtdenoise.errors import UsageError
from rtdenoise.live.devices import Callback, Wiring
from rtdenoise.live.live import Live
from rtdenoise.live.negotiate import ROBUST_HOPS, Wishes
from rtdenoise.live.robust import Worker
from tests.live.array_card import ArrayCard, Stream
from tests.live.test_devices_come_and_go import LATENCY, PIECE, PIECES, Delay, Late, Plugged
from tests.live.virtual_card import AlsaCard, needs_portaudio
from tests.toy_nets import Identity, save

RATE, HOP = 48_000, 512
PATIENCE_S = 60.0  # far longer than any wait; no test is timed
SOUND = PIECES[:, : 60 * HOP]


class PatientStream(Stream):
    """A stream that calls only when the worker has done all that came, unless the card is not."""

    card: Patient

    def _call(self) -> None:
        asked: Any = self.callback
        delay = getattr(asked, "ready", 0)  # before the first call

        def called(*block) -> None:
            asked(*block)
            end_s = time.monotonic() + PATIENCE_S
            while self.card.patient and hasattr(asked, "ready") and not self._stop.is_set():
                if asked.came - (asked.ready - delay) < self.wiring.block:
                    break
                assert time.monotonic() < end_s
                time.sleep(0.0002)
            self.card.calls += 1

        self.callback = called
        super()._call()


class Patient(ArrayCard):
    """A card that waits for the worker, while it is *patient*, so that no test is timed."""

    patient, calls = True, 0

    def open(self, wiring: Wiring, callback: Callback) -> Stream:
        return PatientStream(self, wiring, callback)

    @property
    def sound(self) -> np.ndarray:
        """What was heard on the left (samples,)."""
        return np.concatenate(self.heard)[:, 0]


def run(card, effect=None, **settings) -> Live:
    """A run of a second, until it is over."""
    settings = {"duration_s": 1.0, **settings}
    with Live(effect=effect or Delay(), cards=card, **settings) as live:
        assert live.wait(PATIENCE_S)
    return live


class Unhurried(Denoise):
    """A model that is never late, however busy the machine is."""

    def stage(self, stream, counters=None):
        return super().stage(replace(stream, deadline=None), counters)


@pytest.mark.parametrize(
    ("block", "hops", "delay"),
    [
        (None, True, ROBUST_HOPS * HOP),
        (512, 2, 1024),
        (512, 4, 2048),
        (480, 2, 1024),
        (128, 3, 1536),
        (1000, 2, 2000),
    ],
)
def test_the_sound_is_the_same_and_later_by_the_stated_hops(smoother, block, hops, delay):
    """Sample for sample, with a net, at any block; a block that is longer than a hop counts."""
    cards = Patient(SOUND), Patient(SOUND)
    plain = run(cards[0], Unhurried(smoother), block=block)
    robust = run(cards[1], Unhurried(smoother), block=block, robust=hops)
    count = min(len(card.sound) for card in cards) - delay

    assert count > 40 * HOP
    assert not cards[1].sound[:delay].any()
    np.testing.assert_array_equal(cards[1].sound[delay:][:count], cards[0].sound[:count])
    assert robust.latency_ms["worker"] == pytest.approx(1e3 * delay / RATE)
    assert robust.latency_ms == plain.latency_ms | {"worker": robust.latency_ms["worker"]}
    assert robust.summary()["silent_blocks"] == robust.summary()["faults"] == 0


class Stands(Effect):
    """An effect that stands still in a call, until it is told to go on."""

    def __init__(self, call: int) -> None:
        self.call, self.calls = call, 0
        self.stands, self.go_on = threading.Event(), threading.Event()

    def stage(self, stream, counters=None):
        return StandsLate(stream, self)


class StandsLate(Late):
    """The stage of `Stands`."""

    def __init__(self, stream, effect):
        self.effect = effect
        super().__init__(stream)

    def reset(self):
        super().reset()
        self.effect.calls = 0

    def push(self, block):
        self.effect.calls += 1
        if self.effect.calls == self.effect.call:
            self.effect.stands.set()
            assert self.effect.go_on.wait(PATIENCE_S)
        return super().push(block)


def test_a_worker_that_stands_still_loses_only_that_time(tmp_path):
    """Then the delay is what it was, and the recording, which has silence, is in line."""
    card, effect = Patient(PIECES), Stands(30)
    record = tmp_path / "r.wav"
    settings = {"robust": 2, "record": record, "duration_s": 3.0}
    with Live(effect=effect, cards=card, **settings) as live:
        card.patient = False
        while not effect.stands.is_set():
            time.sleep(0.001)
        stood = card.calls
        while card.calls < stood + 40:
            time.sleep(0.001)
        card.patient = True
        effect.go_on.set()
        assert live.wait(PATIENCE_S)
    summary, delay = live.summary(), LATENCY + 2 * HOP
    heard = card.sound
    right = np.concatenate((np.zeros(delay, np.float32), PIECES[0]))[: len(heard)]
    wrong = np.flatnonzero(heard != right)
    lost = HOP * summary["silent_blocks"]
    recorded = sf.read(record, dtype="float32")[0]
    late = PIECES[0, : len(recorded) - LATENCY]
    unlike = np.flatnonzero(np.abs(recorded[LATENCY:] - late) > 1e-4)

    assert 30 * HOP < lost < 50 * HOP
    assert wrong[-1] - wrong[0] <= lost + LATENCY + JOIN
    assert RATE * summary["silent_seconds"] == pytest.approx(lost, abs=RATE / 1000)
    assert summary["ended"] == "complete"
    assert RATE * summary["seconds"] == pytest.approx(len(heard), abs=2 * HOP)
    assert len(recorded) >= 3 * RATE
    assert np.ptp(unlike) <= lost + LATENCY


def test_what_an_effect_raises_is_a_silent_block():
    """As without: it is counted, and all that follows is in line."""

    class Raises(Late):
        calls = 0

        def reset(self):
            super().reset()
            self.calls = 0

        def push(self, block):
            self.calls += 1
            if self.calls == 20:
                super().push(block)
                raise ValueError("broken")
            return super().push(block)

    class RaisesOnce(Effect):
        def stage(self, stream, counters=None):
            return Raises(stream)

    card = Patient(SOUND)
    live = run(card, RaisesOnce(), robust=2)
    delay = LATENCY + 2 * HOP
    wrong = np.flatnonzero(card.sound[delay : SOUND.shape[1]] != SOUND[0, : SOUND.shape[1] - delay])

    assert live.summary()["faults"] == 1
    assert live.summary()["fault"] == "broken"
    assert np.ptp(wrong) < HOP
    assert live.summary()["silent_blocks"] == 0


def test_a_worker_goes_on_when_its_callback_raises():
    """Nothing that is raised ends the thread: the block is silent, and the next is in its place."""
    calls = []

    def callback(heard, played, frames, _time, _status):
        calls.append(frames)
        if len(calls) == 2:
            raise ValueError("broken")
        played[:] = heard

    mic, speakers = ArrayCard(SOUND).devices
    worker = Worker(Wiring(mic, speakers, RATE, HOP, (1, 1), "low"), 1024, callback)
    worker.start()
    played = []
    for at in range(0, 8 * HOP, HOP):
        out = np.empty((HOP, 1), np.float32)
        worker.relay(SOUND[:, at : at + HOP].T, out, HOP, None, None)
        played.append(out[:, 0])
        while worker.relay.ready < worker.relay.came + 1024:
            time.sleep(0.001)
    worker.close()
    heard = np.concatenate(played)[1024:]

    assert str(worker.fault) == "broken"
    np.testing.assert_array_equal(heard[:HOP], SOUND[0, :HOP])
    assert not heard[HOP + JOIN : 2 * HOP].any()
    np.testing.assert_array_equal(heard[2 * HOP + JOIN :], SOUND[0, 2 * HOP + JOIN : 6 * HOP])
    assert not any(thread.name == "rtdenoise-worker" for thread in threading.enumerate())


def test_a_file_is_played_to_its_end(tmp_path):
    """The run is over when its last sample was played, not when the effect had it."""
    sf.write(tmp_path / "f.wav", SOUND[0], RATE, "FLOAT")
    card = Patient(SOUND)
    live = run(card, source=f"file:{tmp_path / 'f.wav'}", robust=4, duration_s=None)
    delay = LATENCY + 4 * HOP

    np.testing.assert_array_equal(card.sound[delay : delay + SOUND.shape[1]], SOUND[0])
    assert live.latency_ms["worker"] == pytest.approx(4e3 * HOP / RATE)


def test_an_input_alone_is_not_delayed(tmp_path):
    """Nobody hears when a recording was made: a worker without an output is never late."""
    card = Patient(SOUND)
    live = run(card, sink="null", robust=3, record=tmp_path / "r.wav")
    recorded = sf.read(tmp_path / "r.wav", dtype="float32")[0][LATENCY:]

    assert "worker" not in live.latency_ms
    count = min(len(recorded), SOUND.shape[1])
    np.testing.assert_allclose(recorded[:count], SOUND[0, :count], atol=1e-4)


class PatientPlugged(Plugged, Patient):
    """A card that is pulled out, and plugged in again."""

    def open(self, wiring: Wiring, callback: Callback) -> Stream:
        super().open(wiring, callback).close()  # it counts, and chooses the sound
        del self.heard[self.marks[-1] :]
        return PatientStream(self, wiring, callback)


def test_a_card_that_was_pulled_out_goes_on_with_the_same_delay(monkeypatch):
    """With another worker, and the same effect in the same place."""
    monkeypatch.setattr("rtdenoise.live.supervisor.FIRST_S", 0.01)
    card, effect = PatientPlugged(), Delay()
    live = run(card, effect, robust=2, duration_s=5.0)
    delay = LATENCY + 2 * HOP
    first, second = card.of_opening(0), card.of_opening(1)
    on = int(np.flatnonzero(second)[0])

    assert [event.kind for event in live.events] == ["lost", "back"]
    np.testing.assert_array_equal(first[delay:], PIECE[0, : len(first) - delay])
    settled = on + JOIN
    np.testing.assert_array_equal(
        second[settled:], PIECES[0, settled - delay : len(second) - delay]
    )
    assert effect.prepared == ["rtdenoise-worker"] * 2


def test_two_streams_have_a_worker_each():
    """The sound goes through the ring between two clocks, and both parts are in the latency."""
    card = Patient(PIECES)
    live = run(card, robust=3, streams="two")
    parts = live.latency_ms

    assert list(parts)[1:4] == ["clock ring", "block", "worker"]
    assert parts["worker"] == pytest.approx(32.0)
    assert live.summary()["clock_ring"]["fault"] is None
    assert live.summary()["faults"] == 0
    assert live.summary()["ended"] == "complete"
    assert live.summary()["seconds"] >= 1.0


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"robust": 1}, "robust = 1: wanted 2 to 4"),
        ({"robust": 5}, "robust = 5: wanted 2 to 4"),
        ({"robust": -2}, "robust = -2: wanted 2 to 4"),
        ({"robust": True, "block": 0}, "block = 0: wanted 1 or more"),
    ],
)
def test_hops_and_blocks_that_cannot_be_are_refused(wish, message):
    """Before anything is opened."""
    with pytest.raises(UsageError, match=message):
        Wishes(**wish)


def test_no_hops_are_the_callback_itself():
    """0 is False, so that a preset's can be switched off."""
    assert [Wishes(robust=robust).hops for robust in (False, 0, True, 2)] == [0, 0, ROBUST_HOPS, 2]


def test_without_a_device_there_is_nothing_to_be_late_for():
    """It is said which setting is wrong."""
    live = Live("null", "null", Delay(), duration_s=1.0, robust=3)
    with pytest.raises(UsageError, match="robust = 3: wanted a device"):
        live.__enter__()


def test_a_worker_without_real_time_priority_is_told():
    """With what to do about it, where there is something to do."""
    worker = {"hops": 4, "priority": "normal"}

    assert "rtprio" in (worker_hint(worker, "linux") or "")
    assert "rtprio" not in (worker_hint(worker, "darwin") or "rtprio")
    assert worker_hint({**worker, "priority": "real-time"}) is None
    assert worker_hint(None) is None


def test_a_preset_may_hold_it(monkeypatch):
    """As a flag or as a number, also in the environment."""
    parsed = parser().parse_args(["live", "--robust"])
    assert parsed.layers.given(parsed) == {"robust": True}
    for text, hops in (("1", True), ("3", 3), ("off", 0)):
        monkeypatch.setenv("RTDENOISE_ROBUST", text)
        parsed = parser().parse_args(["live"])
        assert parsed.layers.settled(parsed).robust == hops


def test_ctrl_c_ends_a_run_of_the_real_portaudio(tmp_path):
    """Which calls compiled code until its stream is closed: exit code 0, and nothing on stderr."""
    needs_portaudio()
    card = AlsaCard(tmp_path, SOUND)
    model = str(save(Identity(), tmp_path / "id.pt"))
    command = [sys.executable, "-m", "rtdenoise", "live", "--rate", "48000", "--channels", "1"]
    command += ["-m", model, "--json", "--robust", "2"]
    with subprocess.Popen(
        command, env=card.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not (tmp_path / "out.raw").exists() or not (tmp_path / "out.raw").stat().st_size:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 0, errors
    assert not errors
    assert json.loads(said)["ended"] == "stopped"
