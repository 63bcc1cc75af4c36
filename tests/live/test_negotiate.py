"""From ends, effect and wishes to a plan: no device, file or net is touched."""

from __future__ import annotations

import math

import pytest

from rtdenoise.errors import AudioError, DeviceError, UsageError
from rtdenoise.live.negotiate import Offer, Pace, WishError, Wishes, latency_parts, negotiate

NULL = Offer()
SPEECH = Pace(48_000, 512)


def card(channels, rates=(44_100, 48_000), name="[0] card"):
    return Offer(name, channels, rates[0], rates.__contains__, is_device=True)


def file(channels, rate):
    return Offer("x.wav", channels, rate, is_file=True)


@pytest.mark.parametrize(
    ("source", "sink", "pace", "wished", "rate"),
    [
        (NULL, NULL, SPEECH, None, 48_000),
        (NULL, NULL, Pace(16_000, 128), None, 16_000),
        (NULL, NULL, SPEECH, 32_000, 32_000),
        (file(1, 8_000), NULL, SPEECH, None, 8_000),
        (file(1, 8_000), NULL, SPEECH, 8_000, 8_000),
        (file(1, 44_100), card(2), SPEECH, None, 44_100),
        (card(1), card(2), SPEECH, None, 48_000),
        (card(1), card(2), Pace(16_000, 128), None, 44_100),
        (card(1, (32_000,)), NULL, SPEECH, None, 32_000),
        (card(1, (16_000, 44_100)), card(2, (44_100,)), SPEECH, None, 44_100),
        (card(1), NULL, SPEECH, 44_100, 44_100),
    ],
)
def test_the_rate_is_the_wished_one_the_files_the_nets_or_a_devices(
    source, sink, pace, wished, rate
):
    """In this order, and all devices take it."""
    assert negotiate(source, sink, pace, Wishes(rate=wished)).rate == rate


@pytest.mark.parametrize(
    ("source", "sink", "wished", "channels", "rows"),
    [
        (NULL, NULL, None, (1, 1), 1),
        (NULL, NULL, 2, (2, 2), 2),
        (file(2, 48_000), NULL, None, (2, 2), 2),
        (file(2, 48_000), NULL, 1, (2, 1), 1),
        (card(1), card(2), None, (1, 2), 1),
        (card(2), card(2), 2, (2, 2), 2),
        (card(1), card(8), 2, (1, 2), 1),
        (card(2), card(1), None, (1, 1), 1),
        (card(8), card(2), 1, (1, 1), 1),
        (file(1, 48_000), card(2), None, (1, 2), 1),
        (file(6, 48_000), card(2), None, (6, 2), 2),
    ],
)
def test_channels_are_the_files_or_one_and_a_voice_goes_to_both_ears(
    source, sink, wished, channels, rows
):
    """As far as a device has them; what is processed is what the narrower side can carry."""
    plan = negotiate(source, sink, SPEECH, Wishes(channels=wished))

    assert (plan.inputs, plan.outputs) == channels
    assert plan.rows == rows


@pytest.mark.parametrize(
    ("pace", "rate", "block", "period_ms"),
    [
        (SPEECH, None, 512, 10.667),
        (SPEECH, 44_100, 470, 10.667),
        (SPEECH, 16_000, 171, 10.667),
        (Pace(48_000, 8192), None, 8192, 170.667),
        (Pace(16_000, 8192), 48_000, 24_576, 512.0),
    ],
)
def test_a_block_and_the_deadline_are_the_nets_own_hop(pace, rate, block, period_ms):
    """Not that of another model."""
    plan = negotiate(NULL, NULL, pace, Wishes(rate=rate))

    assert plan.block == block
    assert plan.period_s == pytest.approx(1e-3 * period_ms, abs=1e-6)


def test_a_wished_block_stays_and_the_deadline_with_it():
    """0 leaves it to the device."""
    for block in (0, 1, 480, 65_536):
        plan = negotiate(NULL, NULL, SPEECH, Wishes(block=block))

        assert (plan.block, plan.period_s) == (block, 512 / 48_000)


@pytest.mark.parametrize(
    ("source", "sink", "clock", "paced"),
    [
        (NULL, NULL, "real", True),
        (NULL, NULL, "fast", False),
        (file(1, 48_000), card(1), "fast", True),
        (card(1), NULL, "fast", True),
    ],
)
def test_only_what_somebody_waits_for_can_be_late(source, sink, clock, paced):
    """A device waits whatever the clock of the files is."""
    assert negotiate(source, sink, SPEECH, Wishes(clock=clock)).paced is paced


