"""The pool: what a stream gets does not depend on the other streams, nor on how it is cut."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

from rtdenoise.chain.effect import Denoise
from rtdenoise.core.counters import Counters
from rtdenoise.core.stage import Chain, drain
from rtdenoise.nets.box import find
from rtdenoise.nets.engine import engines
from rtdenoise.serve.lane import Lane, encoded
from rtdenoise.serve.menu import Menu, independent
from rtdenoise.serve.pool import Answer, Hub, Shared
from rtdenoise.serve.protocol import Hello
from rtdenoise.serve.timing import Times
from tests.toy_nets import Hums, Identity, Smoother, generator_for

NOTHING = Chain([], Hello(48_000).stream)
CLOSE = 2e-6  # the rounding of another batch size; full scale is 1


class Wrapped:
    """A net with another call."""

    holds_state = False

    def __init__(self, net):
        self.net, self.card = net, net.card
        self.analysis, self.synthesis = net.analysis, net.synthesis
        self.rows = []

    def begin(self, stream):
        return self

    def initial_state(self, channels):
        return self.net.initial_state(channels)

    def __call__(self, windows, state):
        self.rows.append(len(windows))
        return self.net(windows, state)

    def prepare_thread(self):
        self.net.prepare_thread()

    def one_thread(self):
        return self.net.one_thread()


class Picky(Wrapped):
    """A net that raises when a sample is far too large."""

    def __call__(self, windows, state):
        if np.abs(windows).max() > 5:
            self.rows.append(len(windows))
            raise ValueError("too loud")
        return super().__call__(windows, state)


class Blender(Wrapped):
    """A net whose channels hear each other, against the contract."""

    def __call__(self, windows, state):
        out, after = super().__call__(windows, state)
        return out + windows.mean(axis=0, keepdims=True), after


def through(lanes, sounds, rng):
    """What each of *lanes* gives for its (channels, n) of *sounds*, sent in random cuts in turn."""
    got: dict[Lane, list[bytes]] = {lane: [] for lane in lanes}
    over = threading.Semaphore(0)
    faults = []

    def give(answers):
        for answer in answers:
            got[answer.lane].append(answer.message)
            faults.append(answer.fault)
            if answer.over:
                over.release()

    hub = Hub(give)
    hub.start()
    rest = [lane.hello.encoded(sound) for lane, sound in zip(lanes, sounds, strict=True)]
    while any(rest):
        for at, lane in enumerate(lanes):
            size = int(rng.integers(1, 3000)) * lane.hello.frame_bytes
            hub.send(lane, rest[at][:size])
            rest[at] = rest[at][size:]
    for lane in lanes:
        hub.end(lane)
    for _ in lanes:
        assert over.acquire(timeout=60)
    hub.stop()
    assert not any(faults)
    return [lane.hello.decoded(b"".join(got[lane])) for lane in lanes]


def alone(net, hello, sound):
    """What the effect itself gives for *sound* in one block, with the tail, as a file has it."""
    stage = Denoise(net, hello.mix, hello.atten_lim_db).stage(hello.stream)
    message = hello.encoded(sound)
    whole = [stage.push(hello.decoded(message)), drain(stage)]
    return hello.decoded(hello.encoded(np.concatenate(whole, axis=1)))


def test_many_streams_get_what_each_would_get_alone(rng):
    """Any rate, channels, format and strength beside each other; the samples are the file's."""
    net = find("speech")
    hellos = [
        *(Hello(rate, format="f32") for rate in (8000, 11_025, 16_000, 22_050, 44_100, 48_000)),
        Hello(48_000, 2), Hello(48_000, 3, "f32", mix=60), Hello(44_100, 2, atten_lim_db=12),
        Hello(96_000, format="f32"), Hello(48_000, 1, "s16"),
    ]  # fmt: skip
    sounds = [
        (0.1 * rng.standard_normal((hello.channels, hello.rate // 3))).astype(np.float32)
        for hello in hellos
    ]
    lanes = [Menu([net]).lane(hello) for hello in hellos]

    for hello, sound, lane, given in zip(
        hellos, sounds, lanes, through(lanes, sounds, rng), strict=True
    ):
        step = 2**-15 if hello.format == "s16" else 0
        np.testing.assert_allclose(given, alone(net, hello, sound), rtol=0, atol=CLOSE + step)
        counts = lane.counts()
        assert counts["frames_in"] == sound.shape[1]
        assert counts["frames_out"] == sound.shape[1] + lane.stage.latency
        assert counts["dry"] == counts["failed"] == 0


def test_streams_share_the_calls_of_a_net(rng):
    """That is what the pool is for: several rows a call, and each row once."""
    net = Wrapped(generator_for(Smoother()))
    sounds = [rng.standard_normal((1, 512 * 20)).astype(np.float32) * 0.1 for _ in range(8)]
    lanes = [Menu([net]).lane(Hello(48_000, format="f32")) for _ in sounds]
    net.rows.clear()
    through(lanes, sounds, rng)

    assert max(net.rows) > 1


def test_a_net_that_raises_for_one_stream_fails_that_stream_only(rng):
    """The others get what they would get without it, and pay for it once."""
    net = Picky(generator_for(Smoother()))
    hello = Hello(48_000, format="f32")
    sounds = [rng.standard_normal((1, 512 * 40)).astype(np.float32) * 0.1 for _ in range(6)]
    sounds[2][0, 6000:9000] *= 1000
    lanes = [Menu([net]).lane(hello) for _ in sounds]
    given = through(lanes, sounds, rng)

    for at, lane in enumerate(lanes):
        np.testing.assert_allclose(given[at], alone(net, hello, sounds[at]), rtol=0, atol=CLOSE)
        assert (lane.counters["failed"] > 0) == (at == 2)
    shared: list[Any] = [next(engines(lane.stage)).net for lane in lanes]
    assert [each.alone for each in shared] == [at == 2 for at in range(6)]


def test_a_net_that_gives_nan_for_one_stream_fails_that_stream_only(rng):
    """A row of NaN is the fault of its stream: no call is repeated for it."""

    class Breaks(Wrapped):
        def __call__(self, windows, state):
            out, after = super().__call__(windows, state)
            out = np.array(out)
            out[np.abs(windows).max(axis=(1, 2)) > 5] = np.nan
            return out, after

    net, hello = Breaks(generator_for(Smoother())), Hello(48_000, format="f32")
    sounds = [rng.standard_normal((1, 512 * 20)).astype(np.float32) * 0.1 for _ in range(4)]
    sounds[1][0, 3000:4000] *= 1000
    lanes = [Menu([net]).lane(hello) for _ in sounds]

    for at, given in enumerate(through(lanes, sounds, rng)):
        np.testing.assert_allclose(given, alone(net, hello, sounds[at]), rtol=0, atol=CLOSE)
    assert [lane.counters["failed"] > 0 for lane in lanes] == [False, True, False, False]


def test_no_stream_hears_another_one(rng):
    """A net that mixes its channels, against the contract, is called once for each stream."""
    net, hello = Blender(generator_for(Identity())), Hello(48_000, format="f32")
    assert not independent(net)
    assert all(map(independent, (generator_for(Identity()), find("speech"))))
    sounds = [rng.standard_normal((1, 5000)).astype(np.float32) * 0.1 for _ in range(4)]
    lanes = [Menu([net]).lane(hello) for _ in sounds]
    net.rows.clear()

    for given, sound in zip(through(lanes, sounds, rng), sounds, strict=True):
        np.testing.assert_allclose(given, alone(net, hello, sound), rtol=0, atol=CLOSE)
    assert set(net.rows) == {1}


def test_an_effect_that_raises_ends_its_stream_only(rng):
    """Whatever it raises: the hub goes on, and the client is told."""

    class Falls:
        latency, stream = 0, Hello(48_000).stream

        def push(self, block):
            raise RuntimeError("fell")

        def reset(self):
            pass

    good = Menu([generator_for(Identity())]).lane(Hello(48_000, format="f32"))
    bad = Lane(Hello(48_000, format="f32"), Falls(), Counters(), None)
    ended: list[Answer] = []
    hub = Hub(lambda answers: ended.extend(answer for answer in answers if answer.over))
    for lane in (bad, good):
        hub._add(lane, lane.hello.encoded(np.ones((1, 512), np.float32)), 0.0)
    hub.round(hub._chosen())

    assert [(answer.lane, str(answer.fault)) for answer in ended] == [(bad, "fell")]
    assert good.frames_out == 512


def lane_of(net, rate=48_000):
    """A stream of a net."""
    return Menu([net]).lane(Hello(rate, format="f32"))


def add(hub, lane, hops, at_s):
    """Let audio come for a stream at the time *at_s*."""
    hub._add(lane, lane.hello.encoded(np.full((1, hops * lane.hop), 0.1, np.float32)), at_s)


def test_live_streams_go_before_one_that_sends_ahead_of_time(identity):
    """A second of audio that comes at once is not urgent; a hop that comes now is."""
    hub, ahead, live = Hub(lambda answers: None), lane_of(identity), lane_of(identity)
    add(hub, ahead, 200, at_s=100.0)
    hub.round([(ahead, 10 * ahead.hop)])  # a tenth of a second of it is done at once
    add(hub, live, 1, at_s=100.02)

    assert hub._chosen()[0][0] is live


def test_a_stream_that_is_ahead_never_falls_behind_real_time(identity):
    """Its audio has the time at which it would be there in real time, and then goes first."""
    hub, ahead, live = Hub(lambda answers: None), lane_of(identity), lane_of(identity)
    add(hub, ahead, 200, at_s=100.0)
    hub.round([(ahead, 10 * ahead.hop)])
    add(hub, live, 1, at_s=100.2)

    assert hub._chosen()[0][0] is ahead


def test_streams_that_are_ahead_share_alike(identity):
    """The one of which less was processed goes first, whatever each has sent."""
    hub, one, other = Hub(lambda answers: None), lane_of(identity), lane_of(identity)
    add(hub, one, 400, at_s=1.0)
    add(hub, other, 100, at_s=1.0)
    apart = []
    while other.waiting:
        hub.round(hub._chosen()[:1])
        apart.append(abs(one.frames_out - other.frames_out))

    assert max(apart) <= 8 * one.hop


def test_older_audio_goes_first(identity):
    """Of streams in real time, the one that has waited longest."""
    hub = Hub(lambda answers: None)
    lanes = [lane_of(identity) for _ in range(5)]
    for lane, at_s in zip(lanes, (3.0, 1.0, 5.0, 2.0, 4.0), strict=True):
        add(hub, lane, 1, at_s)

    assert [lane for lane, _ in hub._chosen()] == [lanes[at] for at in (1, 3, 0, 4, 2)]


def test_silence_costs_no_call(identity):
    """A stream whose net has come to rest is not a row of any call."""
    net = Wrapped(generator_for(Identity()))
    lane, hub = lane_of(net), Hub(lambda answers: None)
    for _ in range(300):
        hub._add(lane, lane.hello.encoded(np.zeros((1, 512), np.float32)), 0.0)
        hub.round([(lane, 512)])
    net.rows.clear()
    hub._add(lane, lane.hello.encoded(np.zeros((1, 51_200), np.float32)), 0.0)
    while lane.waiting:
        hub.round(hub._chosen())

    assert not net.rows
    assert lane.counters["hops"] == 400


def test_no_round_waits_for_a_client_that_is_gone(identity):
    """What is dropped is forgotten with its greenlet."""
    hub, lane = Hub(lambda answers: None), lane_of(identity)
    add(hub, lane, 3, at_s=0.0)
    hub.round([(lane, 512)])
    task = hub._tasks[lane]
    hub._drop(lane)

    assert task.dead
    assert not hub._ready
    assert not hub._tasks


def test_nan_in_a_stream_is_silence_and_counted(identity):
    """As in a file: a plugin would keep it for ever."""
    lane, got = lane_of(identity), list[Answer]()
    hub = Hub(got.extend)
    hub._add(lane, np.array([np.nan, np.inf, 0.5], "<f4").tobytes(), 0.0)
    hub._end(lane, 0.0)
    while lane.waiting:
        hub.round(hub._chosen())
    out = lane.hello.decoded(b"".join(answer.message for answer in got))

    np.testing.assert_allclose(out[0, -3:], [0, 0, 0.5], atol=1e-6)
    assert lane.counts()["nonfinite"] == 2


@pytest.mark.parametrize("formats", [["s16"], ["f32"], ["s16", "f32", "s16"]])
def test_all_integers_of_a_round_are_rounded_as_one_stream_is(formats, rng):
    """The messages are those of `Hello.encoded`, whoever else is in the round."""
    given = []
    for channels, format in enumerate(formats, 1):
        lane = Lane(Hello(48_000, channels, format), NOTHING, Counters(), None)
        given.append((lane, rng.uniform(-1.3, 1.3, (channels, 77)).astype(np.float32)))

    assert encoded(given) == [lane.hello.encoded(out) for lane, out in given]


def test_a_late_server_takes_all_streams_into_one_round(identity):
    """Whatever was measured before: the more streams a call has, the less each of them costs."""
    hub = Hub(lambda answers: None)
    lanes = [lane_of(identity) for _ in range(40)]
    for lane in lanes:
        add(hub, lane, 3, at_s=1.0)
    for _ in range(50):
        hub.times.note(1, 1.0)

    assert {lane for lane, _ in hub._chosen()} == set(lanes)


def test_audio_that_is_ahead_of_time_waits_if_a_round_would_be_long(identity):
    """A file that is sent at once never makes live streams late."""
    hub, live = Hub(lambda answers: None), lane_of(identity)
    ahead = [lane_of(identity) for _ in range(20)]
    add(hub, live, 1, at_s=1.0)
    for lane in ahead:
        add(hub, lane, 200, at_s=1e9)
    hub.times.note(1, 1.0)
    assert hub._chosen() == [(live, live.hop)]

    hub.times = Times()
    hub.times.note(100, 1e-4)
    assert len(hub._chosen()) == 21


def test_the_hub_ends_when_it_is_asked():
    """Also with audio that waits."""
    hub, lane = Hub(lambda answers: None), lane_of(generator_for(Hums()))
    hub.start()
    hub.send(lane, lane.hello.encoded(np.ones((1, 48_000), np.float32)))
    hub.stop()

    assert not hub.alive


def test_the_clock_of_a_stream_follows_what_comes():
    """A pause of the client does not make its next audio old, nor new."""
    lane = Lane(Hello(48_000), NOTHING, Counters(), 512 / 48_000)
    now_s = time.perf_counter()
    lane.add(np.zeros((1, 480), np.float32), now_s)
    lane.take(480)
    lane.add(np.zeros((1, 480), np.float32), now_s + 5)

    assert lane.due_s == pytest.approx(now_s + 5 + 512 / 48_000)


def test_a_net_outside_of_a_pool_is_called_at_once(identity):
    """A stage of `Shared` works anywhere, as when its latency is measured."""
    windows = np.ones((1, 1, 1024), np.float32)
    out, _ = Shared(identity)(windows, identity.initial_state(1))

    np.testing.assert_array_equal(out, windows)
