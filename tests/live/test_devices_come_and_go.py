"""A device that goes away comes back into the same run, and nothing that hangs ends it."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.chain.effect import Effect
from rtdenoise.errors import DeviceError
from rtdenoise.live.devices import Callback, Device, Kind, Wiring
from rtdenoise.live.drive import Drive
from rtdenoise.live.live import Live
from rtdenoise.live.session import Session
from rtdenoise.live.supervisor import DEAD_S, START_S, Event, Supervisor
from tests.live.array_card import ArrayCard, Stream

RATE, LATENCY = 48_000, 100
PIECES = np.random.default_rng(16).uniform(0.1, 0.5, (1, 12 * RATE)).astype(np.float32)
PIECE = PIECES[:, : 24 * 512]
FOREVER_S = 60.0  # far longer than any limit, and no test waits for it


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Try again soon."""
    monkeypatch.setattr("rtdenoise.live.supervisor.FIRST_S", 0.01)


class Late:
    """A stage: the input, `LATENCY` samples later."""

    latency = LATENCY
    _kept: np.ndarray

    def __init__(self, stream):
        self.stream = stream
        self.reset()

    def push(self, block):
        both = np.concatenate((self._kept, block), axis=1)
        self._kept = both[:, block.shape[1] :]
        return both[:, : block.shape[1]]

    def reset(self):
        self._kept = np.zeros((self.stream.channels, LATENCY), np.float32)


class Delay(Effect):
    """An effect that counts the threads that it was prepared in."""

    def __init__(self):
        self.prepared: list[str] = []

    def stage(self, stream, counters=None):
        return Late(stream)

    def prepare_thread(self):
        self.prepared.append(threading.current_thread().name)


class Plugged(ArrayCard):
    """A card that hears `PIECE` and is pulled out then; at its last opening it hears `PIECES`.

    Args:
        openings: How each opening goes: None, or what is raised.
        unlisted: Number of lists after the first opening that do not have it.
        changed: What a card is that comes back, by its attributes of `Device`.
    """

    def __init__(self, *, openings=(None, None), unlisted=0, changed=None, rates=(RATE,)):
        super().__init__(PIECE, rates, dies=True)
        self.openings, self.unlisted, self.changed = list(openings), unlisted, changed or {}
        self.relisted = self.opened = 0
        self.wirings: list[Wiring] = []
        self.marks: list[int] = []

    def relist(self) -> None:
        self.relisted += 1
        self.devices = [replace(d, **self.changed.get(d.name, {})) for d in self.devices]

    def find(self, query: str, kind: Kind) -> Device:
        if self.opened and self.unlisted > 0:
            self.unlisted -= 1
            self.devices, there = [], self.devices
            try:
                return super().find(query, kind)
            finally:
                self.devices = there
        return super().find(query, kind)

    def open(self, wiring: Wiring, callback: Callback) -> Stream:
        failure = self.openings.pop(0)
        if failure is not None:
            raise failure
        self.opened += 1
        self.dies = bool(self.openings)
        self.audio = PIECE if self.dies else PIECES
        self.marks.append(len(self.heard))
        self.wirings.append(wiring)
        return super().open(wiring, callback)

    def of_opening(self, number: int) -> np.ndarray:
        """What was heard on the left (samples,)."""
        return np.concatenate(self.heard[slice(*[*self.marks, None][number : number + 2])])[:, 0]


def run(card, effect=None, **settings) -> Live:
    """A run of which each opening of the card gives a piece, and the last more than one."""
    duration_s = settings.pop("duration_s", 6.0)
    with Live(effect=effect or Delay(), cards=card, duration_s=duration_s, **settings) as live:
        live.wait()
    return live


def told(live) -> list[str]:
    """The kinds of what happened."""
    return [event.kind for event in live.events]


def test_a_card_that_was_pulled_out_goes_on_with_the_same_delay():
    """One run: it is told once that it is gone and once that it is back, and the counts go on."""
    heard: list[Event] = []
    card = Plugged()
    live = run(card, told=heard.append)
    first, second = card.of_opening(0), card.of_opening(1)
    on = int(np.flatnonzero(second)[0])  # it begins when the card has proved that it runs
    summary = live.summary()

    np.testing.assert_allclose(first[LATENCY:], PIECE[0, : len(first) - LATENCY], atol=1e-6)
    assert on % 512 == LATENCY
    np.testing.assert_allclose(
        second[on:], PIECES[0, on - LATENCY : len(second) - LATENCY], atol=1e-6
    )
    assert told(live) == ["lost", "back"]
    assert heard == live.events
    assert "[0] mic, Array" in heard[0].text
    assert heard[1].gap_s > 0
    assert summary["ended"] == "complete"
    assert summary["gaps"] == 1
    assert summary["gap_seconds"] > 0
    assert summary["seconds"] + summary["gap_seconds"] >= 6
    assert card.closed == 2


def test_every_audio_thread_is_prepared():
    """A thread inherits neither torch's settings nor the flushing of denormals."""
    effect = Delay()
    run(Plugged(), effect)

    assert len(effect.prepared) == 2


def test_without_waiting_it_is_an_error():
    """For services that are started again by somebody else."""
    with pytest.raises(DeviceError, match="the sound device is gone"):
        run(Plugged(), wait_for_device=False)


