"""doctor says yes or no, why, and with which settings; no test depends on this machine's speed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest

from rtdenoise.chain.effect import Denoise
from rtdenoise.cli import doctor as verb, parser
from rtdenoise.cli.doctor_lines import answer_lines, finding_lines, trial_lines
from rtdenoise.errors import DeviceError
from rtdenoise.live.devices import PortAudio, Wiring
from rtdenoise.live.ends import DeviceEnd, NullEnd
from rtdenoise.nets.line import Line
from rtdenoise.proof.doctor import Answer, Question, Refusal, judge, settings, trials
from rtdenoise.proof.loop import LEVEL, chirp
from rtdenoise.proof.rehearsal import SETTLE_S, Setting, Trial, rehearse
from tests.live.array_card import ArrayCard, Stream, device
from tests.toy_nets import Breaks, Identity, generator_for

RATE = 48_000
DEVICES = Setting(DeviceEnd("mic"), DeviceEnd("speakers"))
QUIET_ROOM = np.full((1, 1), 1e-3, np.float32)
LOST = SimpleNamespace(
    input_overflow=True, input_underflow=False, output_underflow=False, output_overflow=False
)


class Takes(Denoise):
    """A model whose every hop takes *hop_s*, on any machine."""

    def __init__(self, hop_s: float, net=None) -> None:
        super().__init__(net or generator_for(Identity()))
        self.hop_s = hop_s

    def stage(self, stream, counters=None):
        return Line(self.net, stream, self.strength, counters, count(0.0, self.hop_s).__next__)


class Card(ArrayCard):
    """A card whose input hears its output.

    Args:
        delay: Samples from the output back to the input, at least a block. None: it hears noise.
        loses: Whether a stream with these settings loses blocks.
        refuses: Whether a stream with these settings cannot be opened.
        loss: A block in so many is lost.
    """

    def __init__(
        self,
        delay: int | None = None,
        loses: Callable[[Wiring], bool] = lambda wiring: False,
        refuses: Callable[[Wiring], bool] = lambda wiring: False,
        noise: float = 1e-3,
        rates: tuple[int, ...] = (RATE,),
        gain: float = 1.0,
    ) -> None:
        super().__init__(QUIET_ROOM, rates)
        # One device, so that both ends surely have one clock.
        self.devices = [device(0, "Headset", 1, 2, rates[0], "input output")]
        self.delay, self.loses, self.refuses = delay, loses, refuses
        self.noise, self.gain, self.samples = noise, gain, 0
        self.opened: list[Wiring] = []

    def open(self, wiring, callback):
        self.opened.append(wiring)
        if self.refuses(wiring):
            raise DeviceError("Invalid number of channels")
        return Loop(self, wiring, callback)

    def clock(self) -> float:
        """The time by this card, which keeps the pace of its rate."""
        return self.samples / self.rates[0]


class Driver:
    """The list of a card's devices, as PortAudio gives it."""

    def __init__(self, card: ArrayCard) -> None:
        self.card = card

    def version(self):
        return "19.7.0", ["Array"]

    def devices(self):
        return self.card.devices


class Loop(Stream):
    """The stream of a `Card`."""

    card: Card

    def _call(self) -> None:
        card, block, at = self.card, self.wiring.block, 0
        rng = np.random.default_rng(3)
        played = np.zeros(20 * RATE, np.float32)
        status = LOST if card.loses(self.wiring) else None
        while not self._stop.wait(0.0005):
            heard = card.noise * rng.standard_normal((block, 1)).astype(np.float32)
            if card.delay is not None:
                begin = at - card.delay
                back = played[max(0, begin) : max(0, begin + block)]
                heard[block - len(back) :, 0] += card.gain * back
            out = np.full((block, self.wiring.channels[1]), np.nan, np.float32)
            self.callback(heard, out, block, None, status)
            card.heard.append(out)
            played[at : at + block] = out[:, 0]
            at += block
            card.samples += block


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


def doctor(card: Card, *flags: str, hop_s: float = 0.001, driver=None) -> int:
    """The verb on *card*, with models that take *hop_s*, or 1 ms if they are small."""
    args = parser().parse_args(["doctor", "--seconds", "1", *flags])

    def make(name: str):
        return Takes(0.001 if "small" in name else hop_s)

    return verb.run(args, make, card, driver or Driver(card), card.clock)


