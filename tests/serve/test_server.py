"""The server over real sockets: what is served is what a file gets, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from websockets.sync.client import connect

from rtdenoise.chain.effect import Denoise
from rtdenoise.errors import UsageError
from rtdenoise.nets.box import find
from rtdenoise.serve.menu import Menu
from rtdenoise.serve.protocol import END, Hello, Resume
from tests.streams import closed, connected, number, streamed, told, until


@pytest.mark.parametrize(
    "hello",
    [
        Hello(8000, model="speech"),
        Hello(16_000, format="f32", model="speech"),
        Hello(44_100, 2, "f32", "speech", 70.0),
        Hello(48_000, 2, "s16", "speech", atten_lim_db=12.0),
    ],
    ids=str,
)
def test_what_is_served_is_what_the_effect_gives(served, hello, rng):
    """As many samples, aligned, at any rate, however they are cut into messages."""
    shape = hello.channels, hello.rate // 2
    sound = hello.decoded(hello.encoded((0.1 * rng.standard_normal(shape)).astype(np.float32)))
    out, done = streamed(served, hello, sound, rng)
    effect = Denoise("speech", hello.mix, hello.atten_lim_db)
    wanted = effect.process(sound, hello.rate)

    assert out.shape == sound.shape
    step = 2**-15 if hello.format == "s16" else 0
    np.testing.assert_allclose(out, wanted, rtol=0, atol=2e-6 + step)
    assert done["frames_in"] == shape[1]
    assert done["failed"] == done["dry"] == done["nonfinite"] == 0


def test_a_board_is_served_by_the_name_of_its_file(served, rng):
    """Its effects run as on a file; its nets share calls with the other streams."""
    hello = Hello(48_000, format="f32", model="call")
    sound = (0.1 * rng.standard_normal((1, 9000))).astype(np.float32)
    out, _ = streamed(served, hello, sound, rng)
    wanted = Denoise("speech").process(sound * np.float32(10 ** (-6 / 20)), 48_000)

    np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-5)


def test_an_empty_stream_gives_the_latency(served):
    """The end may come first."""
    with connected(served) as ws:
        latency = told(ws)["ready"]["latency_samples"]
        ws.send(END)
        done = told(ws)["done"]

    assert (done["frames_in"], done["frames_out"]) == (0, latency)
    assert closed(ws) == 1000


def test_a_stream_that_is_resumed_is_told_what_is_lost(served):
    """The server begins anew, says so, and counts it."""
    before = number(served, "rtdenoise_lost_frames_total")
    with connected(served, Hello(48_000, resume=Resume("abc", 4711))) as ws:
        ready = told(ws)["ready"]

    assert ready["resumed"] == {"stream": "abc", "lost": 4711}
    assert ready["stream"] != "abc"
    assert number(served, "rtdenoise_lost_frames_total") == before + 4711


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("{", "JSON"),
        (b"\0\0", "JSON first"),
        ('{"protocol": 9}', "speaks 1"),
        (Hello(48_000, model="nothing"), "'nothing' here; this server has: identity, smoother, sp"),
        (Hello(48_000, model="/etc/passwd"), "this server has"),
        (Hello(48_000, model="../call.toml"), "this server has"),
        ('{"protocol": 1, "rate": 48000, "x": 1}', "unknown key 'x'"),
        ('{"protocol": 1, "rate": 12}', "sample rate 12 Hz"),
    ],
)
def test_a_wrong_beginning_is_refused_in_words(served, first, words):
    """One line says what was wanted, and the connection ends with 1008."""
    with connect(served.url) as ws:
        ws.send(first if isinstance(first, str | bytes) else first.text())
        assert words in told(ws)["error"]
        assert closed(ws) == 1008


@pytest.mark.parametrize(
    ("wrong", "words"),
    [(b"123", "whole frames of 2 bytes"), ("{}", "wanted samples"), ("[", "JSON")],
)
def test_a_wrong_message_ends_the_stream(served, wrong, words):
    """Half a frame, and text that is no end."""
    with connected(served) as ws:
        told(ws)
        ws.send(b"\0\0" * 100)
        ws.send(wrong)
        assert words in told(ws)["error"]
        assert closed(ws) == 1008


def test_the_numbers_are_counted(served, rng):
    """Streams, hops, bytes and times, in the form of Prometheus."""
    hello = Hello(48_000)
    sound = (0.1 * rng.standard_normal((1, 51_200))).astype(np.float32)
    names = {
        "rtdenoise_streams_begun_total": 1,
        'rtdenoise_streams_ended_total{how="done"}': 1,
        "rtdenoise_hops_total": 102,
        'rtdenoise_bytes_total{direction="in"}': 102_400,
        'rtdenoise_bytes_total{direction="out"}': 104_448,
    }
    before = {name: number(served, name) for name in names}
    streamed(served, hello, sound, rng)

    until(lambda: number(served, 'rtdenoise_streams_ended_total{how="done"}') > before[
        'rtdenoise_streams_ended_total{how="done"}'])  # fmt: skip
    assert {name: number(served, name) - before[name] for name in names} == names
    assert number(served, "rtdenoise_streams_most") == 4
    assert number(served, "rtdenoise_answer_seconds_count") > 0


def test_what_is_served_has_names_of_its_own(tmp_path):
    """Two boards of one name, none at all, and one that cannot stream are refused."""
    for folder, text in (("a", ""), ("b", ""), ("c", '[[effect]]\ntype = "PitchShift"\n')):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.toml").write_text(text)
    with pytest.raises(UsageError, match="two models or boards are called x"):
        Menu([], [tmp_path / "a" / "x.toml", tmp_path / "b" / "x.toml"])
    with pytest.raises(UsageError, match="nothing to serve"):
        Menu([])
    with pytest.raises(UsageError, match="PitchShift"):
        Menu([], [tmp_path / "c" / "x.toml"])
    assert Menu([find("speech")]).names == ["speech"]
