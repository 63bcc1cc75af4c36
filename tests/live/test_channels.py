"""Which channels of a device are used, and a hint when nothing comes in on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.chain.effect import Denoise
from rtdenoise.cli import main
from rtdenoise.cli.ends import silence_hint
from rtdenoise.errors import DeviceError, UsageError
from rtdenoise.live.channels import SILENCE, Inlet, Silence, first, opened, parse_channels, spread
from rtdenoise.live.devices import Wiring
from rtdenoise.live.live import Live
from rtdenoise.live.negotiate import Offer, Pace, WishError, Wishes, negotiate
from tests.live.array_card import ArrayCard, device
from tests.toy_nets import Identity, save

NOISE = np.random.default_rng(5).uniform(-0.3, 0.3, (4, 48_000)).astype(np.float32)


@pytest.fixture
def identity(tmp_path):
    return Denoise(str(save(Identity(), tmp_path / "net.pt")))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("2", ((1,),)),
        (2, ((1,),)),
        ("1+2", ((0, 1),)),
        ("3,4", ((2,), (3,))),
        (" 1 + 2 , 4 ", ((0, 1), (3,))),
        ("2,1", ((1,), (0,))),
        ("128", ((127,),)),
        ("2,2", ((1,), (1,))),
        ("sum", None),
        ("SUM", None),
    ],
)
def test_channels_are_counted_from_one_joined_by_plus_and_listed_by_commas(text, rows):
    """A number alone is that channel, not a count."""
    assert parse_channels(text, "input") == rows


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "a", "1+", ",2", "1,,2", "1.5", "\u0661", "1+1", "1 2", 0, "1000"],
)
@pytest.mark.parametrize("setting", ["in_channels", "out_channels"])
def test_what_names_no_channel_is_refused_before_anything_is_opened(text, setting):
    """The error says what was wanted, and shows what was given."""
    with pytest.raises(WishError, match=rf"^{setting} = .*: wanted ") as caught:
        Wishes(**{setting: text})
    assert caught.value.value == text


def test_an_output_can_play_one_sound_only():
    """An input may go to both ears; two sounds in one output would be a mix nobody asked for."""
    with pytest.raises(UsageError, match="out_channels = 1,1: wanted each output once"):
        Wishes(out_channels="1,1")
    assert Wishes(in_channels="1,1").in_channels == "1,1"


def card(channels, name="[0] Scarlett"):
    return Offer(name, channels, 48_000, lambda rate: rate == 48_000, is_device=True)


FILE = Offer("x.wav", 6, 48_000, is_file=True)
PACE = Pace(48_000, 512)


@pytest.mark.parametrize(
    ("source", "wished", "message"),
    [
        (
            card(2),
            "3",
            r"in_channels = 3: wanted 1 to 2, since \[0\] Scarlett has 2 input channel",
        ),
        (card(1), "2", r"wanted 1, since \[0\] Scarlett has 1 input channel$"),
        (FILE, "1+7", r"wanted 1 to 6, since x.wav has 6 input channels"),
        (Offer(), "1", "in_channels = 1: wanted a device with channels as the input"),
    ],
)
def test_a_channel_that_an_end_lacks_is_refused_with_what_it_has(source, wished, message):
    """Wanted, got, and how many there are."""
    with pytest.raises(UsageError, match=message):
        negotiate(source, card(2), PACE, Wishes(in_channels=wished))


@pytest.mark.parametrize(
    ("source", "sink", "wishes", "in_rows", "out_rows"),
    [
        (card(4), card(2), {"in_channels": "2"}, ((1,),), ((0,), (1,))),
        (card(4), card(2), {"in_channels": "3,4"}, ((2,), (3,)), ((0,), (1,))),
        (card(4), card(2), {"in_channels": "sum"}, ((0, 1, 2, 3),), ((0,), (1,))),
        (card(4), card(8), {"out_channels": "7,8"}, ((0,),), ((6,), (7,))),
        (card(4), card(8), {"out_channels": "5+8"}, ((0,),), ((4, 7),)),
        (card(1), card(4), {"out_channels": "sum"}, ((0,),), ((0, 1, 2, 3),)),
        (FILE, card(2), {"in_channels": "6"}, ((5,),), ((0,), (1,))),
        (card(4), card(2), {"in_channels": "2", "channels": 1}, ((1,),), ((0,),)),
    ],
)
def test_the_plan_has_the_channels_that_were_asked_for(source, sink, wishes, in_rows, out_rows):
    """The rest stays as without them: a mono voice is played on both speakers."""
    plan = negotiate(source, sink, PACE, Wishes(**wishes))

    assert (plan.in_rows, plan.out_rows) == (in_rows, out_rows)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2", NOISE[1:2]),
        ("1+3", NOISE[0:1] + NOISE[2:3]),
        ("4,2", NOISE[[3, 1]]),
    ],
)
def test_an_inlet_takes_its_channels_and_leaves_the_blocks_as_they_are(text, expected):
    """Rows are contiguous float32; what the card gave is not changed."""
    frames = np.ascontiguousarray(NOISE.T)
    rows = parse_channels(text, "input")
    assert rows is not None
    taken = Inlet(rows, 48_000).take(frames)

    assert taken.flags.c_contiguous
    np.testing.assert_allclose(taken, expected, atol=1e-7)
    assert np.array_equal(frames.T, NOISE)


def test_unused_outputs_are_silent():
    """A card's buffer may hold anything before."""
    out = np.full((512, 6), np.nan, np.float32)
    spread(NOISE[:2, :512], ((4,), (0, 2)), out)

    assert np.array_equal(out[:, 4], NOISE[0, :512])
    assert np.array_equal(out[:, 0], NOISE[1, :512])
    assert np.array_equal(out[:, 2], NOISE[1, :512])
    assert not out[:, [1, 3, 5]].any()