def test_the_exit_code_is_the_answer(capsys):
    """0, and a command to paste; 1, and a model that works."""
    assert doctor(Card(loses=lambda w: w.latency == "low")) == 0
    assert capsys.readouterr().out.endswith(
        "yes: speech runs live here\n  rtdenoise live --latency high\n"
    )
    assert doctor(Card(), hop_s=0.02) == 1
    told = capsys.readouterr().out
    assert "no: speech does not run live here: the model is too slow" in told
    assert told.endswith("  rtdenoise live --model speech-small\n")
    assert doctor(Card(), "-m", "speech-small", "--block", "256", "--rate", "48000") == 0
    assert capsys.readouterr().out.endswith(
        "  rtdenoise live --model speech-small --rate 48000 --block 256\n"
    )


def test_a_missing_device_names_the_fix(capsys):
    """Exit code 3; what there is, is listed, and the rest of the machine is examined."""
    assert doctor(Card(), "--in", "usb") == 3
    told = capsys.readouterr().out

    assert "no device for --in 'usb'. There are:" in told
    assert "[0] Headset, Array (1 in, 2 out)" in told
    assert "Give an index or a longer name." in told
    assert "CPU governor" in told


def test_without_portaudio_the_fix_is_named(capsys):
    """Exit code 3."""

    def load():
        raise OSError("PortAudio library not found")

    assert doctor(Card(), driver=PortAudio(load)) == 3
    assert "sudo apt install libportaudio2" in re.sub(r"\s+", " ", capsys.readouterr().out)


def test_without_any_device_null_is_still_examined(capsys):
    """The model alone, without PortAudio."""
    card = Card()
    args = parser().parse_args(["doctor", "--in", "null", "--out", "null", "--seconds", "1"])

    assert verb.run(args, lambda name: Takes(0.001), card, None) == 0
    assert "PortAudio" not in capsys.readouterr().out
    assert not card.opened


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--in", "file:x.wav"), "a file is no sound device"),
        (("--seconds", "0"), "--seconds 0: wanted 1 to 600"),
        (("--block", "-1"), "--block -1: wanted 0 to 65536"),
        (("--latency", "soon"), "--latency soon: wanted low, high or seconds"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(flags, message):
    """The flag is named."""
    with pytest.raises(ValueError, match=message):
        doctor(Card(), *flags)


@pytest.mark.parametrize(
    ("card", "hop_s", "flags"),
    [
        (lambda: Card(1024), 0.001, ()),
        (lambda: Card(), 0.02, ("--silent",)),
        (lambda: Card(refuses=lambda w: True), 0.001, ()),
        (lambda: Card(), 0.001, ("--out", "nosuch")),
        (lambda: Card(loses=lambda w: w.latency == "low", noise=0.0), 0.001, ()),
    ],
)
def test_json_has_all_that_the_text_has(card, hop_s, flags, capsys):
    """The text can be made of it; only the times of this machine differ between two runs."""
    code = doctor(card(), *flags, hop_s=hop_s)
    text = capsys.readouterr().out
    assert doctor(card(), "--json", *flags, hop_s=hop_s) == code
    printed = capsys.readouterr().out
    report = json.loads(printed)
    made = [line for f in report["findings"][:-1] for line in finding_lines(f)]
    made += [line for t in report["trials"] for line in trial_lines(t)]
    made += [line for f in report["findings"][-1:] for line in finding_lines(f)]
    made += answer_lines(report)

    assert printed.count("\n") == 1
    assert report["exit_code"] == code
    assert words(text) == words("\n".join(made))


def words(text: str) -> list[str]:
    """The words of *text* in any order, without numbers."""
    return sorted(re.sub(r"[\d.]+", "#", text).split())


def test_every_line_fits_80_columns(capsys):
    """Whatever the devices are called; a command that is to be pasted stays in one line."""
    card = Card()
    long = "HDA Intel PCH: ALC1220 Analog (hw:0,0) " * 3
    card.devices[0] = replace(card.devices[0], name=long)
    doctor(card, hop_s=0.02)
    lines = capsys.readouterr().out.splitlines()

    assert len(lines) > 15
    assert max(len(line) for line in lines if not line.startswith("  rtdenoise live")) <= 80


def test_digital_silence_at_the_input_is_noted(capsys):
    """It is what a muted microphone gives, and one without permission."""
    doctor(Card(noise=0.0))
    assert re.search(r"microphone +note +the input gave digital silence", capsys.readouterr().out)
    doctor(Card(noise=0.1))
    assert re.search(r"microphone +ok +the input reached -\d+ dBFS", capsys.readouterr().out)


def test_a_trial_without_devices_has_no_chirp():
    """`null` hears nothing."""
    trial = rehearse("m", Takes(0.001), Setting(NullEnd(), NullEnd()), 0.3, Card())

    assert isinstance(trial, Trial)
    assert not trial.chirp
    assert trial.input_db is None
