"""doctor says yes or no, why, and with which settings; no test depends on this machine's speed."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from rtdenoise.live.ends import NullEnd
from rtdenoise.nets.line import Line
from rtdenoise.proof.doctor import Answer, Question, Refusal, judge, settings, trials
from rtdenoise.proof.loop import LEVEL, chirp
from rtdenoise.proof.rehearsal import SETTLE_S, Setting, Trial, rehearse
from tests.proof.headset import DEVICES, RATE, Card, Takes
from tests.toy_nets import Breaks, generator_for


def ask(card: Card, *hops_s: float, setting: Setting = DEVICES, quiet: bool = False):
    """The trials of the models m0, m1, ... of these hop times on *card*; the answer."""
    names = [f"m{n}" for n in range(len(hops_s))]
    question = Question(names[0], setting, 0.5, quiet, names[1:])
    made = dict(zip(names, hops_s, strict=True))
    tried = list(trials(question, lambda name: Takes(made[name]), card, card.clock))
    return tried, judge(question, tried)


def test_a_fast_model_is_a_yes_at_the_first_setting():
    """It is opened as `live` opens it: a block of one hop, low latency, one in and two out."""
    card = Card()
    tried, answer = ask(card, 0.002)
    (trial,) = tried

    assert (answer.verdict, answer.trial, answer.better, answer.reasons) == ("yes", trial, None, [])
    assert trial.hops.p99_ms == pytest.approx(2.0)
    assert trial.hops.deadline_ms == pytest.approx(10.667, abs=1e-3)
    assert [(w.rate, w.block, w.channels, w.latency) for w in card.opened] == [
        (RATE, 512, (1, 2), "low")
    ]


def test_a_model_that_is_too_slow_is_a_no_with_the_reason():
    """No buffer makes it faster, so none is tried."""
    card = Card()
    tried, answer = ask(card, 0.02)

    assert answer.verdict == "no"
    assert len(card.opened) == len(tried) == 1
    assert answer.reasons == [
        "the model is too slow: of 100 hops, one takes 20.0 ms or more, and has 10.7 ms"
    ]


def test_a_model_that_is_held_up_is_not_called_slow():
    """A hop in ten takes 20 ms, and the others 1 ms: that is another program, or the clock."""

    class HeldUp(Takes):
        def stage(self, stream, counters=None):
            times = (
                at for hop in count() for at in (hop, hop + (0.02 if hop % 10 == 0 else 0.001))
            )
            return Line(self.net, stream, self.strength, counters, times.__next__)

    card = Card()
    trial = rehearse("m", HeldUp(0), DEVICES, 1.0, card, clock=card.clock)

    assert trial.verdict == "no"
    assert trial.reasons[0].startswith("something holds up the model: of 100 hops, one takes 20.0")


@pytest.mark.parametrize(
    ("own_s", "other_s", "verdict", "better"),
    [
        (0.02, 0.002, "no", "m1"),
        (0.02, 0.008, "no", "m1"),
        (0.02, 0.03, "no", None),
        (0.008, 0.002, "barely", "m1"),
        (0.008, 0.009, "barely", None),
    ],
)
def test_another_model_is_named_only_if_it_did_better_here(own_s, other_s, verdict, better):
    """It is measured on the same devices."""
    tried, answer = ask(Card(), own_s, other_s)

    assert answer.verdict == verdict
    assert [trial.model for trial in tried] == ["m0", "m1"]
    assert (answer.better.model if answer.better else None) == better


@pytest.mark.parametrize(
    ("loses", "works"),
    [
        (lambda w: w.latency == "low", (None, "high")),
        (lambda w: w.block < 1024, (1024, "high")),
    ],
)
def test_where_sound_is_lost_larger_buffers_are_tried(loses, works):
    """In turn, until one is clean."""
    _, answer = ask(Card(loses=loses), 0.002)
    setting = answer.trial.setting

    assert answer.verdict == "yes"
    assert (setting.block, setting.latency) == works


def test_where_every_buffer_loses_sound_the_answer_is_no():
    """The model is not to blame, and the reason says so."""
    card = Card(loses=lambda w: True)
    _, answer = ask(card, 0.002)

    assert [(w.block, w.latency) for w in card.opened] == [
        (512, "low"), (512, "high"), (1024, "high")
    ]  # fmt: skip
    assert answer.verdict == "no"
    assert answer.trial.starved
    assert re.match(
        r"the driver lost \d+ blocks of the input and 0 of the output", answer.reasons[0]
    )


def test_what_the_user_asks_is_tried_first_and_once():
    """Then the usual settings that differ from it."""
    effect = Takes(0.001)

    def tried(**asked):
        return [(s.block, s.latency) for s in settings(replace(DEVICES, **asked), effect)]

    assert tried(latency="high") == [(None, "high"), (1024, "high")]
    assert tried(rate=44_100, block=960) == [(960, "low"), (960, "high"), (941, "high")]


def test_a_device_that_takes_too_little_sound_is_no_real_time():
    """Half of the sound in its time is a reason, whatever the driver reports."""
    card = Card()
    trial = rehearse("m", Takes(0.002), DEVICES, 1.0, card, clock=lambda: 2 * card.clock())

    assert trial.verdict == "no"
    assert trial.starved
    assert trial.reasons == ["only 50 % of the sound went through in its time"]


def test_a_device_that_refuses_a_setting_is_tried_with_the_next():
    """Many cards refuse the lowest latency."""
    tried, answer = ask(Card(refuses=lambda w: w.latency == "low"), 0.002)

    assert isinstance(tried[0], Refusal)
    assert answer.verdict == "yes"
    assert answer.trial.setting.latency == "high"


def test_a_device_that_refuses_everything_is_no_device():
    """No other model is loaded for it."""
    card = Card(refuses=lambda w: True)
    tried, answer = ask(card, 0.002, 0.001)

    assert {trial.model for trial in tried} == {"m0"}
    assert answer == Answer("no", None, None, ["Invalid number of channels"])


def test_a_model_that_fails_is_a_no():
    """A hop in ten that gives NaN is no clean sound."""
    trial = rehearse("m", Takes(0.001, generator_for(Breaks(10))), DEVICES, 1.0, (c := Card()),
                     clock=c.clock)  # fmt: skip

    assert trial.verdict == "no"
    assert re.fullmatch(r"the model failed in \d+ hops", trial.reasons[0])


@pytest.mark.parametrize(
    ("rate", "delay", "gain"),
    [(48_000, 1024, 1.0), (48_000, 4801, 0.05), (44_100, 9999, -0.5), (16_000, 171, 1.0)],
)
def test_a_loop_of_known_delay_is_measured_to_the_sample(rate, delay, gain):
    """Through a cable, a quiet one, and one with the poles changed."""
    card = Card(delay, rates=(rate,), gain=gain, noise=1e-4)
    trial = rehearse("m", Takes(0.001), DEVICES, 1.0, card, clock=card.clock)
    window_ms = trial.latency_ms["window, resampler, effects"]

    assert trial.loop == delay
    assert trial.loop_ms == pytest.approx(1e3 * delay / rate)
    assert trial.total_ms == pytest.approx(1e3 * delay / rate + window_ms)


def test_without_a_loop_no_delay_is_claimed():
    """Nor if no chirp may be played; the input of null hears nothing."""
    card = Card(noise=0.2)
    assert rehearse("m", Takes(0.001), DEVICES, 1.0, card, clock=card.clock).loop is None
    looped = Card(1024)
    trial = rehearse("m", Takes(0.001), DEVICES, 1.0, looped, quiet=True, clock=looped.clock)

    assert trial.loop is None
    assert not trial.chirp
    assert not np.concatenate(looped.heard).any()


def test_nothing_but_the_chirp_is_played():
    """The model's output would howl, with speakers beside the microphone."""
    card = Card(1024)
    rehearse("m", Takes(0.001), DEVICES, 1.0, card, clock=card.clock)
    left, right = np.concatenate(card.heard).T
    begin, tone = round(SETTLE_S * RATE), chirp(RATE)

    np.testing.assert_allclose(left[begin : begin + len(tone)], tone, atol=1e-7)
    assert not left[:begin].any()
    assert not left[begin + len(tone) :].any()
    assert np.array_equal(left, right)
    assert np.abs(left).max() <= LEVEL


def test_a_trial_without_devices_has_no_chirp():
    """`null` hears nothing."""
    trial = rehearse("m", Takes(0.001), Setting(NullEnd(), NullEnd()), 0.3, Card())

    assert isinstance(trial, Trial)
    assert not trial.chirp
    assert trial.input_db is None