def run(card: ArrayCard, effect: Denoise, **settings: Any) -> np.ndarray:
    """Half a second of live sound on *card*; (samples, channels) of the speakers."""
    with Live("mic", "speakers", effect, cards=card, duration_s=0.5, **settings) as live:
        live.wait(20)
    return np.concatenate(card.heard)


def test_the_second_input_of_an_interface_is_heard(identity):
    """A microphone on input 2 was silence without a word."""
    audio = NOISE.copy()
    audio[0] = 0
    heard = run(ArrayCard(audio), identity, in_channels="2")

    np.testing.assert_allclose(heard[512:20_000, 0], audio[1, : 20_000 - 512], atol=1e-6)
    assert np.array_equal(heard[:20_000, 0], heard[:20_000, 1])


def test_the_first_input_is_heard_alone_though_all_are_open(identity):
    """All channels of a device are open, for the hint; the others do not leak in."""
    heard = run(ArrayCard(NOISE), identity)

    np.testing.assert_allclose(heard[512:20_000, 0], NOISE[0, : 20_000 - 512], atol=1e-6)


def test_an_output_is_chosen(identity):
    """The other speaker stays silent."""
    heard = run(ArrayCard(NOISE), identity, out_channels="2")

    np.testing.assert_allclose(heard[512:20_000, 1], NOISE[0, : 20_000 - 512], atol=1e-6)
    assert not heard[:20_000, 0].any()


def test_a_channel_of_a_file_is_chosen(tmp_path, identity):
    """Files have channels as devices have."""
    sf.write(tmp_path / "in.wav", NOISE.T, 48_000, "FLOAT")
    ends = (f"file:{tmp_path / 'in.wav'}", f"file:{tmp_path / 'out.wav'}")
    with Live(*ends, identity, clock="fast", in_channels=3) as live:
        live.wait(20)
    heard = sf.read(tmp_path / "out.wav", dtype="float32", always_2d=True)[0]

    assert heard.shape[1] == 1
    np.testing.assert_allclose(heard[512:, 0], NOISE[2], atol=2**-15)  # 16 bits


def test_a_driver_that_refuses_all_channels_gets_those_that_are_used(identity):
    """Some list more channels than they open."""

    class Narrow(ArrayCard):
        def open(self, wiring, callback):
            self.asked = [*getattr(self, "asked", []), wiring.channels[0]]
            if wiring.channels[0] > 2:
                raise DeviceError("too many")
            return super().open(wiring, callback)

    narrow = Narrow(NOISE)
    heard = run(narrow, identity, in_channels="2")

    assert narrow.asked == [4, 2]
    np.testing.assert_allclose(heard[512:20_000, 0], NOISE[1, : 20_000 - 512], atol=1e-6)


def test_of_a_plug_in_only_the_used_channels_are_opened():
    """It says that it has 32 or 128, and may spread one microphone over all of them."""
    assert opened(((1,),), 4) == 4
    assert opened(((1,),), 32) == 2
    assert opened(first(2), 128) == 2


@pytest.mark.parametrize(
    ("peak", "silent"), [(0.0, True), (0.9 * SILENCE, True), (SILENCE, False), (np.nan, False)]
)
def test_digital_silence_is_less_than_a_step_of_16_bits(peak, silent):
    """A muted device gives zeros, and an open input without a cable hardly more."""
    inlet = Inlet(first(1), 48_000)
    block = np.zeros((48_000, 1), np.float32)
    block[7] = -peak
    for _ in range(4):
        inlet.take(block)
        assert inlet.silence() is None  # not for 5 s yet
    inlet.take(block)

    assert (inlet.silence() is not None) == silent


def test_the_hint_names_the_channels_that_carried_sound_meanwhile():
    """Neither those that are used, nor what was heard before the silence."""
    inlet = Inlet(((1,), (2,)), 48_000)
    before = np.full((512, 5), 0.1, np.float32)
    inlet.take(before)
    during = np.zeros((48_000, 5), np.float32)
    during[100, 3] = 0.2
    for _ in range(6):
        inlet.take(during)

    assert inlet.silence() == Silence(6.0, (4,))
    inlet.take(before)
    assert inlet.silence() is None


