"""What a user's word for an end means, and which device a name means."""

from __future__ import annotations

import numpy as np
import pytest

from rtdenoise.errors import DeviceError, UsageError
from rtdenoise.live.devices import DeviceNameError, choose
from rtdenoise.live.ends import DeviceEnd, FileEnd, NullEnd, parse_end
from tests.live.array_card import ArrayCard, device


@pytest.mark.parametrize("kind", ["input", "output"])
@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("null", NullEnd()),
        ("mic", DeviceEnd("mic")),
        ("speakers", DeviceEnd("speakers")),
        ("5", DeviceEnd("5")),
        ("usb audio", DeviceEnd("usb audio")),
        ("file:x.wav", FileEnd("x.wav")),
        ("file:a folder/file:x.wav", FileEnd("a folder/file:x.wav")),
        ("file:-", FileEnd("-")),
        ("profile:x", DeviceEnd("profile:x")),
    ],
)
def test_every_form_of_an_end(text, kind, end):
    """A file is what begins with `file:`, null is null, and all else is a device."""
    assert parse_end(text, kind) == end


@pytest.mark.parametrize(("kind", "default"), [("input", "mic"), ("output", "speakers")])
@pytest.mark.parametrize("text", ["", "  ", "file:", "file: "])
def test_no_end_at_all_is_an_error_that_lists_the_choices(text, kind, default):
    """And the default of this end is the first of them."""
    with pytest.raises(UsageError, match=rf"no {kind}: wanted {default}, an index, .*file:PATH or"):
        parse_end(text, kind)


DEVICES = [
    device(0, "USB Audio", 2, 2, 48_000, ""),
    device(1, "USB Camera", 1, 0, 48_000, "input"),
    device(2, "Built-in", 0, 2, 44_100, "output"),
]


@pytest.mark.parametrize(
    ("query", "kind", "index"),
    [
        ("0", "input", 0),
        ("2", "output", 2),
        ("camera", "input", 1),
        ("array usb", "output", 0),
        ("mic", "input", 1),
        ("speakers", "output", 2),
    ],
)
def test_a_device_is_an_index_or_words_of_its_name_or_the_default(query, kind, index):
    """Case does not matter; only devices that have this direction count."""
    assert choose(DEVICES, query, kind).index == index


def test_a_device_called_mic_is_mic():
    """A name that a device bears comes before the default."""
    mic = device(3, "mic", 1, 0, 48_000, "")

    assert choose([*DEVICES, mic], "MIC", "input") == mic


@pytest.mark.parametrize(
    ("query", "problem", "listed"),
    [
        ("nosuch", "no device for input 'nosuch'. There are:", ["USB Audio", "USB Camera"]),
        ("2", "no device for input '2'", ["USB Audio", "USB Camera"]),
        ("usb", "2 devices for input 'usb'. They are:", ["USB Audio", "USB Camera"]),
    ],
)
def test_a_name_that_is_not_one_device_is_an_error_with_a_list(query, problem, listed):
    """It names no option of a command, which may put the name of its own in."""
    with pytest.raises(DeviceNameError) as caught:
        choose(DEVICES, query, "input")

    assert problem in str(caught.value)
    assert all(name in str(caught.value) for name in listed)
    assert "Built-in" not in str(caught.value)
    assert f"for --in '{query}'" in caught.value.worded("--in")


def test_without_any_device_the_error_says_what_works():
    """Files and null need none."""
    with pytest.raises(DeviceError, match=r"no output device.*Files and null work without"):
        choose(ArrayCard(np.zeros((1, 1), np.float32)).devices[:1], "speakers", "output")