def test_a_card_that_is_not_listed_and_then_refuses_twice_comes_back():
    """A refusal is told only if it is the same again, and only once."""
    busy = DeviceError("busy")
    card = Plugged(openings=(None, busy, busy, busy, None), unlisted=2)
    live = run(card)

    assert told(live) == ["lost", "waiting", "back"]
    assert live.events[1].text == "still waiting: busy"
    assert card.opened == 2


def test_a_card_with_fewer_channels_takes_the_place():
    """As the built-in one does when the other is pulled out: what it has is used."""
    card = Plugged(changed={"speakers": {"outputs": 1, "name": "built-in"}})
    live = run(card)

    assert [wiring.channels for wiring in card.wirings] == [(1, 2), (1, 1)]
    assert live.summary()["faults"] == 0
    assert card.heard[-1].shape[1] == 1


def test_a_card_that_comes_back_at_another_rate_is_told_and_waited_for():
    """The stage, the delay and the recording have the rate of the run."""

    class Other(Plugged):
        def takes(self, device, kind, rate):
            return self.opened == 0 or self.relisted > 3

    live = run(Other(), duration_s=6.0)

    assert told(live) == ["lost", "waiting", "back"]
    assert "does not take 48000 Hz" in live.events[1].text


def test_a_run_that_is_over_does_not_wait_for_its_card():
    """Neither after its time is up, nor when it is stopped; the time without the card counts."""
    missing = DeviceError("missing")
    live = run(Plugged(openings=(None, *[missing] * 99)), duration_s=1.0)
    assert live.summary()["gap_seconds"] > 0.7
    assert live.summary()["ended"] == "complete"
    lost = threading.Event()
    stopped = Live(
        effect=Delay(),
        cards=Plugged(openings=(None, *[missing] * 99)),
        told=lambda _event: lost.set(),
    )
    with stopped:
        assert lost.wait(FOREVER_S)
    assert stopped.summary()["ended"] == "stopped"


@pytest.mark.parametrize("waits", [True, False])
def test_a_recording_is_whole_although_the_card_was_gone(tmp_path, waits):
    """What was heard before is in it, and after, if it came back."""
    record = tmp_path / "r.wav"
    if waits:
        run(Plugged(), record=record)
    else:
        with pytest.raises(DeviceError):
            run(Plugged(), record=record, wait_for_device=False)
    heard = sf.read(record, dtype="float32")[0]
    first, rest = heard[: PIECE.shape[1]], heard[PIECE.shape[1] :]

    np.testing.assert_allclose(first[LATENCY:], PIECE[0, :-LATENCY], atol=1e-4)
    assert (len(rest) > RATE) is waits


class Clock:
    """Time in seconds that passes only in waits: *step_s* for each."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


class Wait(threading.Event):
    """A wait that lasts as long as the script says, and does what it says."""

    def __init__(self, clock, script, streams):
        super().__init__()
        self.clock, self.script, self.streams = clock, iter(script), streams

    def wait(self, timeout=None):
        step_s, do = next(self.script)
        self.clock.now_s += step_s
        do(self.streams[0], self)
        return self.is_set()


class Silent:
    """A stream that calls only when it is told."""

    active = True

    def __init__(self, callback):
        self.callback, self.closed = callback, 0

    def call(self):
        self.callback(None, None, 512, None, None)

    def latency_ms(self):
        return 0.0, 0.0

    def close(self):
        self.closed += 1


def watched(script):
    """Run a supervisor that does not wait through (seconds, action) looks; the stream is passed."""
    from rtdenoise.core.counters import Counters
    from rtdenoise.core.stream import Stream as Form

    clock, streams = Clock(), list[Silent]()
    stop = Wait(clock, script, streams)
    session = Session(Late(Form(RATE, 1)), Counters(), RATE, (1, 1), 0.01)
    drive = Drive(session, None, None, None, stop)

    def opener(callback):
        streams.append(Silent(callback))
        return streams[-1], "card"

    supervisor = Supervisor(drive, opener, lambda: None, None, clock)
    supervisor.run()
    return streams[0]


def call(stream, _stop):
    stream.call()


def nothing(_stream, _stop):
    pass


def end(_stream, stop):
    stop.set()


CALLS = [(0.1, call)] * round(10 * (START_S + 1))


def test_a_process_that_was_stopped_does_not_blame_the_device():
    """Suspend, SIGSTOP: the time between two looks was not the device's."""
    watched([*CALLS, (3.0, nothing), (0.1, nothing), (0.1, call), (8 * 3600, nothing), (0.1, end)])


def test_a_stream_that_starts_may_stall():
    """A null sink plays two blocks, and then none for more than a second."""
    stall = [(0.1, nothing)] * round(10 * (START_S - 0.5))
    watched([(0.1, call), (0.1, call), *stall, (0.1, call), (0.1, end)])


@pytest.mark.parametrize(
    "script",
    [
        [*CALLS, *[(0.1, nothing)] * round(10 * DEAD_S + 2)],
        [(0.1, call), *[(0.1, nothing)] * round(10 * START_S + 2)],
    ],
    ids=["in mid run", "at the start"],
)
def test_a_stream_that_makes_no_calls_is_gone(script):
    """Most devices do not say that they are gone."""
    with pytest.raises(DeviceError, match="the sound device is gone: card"):
        watched(script)