@pytest.mark.parametrize(
    ("silence", "platform", "said"),
    [
        (Silence(5.2, ()), "linux", "is the input muted"),
        (Silence(5.2, ()), "darwin", "Privacy & Security > Microphone"),
        (Silence(5.2, (2,)), "linux", "there is sound on channel 2 of the device: --in-channels 2"),
        (Silence(5.2, (3, 4)), "linux", "sound on channels 3, 4 of the device: --in-channels 3"),
    ],
)
def test_the_hint_says_what_to_do(silence, platform, said):
    """One line, which begins with what was seen."""
    hint = silence_hint(silence, platform)

    assert hint.startswith("nothing at all has come in for 5 s")
    assert said in hint
    assert "\n" not in hint


def test_silence_is_told_once_while_it_runs(monkeypatch, capsys, tmp_path):
    """On stderr, with the channel that carries sound; the run goes on."""
    audio = np.zeros((2, 7 * 48_000), np.float32)
    audio[1] = 0.1
    loud = ArrayCard(audio)
    monkeypatch.setattr("rtdenoise.live.live.PortAudio", lambda: loud)
    model = str(save(Identity(), tmp_path / "net.pt"))
    code = main(["live", "-m", model, "--duration", "10"])
    said = capsys.readouterr().err

    assert code == 0
    assert said.count("nothing at all has come in for") == 1
    assert "--in-channels 2" in said


@pytest.mark.parametrize("setting", ["--in-channels", "--out-channels"])
def test_the_command_names_its_option_in_an_error(monkeypatch, capsys, tmp_path, setting):
    """And not the setting of the library."""
    monkeypatch.setattr("rtdenoise.live.live.PortAudio", lambda: ArrayCard(NOISE[:2]))
    model = str(save(Identity(), tmp_path / "net.pt"))
    code = main(["live", "-m", model, "--duration", "1", setting, "5"])
    said = capsys.readouterr().err

    assert code == 2
    assert f"{setting} 5: wanted 1 to 2, since [" in said


class TwoCards(ArrayCard):
    """A microphone and speakers that are two devices: each has a stream of its own."""

    def __init__(self, audio: np.ndarray) -> None:
        super().__init__(audio)
        self.devices = [
            device(0, "mic", len(audio), 0, 44_100, "input"),
            device(1, "speakers", 0, 2, 48_000, "output"),
        ]
        self.wirings: list[Wiring] = []

    def takes(self, device, kind, rate):
        return rate == device.rate

    def open(self, wiring, callback):
        self.wirings.append(wiring)
        return super().open(wiring, callback)


def test_a_microphone_at_44100_hz_and_speakers_at_48000_hz(identity):
    """Two streams, as each device wants it; the ring is a part of the latency, and is told."""
    cards = TwoCards(NOISE[:2])
    with Live("mic", "speakers", identity, cards=cards, in_channels=2, duration_s=0.5) as live:
        live.wait(20)
        parts = live.latency_ms
        status = live.status()
    hears, plays = cards.wirings
    assert hears.source
    assert plays.sink

    assert (hears.source.name, hears.sink, hears.rate) == ("mic", None, 44_100)
    assert (plays.source, plays.sink.name, plays.rate) == (None, "speakers", 48_000)
    assert (hears.block, plays.block) == (470, 512)
    assert list(parts)[:3] == ["device in", "clock ring", "block"]
    assert parts["clock ring"] == pytest.approx(10.7 + 10 + 1.05, abs=0.1)
    assert set(live.summary()["clock_ring"]) == {
        "underruns",
        "overruns",
        "recentred",
        "drift_ppm",
        "fault",
    }
    assert status["xruns"] >= 0
    assert cards.closed == 2


def test_one_stream_is_forced_and_two_are_refused_without_two_devices(identity):
    """The user knows better than names do; but a file has no clock."""
    cards = TwoCards(NOISE[:2])
    with pytest.raises(DeviceError, match="no device rate fits"):
        Live("mic", "speakers", identity, cards=cards, streams="one").__enter__()
    with pytest.raises(UsageError, match="streams = two: wanted a device at both ends"):
        Live("mic", "null", identity, cards=cards, streams="two").__enter__()
    with pytest.raises(UsageError, match="streams = three: wanted auto, one or two"):
        Live("mic", "null", identity, cards=cards, streams="three")


class Mute:
    """A stream that never calls, but does not say so."""

    active = True

    def latency_ms(self):
        return None, None

    def close(self):
        pass


@pytest.mark.parametrize("says_so", [True, False])
def test_an_input_that_stops_ends_the_run(identity, says_so):
    """The speakers go on to play, and the watchdog sees it all the same."""

    class Unplugged(TwoCards):
        def open(self, wiring, callback):
            if wiring.sink is not None:
                return super().open(wiring, callback)
            dies = ArrayCard(NOISE[:1, :4800], dies=True)
            return dies.open(wiring, callback) if says_so else Mute()

    with (
        pytest.raises(DeviceError, match="the sound device is gone"),
        Live(
            "mic", "speakers", identity, cards=Unplugged(NOISE[:1]), wait_for_device=False
        ) as live,
    ):
        assert not live.wait(60)