@pytest.mark.parametrize(
    ("source", "sink", "wishes", "shared", "rates", "in_block"),
    [
        (card(1), card(2), {}, True, (48_000, None), 512),
        (card(1), card(2), {}, False, (48_000, 48_000), 512),
        (card(1), card(2), {"streams": "one"}, False, (48_000, None), 512),
        (card(1), card(2), {"streams": "two"}, True, (48_000, 48_000), 512),
        (card(1, (16_000,)), card(2, (44_100, 48_000)), {}, True, (48_000, 16_000), 171),
        (card(1, (44_100,)), card(2, (48_000,)), {"block": 256}, False, (48_000, 44_100), 235),
        (card(1, (48_000,)), card(2, (44_100,)), {"block": 0}, True, (44_100, 48_000), 512),
        (card(1), card(2), {"rate": 44_100}, False, (44_100, 44_100), 470),
        (card(1, (48_000,)), card(2), {"rate": 44_100}, False, (44_100, 48_000), 512),
        (card(1, (96_000,)), card(2, (44_100,)), {}, True, (44_100, 96_000), 1023),
    ],
)
def test_devices_with_two_clocks_or_no_common_rate_get_a_stream_each(
    source, sink, wishes, shared, rates, in_block
):
    """The output runs at the rate of the plan; the input at the same if it can, else at its own."""
    plan = negotiate(source, sink, SPEECH, Wishes(**wishes), shared)

    assert (plan.rate, plan.in_rate) == rates
    assert plan.in_block == in_block


def test_another_rate_than_the_files_is_refused():
    """It says which rate the file has."""
    with pytest.raises(WishError, match="rate = 44100: the input file has 48000 Hz") as caught:
        negotiate(file(1, 48_000), NULL, SPEECH, Wishes(rate=44_100))
    assert caught.value.setting == "rate"


def test_no_common_rate_lists_what_each_device_takes():
    """And what was tried."""
    source, sink = card(1, (16_000,), "[0] mic"), card(2, (44_100, 7), "[1] speakers")
    with pytest.raises(DeviceError) as caught:
        negotiate(source, sink, SPEECH, Wishes(streams="one"))

    assert "tried 48000, 16000, 44100 Hz" in str(caught.value)
    assert "[0] mic takes 16000\n" in str(caught.value)
    assert str(caught.value).endswith("[1] speakers takes 44100")
    with pytest.raises(DeviceError, match="none of the usual"):
        negotiate(card(1, (12_345,)), NULL, SPEECH, Wishes(rate=48_000))


def test_what_is_no_audio_is_refused():
    """A rate or a channel count that no sound has."""
    for wishes in (Wishes(rate=7), Wishes(channels=0), Wishes(channels=65)):
        with pytest.raises(AudioError):
            negotiate(NULL, NULL, SPEECH, wishes)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"block": -1}, "block = -1: wanted 0 to 65536"),
        ({"block": 65_537}, "block = 65537: wanted 0 to 65536"),
        ({"latency": "soon"}, "latency = soon: wanted low, high or seconds"),
        ({"latency": 0}, "latency = 0: wanted"),
        ({"latency": math.nan}, "latency = nan: wanted"),
        ({"clock": "slow"}, "clock = slow: wanted real or fast"),
        ({"duration_s": 0}, "duration_s = 0: wanted more than 0"),
        ({"duration_s": math.nan}, "duration_s = nan: wanted more than 0"),
    ],
)
def test_a_wish_out_of_range_is_refused_by_name(wish, message):
    """Before anything is opened; no option of a command is named."""
    with pytest.raises(UsageError, match=message) as caught:
        Wishes(**wish)
    assert "--" not in str(caught.value)


def test_the_parts_of_the_latency_are_in_the_order_of_the_sound():
    """In ms; what a driver does not know is None."""
    plan = negotiate(NULL, NULL, SPEECH, Wishes(block=480))
    parts = latency_parts(plan, 992, (3.5, None))

    assert list(parts) == ["device in", "block", "window, resampler, effects", "device out"]
    assert list(parts.values()) == [3.5, pytest.approx(10.0), pytest.approx(20.667, abs=1e-3), None]
