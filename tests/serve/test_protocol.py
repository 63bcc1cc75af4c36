"""The messages: what is no stream is refused in words, and samples pass as through a file."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from rtdenoise.errors import RtdenoiseError
from rtdenoise.serve.protocol import END, FORMATS, Hello, Resume, error, hello, is_end
from rtdenoise.sound.reader import SoundReader
from rtdenoise.sound.writer import SoundWriter

SAID = {"protocol": 1, "rate": 48_000}


def test_a_hello_comes_back_as_it_was_said():
    """Whatever a client can say in a `Hello`, the server reads the same from the message."""
    said = Hello(44_100, 2, "f32", "music", 80.0, 12.0, "secret", Resume("a-b", 77))

    assert hello(said.text()) == said
    assert hello(Hello(8000).text()) == Hello(8000)


def test_what_is_left_out_is_the_default():
    """Only the version and the rate are needed; null stands for nothing."""
    assert hello(json.dumps(SAID)) == Hello(48_000, 1, "s16", None, 100.0, None)
    said = SAID | {"model": None, "atten_lim_db": None, "token": None, "resume": None}
    assert hello(json.dumps(said)) == Hello(48_000)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", "wanted a message of JSON"),
        ("{", "wanted a message of JSON"),
        ("[" * 3000, "wanted a message of JSON"),
        ('{"rate": NaN}', "NaN is not a number"),
        ("[1]", "wanted an object of JSON"),
        ("x" * 5000, "5000 characters: wanted at most 4096"),
        ({"rate": 48_000}, "protocol = None: this server speaks 1"),
        ({"protocol": 2, "rate": 48_000}, "protocol = 2: this server speaks 1"),
        ({"protocol": True, "rate": 48_000}, "protocol = True: wanted a whole number"),
        ({"protocol": 1}, "rate: wanted"),
        (SAID | {"rate": "48k"}, "rate = '48k': wanted a whole number or a number"),
        (SAID | {"rate": 0}, "sample rate 0 Hz"),
        (SAID | {"rate": -8000}, "sample rate -8000 Hz"),
        (SAID | {"rate": 48_000.0, "mix": -1}, "mix = -1"),
        (SAID | {"rate": 44_100.5}, "sample rate 44100.5 Hz"),
        (SAID | {"rate": 10**400}, "rate"),
        (SAID | {"channels": 0}, "0 channels: wanted 1 to 64"),
        (SAID | {"channels": 65}, "65 channels: wanted 1 to 64"),
        (SAID | {"channels": 1.5}, "channels = 1.5: wanted a whole number"),
        (SAID | {"channels": True}, "channels = True: wanted a whole number"),
        (SAID | {"format": "s24"}, "format = 's24': wanted s16 or f32"),
        (SAID | {"format": ["s16"]}, "format = ['s16']: wanted text"),
        (SAID | {"mix": 101}, "mix = 101: wanted 0"),
        (SAID | {"mix": "all"}, "mix = 'all': wanted a whole number or a number"),
        (SAID | {"atten_lim_db": -1}, "atten_lim_db = -1: wanted 0"),
        (SAID | {"model": 7}, "model = 7: wanted text"),
        (SAID | {"volume": 3}, "unknown key 'volume'; known: protocol, rate, channels"),
        (SAID | {"resume": "a"}, "resume = 'a': wanted an object"),
        (SAID | {"resume": {}}, "resume: wanted samples as well"),
        (SAID | {"resume": {"stream": "", "samples": 1}}, "resume: wanted the name"),
        (SAID | {"resume": {"stream": "a", "samples": -1}}, "resume: wanted the name"),
        (SAID | {"resume": {"stream": "a", "samples": 1, "x": 1}}, "unknown key 'x'"),
    ],
)
def test_a_wrong_hello_is_refused_in_words(said, told):
    """Each error says what was wanted, and shows no more of what came than fits a line."""
    with pytest.raises(RtdenoiseError, match=re.escape(told)) as caught:
        hello(said if isinstance(said, str) else json.dumps(said))

    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_the_end_is_one_message_only():
    """Anything else that is text would be lost, so it is an error."""
    assert is_end(END)
    assert is_end('{"end":true}')
    for said in ('{"end": false}', '{"end": 1, "x": 2}', "end", "{}"):
        with pytest.raises(RtdenoiseError):
            is_end(said)


def test_an_error_message_cannot_drive_a_terminal():
    """What a client sent may be in it."""
    told = json.loads(error("bad\x1b[2J\n", retry_s=5))

    assert told == {"error": "bad\\x1b[2J\\n", "problem": "", "retry_s": 5}


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("format", FORMATS)
def test_samples_are_those_of_a_sound_file(format, channels, rng, tmp_path):
    """A message has the bytes that a WAV file would have, and reads as the file does."""
    block = rng.uniform(-1.2, 1.2, (channels, 700)).astype(np.float32)
    block[:, :4] = [-1, 1, 0, 1 - 2**-16]
    said, path = Hello(48_000, channels, format), tmp_path / "a.wav"
    with SoundWriter(
        path, 48_000, channels, subtype={"s16": "PCM_16", "f32": "FLOAT"}[format]
    ) as w:
        w.write(block)
    message = said.encoded(block)

    assert path.read_bytes().endswith(message)
    assert len(message) == 700 * said.frame_bytes
    with SoundReader(path) as reader:
        np.testing.assert_array_equal(said.decoded(message), np.concatenate(list(reader), axis=1))


def test_half_a_frame_is_refused():
    """The channels of all later samples would be swapped."""
    with pytest.raises(
        RtdenoiseError, match=r"7 bytes: wanted whole frames of 4 bytes \(2 x s16\)"
    ):
        Hello(48_000, 2).decoded(b"1234567")
