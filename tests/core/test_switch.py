"""A change of the stage that runs: aligned to the sample, without a jump, at one delay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from rtdenoise.core.blend import Blend
from rtdenoise.core.stage import Chain, Delayed, process
from rtdenoise.core.stream import Stream
from rtdenoise.core.switch import FADE_S, WARM_S, Switch
from rtdenoise.nets.box import find
from rtdenoise.nets.line import Line
from tests.sounds import lag
from tests.toy_nets import Identity, Smoother, generator_for

RATE = 48_000
STEREO = Stream(RATE, 2)
IDENTITY, SMOOTHER = generator_for(Identity()), generator_for(Smoother())
SHORT = generator_for(Identity(), window=256, hop=128)
LONG = generator_for(Identity(), window=4096, hop=2048)
NOISE = np.random.default_rng(440).standard_normal((2, 2 * RATE)).astype(np.float32) * 0.1
HZ, LEVEL = 441.0, 0.5
SINE = (LEVEL * np.sin(2 * np.pi * HZ * np.arange(4 * RATE) / RATE)).astype(np.float32)[None]
SLOPE = 2 * np.pi * HZ / RATE * LEVEL  # the largest step of the sine from sample to sample
FADE, WARM = round(FADE_S * RATE), round(WARM_S * RATE)


def switched(stage, others, audio, every, block=512) -> np.ndarray:
    """*audio* after a switch that changes to the next of *others* after each *every* blocks."""
    switch, out = Switch(stage), []
    todo = list(others)
    for at in range(0, audio.shape[1], block):
        if todo and at and at % (every * block) == 0:
            switch.change(todo.pop(0))
        out.append(np.array(switch.push(audio[:, at : at + block])))
    assert not todo
    return np.concatenate(out, axis=1)


@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_a_sine_does_not_jump_however_often_the_net_changes(rate):
    """Between nets that change nothing, also where each is resampled, the delay is one.

    The output is then the sine itself all along, so its steps are those of the sine.
    """
    stream = Stream(rate, 1)
    nets = [SHORT, IDENTITY] * 2
    out = switched(Line(IDENTITY, stream), [Line(net, stream) for net in nets], SINE, 60)
    sound = out[:, 4096:]

    assert np.abs(np.diff(sound)).max() <= SLOPE * 1.02
    late = Line(IDENTITY, stream).latency
    np.testing.assert_allclose(sound, SINE[:, 4096 - late : -late], atol=1e-4)


class Heard(Line):
    """A line that keeps what it gave."""

    def __init__(self, net, stream) -> None:
        super().__init__(net, stream)
        self.gave: list[np.ndarray] = []

    def push(self, block):
        self.gave.append(super().push(block))
        return self.gave[-1].copy()


def test_a_real_net_is_faded_in_without_a_jump():
    """`speech` and an identity in turn: no step beyond those of both sounds, and of the fade.

    (1 - g) a + g b steps by at most the larger step of a and b, and by |b - a| times that of g.
    """
    stream, audio = Stream(RATE, 1), SINE[:, : 3 * RATE]
    first = Heard(IDENTITY, stream)
    turns = [Heard(net, stream) for net in (find("speech"), IDENTITY)]
    out = switched(first, turns, audio, 90)
    heard = [np.concatenate(first.gave, axis=1)[:, 2048:]]
    heard += [np.concatenate(turn.gave, axis=1)[:, turn.latency + WARM :] for turn in turns]
    own = max(np.abs(np.diff(sound)).max() for sound in heard)
    apart = sum(sorted(np.abs(sound).max() for sound in heard)[-2:])

    assert np.abs(heard[1]).max() < 0.9 * LEVEL  # a sine is no speech: the sounds do differ
    assert np.abs(np.diff(out[:, 2048:])).max() <= own + apart / FADE


def test_more_delay_is_a_fade_too():
    """The sine of both delays is mixed: no step beyond the slope and the share of the fade."""
    stream = Stream(RATE, 1)
    short, long = Line(IDENTITY, stream), Line(LONG, stream)
    out = switched(short, [long, Line(SHORT, stream)], SINE, 100)

    assert np.abs(np.diff(out[:, 2048:])).max() <= SLOPE + 2 * LEVEL / FADE
    np.testing.assert_allclose(
        out[:, -RATE:], SINE[:, -RATE - long.latency : -long.latency], atol=1e-5
    )


def test_the_delay_is_that_of_before_and_rises_once():
    """Measured by correlation; a net with less is delayed to it."""
    stream = Stream(RATE, 1)
    audio = NOISE[:1]
    switch, lags, told = Switch(Line(IDENTITY, stream)), [], []
    for net in (None, SHORT, LONG, SHORT, IDENTITY):
        if net is not None:
            switch.change(Line(net, stream))
            process_through(switch, audio)
        out = process_through(switch, audio)
        lags.append(lag(out[0], audio[0]))
        told.append(switch.latency)

    assert lags == told == [1024, 1024, 4096, 4096, 4096]


def process_through(switch, audio) -> np.ndarray:
    """*audio* after the switch, block by block; it goes on afterwards."""
    return np.concatenate(
        [switch.push(audio[:, at : at + 480]) for at in range(0, audio.shape[1], 480)], axis=1
    )


def test_the_new_net_is_what_it_would_be_had_it_run_all_along():
    """Its state has seen half a second when it is heard: the smoother forgets in less."""
    out = switched(Line(IDENTITY, STEREO), [Line(SMOOTHER, STEREO)], NOISE, 20)
    along = process(Line(SMOOTHER, STEREO), NOISE)
    late = 1024
    end = 20 * 512 + late + WARM + FADE

    np.testing.assert_allclose(out[:, end:], along[:, end - late : -late], atol=1e-6)


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(0, 2 * RATE), max_size=12), at=st.integers(0, RATE))
def test_any_cut_gives_the_same_samples_if_the_change_is_at_one_sample(cuts, at):
    """The warm-in and the fade count samples, and not blocks."""

    def out(cuts: list[int]) -> np.ndarray:
        switch, begun = Switch(Blend(Chain([], STEREO))), False
        parts: list[np.ndarray] = []
        for block in np.split(NOISE, sorted({*cuts, at}), axis=1):
            if sum(part.shape[1] for part in parts) == at and not begun:
                switch.change(Line(SMOOTHER, STEREO))
                begun = True
            parts.append(np.array(switch.push(block)))
        return np.concatenate(parts, axis=1)

    np.testing.assert_allclose(out(cuts), out([]), atol=1e-6)


class Breaks:
    """A stage of somebody, which raises."""

    latency, stream = 0, STEREO

    def push(self, block):
        raise RuntimeError("broken on purpose")

    def reset(self) -> None:
        pass


def test_a_stage_that_raises_is_never_heard():
    """The old one goes on as if nothing had been asked."""
    switch = Switch(Delayed(Chain([], STEREO), 100))
    switch.change(Breaks())
    out = process_through(switch, NOISE)

    assert switch.settled
    assert str(switch.fault) == "broken on purpose"
    assert np.array_equal(out[:, 100:], NOISE[:, :-100])


def test_of_two_changes_at_once_the_last_counts():
    """Who turns through a list of models hears the one where he stops."""
    switch = Switch(Chain([], STEREO))
    wanted = Line(IDENTITY, STEREO)
    heard = []
    switch.change(Line(SMOOTHER, STEREO), heard=lambda: heard.append("first"))
    switch.change(wanted, heard=lambda: heard.append("last"))
    process_through(switch, NOISE)

    assert (heard, switch.stage, switch.settled) == (["last"], wanted, True)


def test_what_has_run_is_left_for_another_thread():
    """`push` frees no stage, which could take longer than a block."""
    first = Line(SMOOTHER, STEREO)
    switch = Switch(first)
    switch.change(Line(IDENTITY, STEREO))
    process_through(switch, NOISE)

    assert [one.stage for one in switch.left] == [first]


def test_a_reset_ends_a_change():
    """A device came back: there is no sound to fade from, and the new thread is prepared."""
    prepared = []
    switch = Switch(Line(SMOOTHER, STEREO))
    switch.change(Line(IDENTITY, STEREO), prepare=lambda: prepared.append(1))
    switch.push(NOISE[:, :512])
    switch.reset()
    out = process_through(switch, NOISE)

    assert switch.settled
    assert len(prepared) == 2
    np.testing.assert_allclose(out[:, 1024:], NOISE[:, :-1024], atol=1e-6)
