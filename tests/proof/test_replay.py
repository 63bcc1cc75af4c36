"""`rtdenoise replay`: the same blocks give the same samples, and what is given away is noise."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf

import rtdenoise
from rtdenoise.chain.describe import describe, effect_of
from rtdenoise.chain.effect import Denoise, Effect
from rtdenoise.cli import main
from rtdenoise.core import tape
from rtdenoise.core.blend import Strength
from rtdenoise.core.stage import Chain, Delayed
from rtdenoise.live.flight import Flight, read, write
from rtdenoise.live.live import Live
from rtdenoise.proof.clicks import glitches
from rtdenoise.proof.redact import noise_like, redacted
from rtdenoise.proof.replay import replay
from tests.toy_nets import Breaks, Smoother, generator_for

NOISE = np.random.default_rng(17).uniform(-0.4, 0.4, 300_000).astype(np.float32)


@pytest.fixture
def fly(tmp_path):
    """A function that runs `Live` on a file, and returns its flight."""

    def make(
        effect, rate=48_000, block=None, seconds=2.0, kept_s=20.0, during=None, clock="fast"
    ) -> Flight:
        sound = NOISE[: round(seconds * rate)]
        sf.write(tmp_path / "in.wav", sound, rate, "FLOAT")
        with Live(
            f"file:{tmp_path / 'in.wav'}", "null", effect, block=block, clock=clock,
            tap_seconds=kept_s, flight_folder=tmp_path,
        ) as live:  # fmt: skip
            if during is not None:
                during(live)
            live.wait()
        return read(str(live.mark()))

    return make


class Patient(Denoise):
    """A net that is never late, so that a busy machine makes no hop dry."""

    def stage(self, stream, counters=None):
        return super().stage(replace(stream, deadline=None), counters)


class Waits(Effect):
    """An effect that only delays."""

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.samples = samples

    def stage(self, stream, counters=None):
        return Delayed(Chain([], stream), self.samples)


def smoother() -> Denoise:
    """An effect with a net that has a memory."""
    return Denoise(generator_for(Smoother()))


EFFECTS = {
    "net": smoother,
    "board": lambda: rtdenoise.Board([rtdenoise.DryWet(rtdenoise.Board([]), 30), smoother()]),
    "nothing": lambda: rtdenoise.Board([]),
}


@pytest.mark.parametrize(
    ("name", "rate", "block"),
    [("net", 48_000, None), ("net", 44_100, 333), ("board", 48_000, 480), ("nothing", 48_000, 480)],
)
def test_a_replay_of_a_whole_run_is_exact(fly, name, rate, block):
    """When the run was shorter than the tap, all samples are the same, from the first one."""
    make = EFFECTS[name]
    found = replay(fly(make(), rate, block, seconds=1.0), make())
    assert (found.exact, found.compared_from, found.uncertain) == (True, 0, 0)
    assert found.largest == 0
    assert found.same


@pytest.mark.parametrize(
    ("name", "rate", "block"),
    [("net", 48_000, None), ("net", 44_100, 333), ("board", 48_000, 480), ("nothing", 48_000, 480)],
)
def test_a_replay_that_begins_in_mid_run_is_exact_once_it_knows_the_state(fly, name, rate, block):
    """The nets get the states that were kept, at the place in their hops where they were."""
    make = EFFECTS[name]
    flight = fly(make(), rate, block, seconds=3.0, kept_s=1.5)
    found = replay(flight, make())
    assert flight.first > 0
    assert not found.exact
    assert found.compared_from < 1.4 * rate
    assert found.largest == 0
    assert found.same


def test_another_effect_is_not_the_same(fly):
    """The first sample that differs is named, and the call that it is in."""
    flight = fly(smoother(), seconds=0.5)
    found = replay(flight, rtdenoise.Board([]))
    assert not found.same
    assert found.first_difference is not None
    assert found.call == found.first_difference // 512
    flight.wet[0, 10_000] += 0.01
    found = replay(flight, smoother())
    assert (found.first_difference, found.call) == (10_000, 10_000 // 512)


def test_late_hops_are_dry_again_whatever_the_clock_says(fly):
    """The flags decide: hops that a late one made dry in the run are dry in the replay."""
    flight = fly(smoother(), seconds=1.0)
    late = flight.calls[20:23]
    exact = replay(flight, smoother()).wet
    late["dry"], late["flags"] = 1, tape.DRY
    found = replay(flight, smoother())
    hops = slice(20 * 512, 24 * 512)

    assert found.uncertain == 0
    assert not np.array_equal(found.wet[:, hops], exact[:, hops])
    wet = found.wet[0, 21 * 512 : 22 * 512]  # in the middle, all of it is dry
    assert np.allclose(wet, flight.dry[0, 20 * 512 : 21 * 512], atol=1e-6)


def test_settings_that_changed_in_the_run_change_in_the_replay(fly):
    """Mix, limit, residual and bypass glide at the same samples as in the run."""

    def during(live) -> None:
        while not live.status()["callbacks"]:
            time.sleep(0.001)
        for turn in range(30):
            for strength in (Strength(30), Strength(100, 12), Strength(80, None, residual=True)):
                live.strength, live.bypass = strength, turn % 2 == 1
            time.sleep(0.001)

    effect = smoother()
    effect.mix = 50
    flight = fly(effect, seconds=1.0, during=during, clock="real")
    found = replay(flight, smoother())
    assert len(set(flight.calls["mix"])) > 1
    assert found.largest == 0


@pytest.mark.parametrize("waits", [0, 700])
def test_an_effect_that_the_run_changed_to_gives_the_same_samples(fly, waits):
    """From where it was heard alone: it began as new, also at the delay of the one before."""
    late = rtdenoise.Board([Waits(waits)])

    def during(live) -> None:
        while live.summary()["seconds"] < 0.1:
            time.sleep(0.005)
        assert live.change(Patient(generator_for(Smoother())))

    flight = fly(late, seconds=2.0, during=during, clock="real")
    (changed,) = np.flatnonzero(flight.calls["flags"] & tape.CHANGED)
    found = replay(flight, smoother())

    assert not found.exact
    assert flight.calls["first"][changed] < found.compared_from < 1.9 * 48_000
    assert found.largest == 0
    assert found.same
    assert not replay(flight, rtdenoise.Board([])).same


def test_failed_hops_fail_again(fly):
    """A net that breaks in the run breaks in the replay, at the same hops."""
    broken = [Denoise(generator_for(Breaks(5))) for _ in range(2)]
    found = replay(fly(broken[0], seconds=0.5), broken[1])
    assert (found.largest, found.uncertain) == (0, 0)


def test_an_effect_is_made_again_from_its_description():
    """Boards in boards, plugins and dry/wet settings come back; a stranger's program does not."""
    pedalboard = pytest.importorskip("pedalboard")
    board = rtdenoise.Board([
        pedalboard.HighpassFilter(80),
        rtdenoise.Mix([rtdenoise.DryWet(rtdenoise.Board([]), 40, 12), pedalboard.Gain(-3)]),
        pedalboard.Pedalboard([pedalboard.Reverb(room_size=0.25)]),
    ])  # fmt: skip
    table = json.loads(json.dumps(describe(board)))
    again = effect_of(table, "x")

    assert describe(again) == table
    sound = NOISE[:20_000]
    assert np.array_equal(board(sound, 48_000), again(sound, 48_000))
    for kind in ("os:system", "VST3"):
        with pytest.raises(rtdenoise.UsageError, match="not run unasked"):
            effect_of({"type": kind}, "x")
    for wrong in (
        {},
        {"type": 3},
        {"type": "Board", "effect": 3},
        {"type": "Board", "effect": [3]},
    ):
        with pytest.raises(rtdenoise.UsageError):
            effect_of(wrong, "x")


def test_clicks_and_silence_are_found_where_they_are(fly):
    """A step between two calls, and silence that follows no silent input; nothing else is told."""
    flight = fly(rtdenoise.Board([]), seconds=0.5)
    t = np.arange(flight.dry.shape[1]) / 48_000
    flight.dry[0] = flight.wet[0] = 0.3 * np.sin(2 * np.pi * 440 * t)
    assert list(glitches(flight)) == []
    flight.wet[0, 5120:] = 0.3 * np.sin(2 * np.pi * 440 * (t[5120:] + 0.0011))
    flight.wet[0, 15360:15872] = 0
    found = [(glitch.kind, glitch.sample, glitch.call) for glitch in glitches(flight)]

    assert ("click", 5120, 10) in found
    assert ("silence", 15360, 30) in found
    assert {kind for kind, _, call in found if call not in (10, 30, 31)} == set()


def test_noise_has_the_level_and_the_spectrum_but_not_the_words(clips):
    """Levels agree within 1.5 dB in long bands; pystoi hears no more than in white noise."""
    stoi = pytest.importorskip("pystoi").stoi
    sound, rate = sf.read(clips / "voice_sentence.flac", dtype="float32", always_2d=True)
    sound = np.ascontiguousarray(sound.T[:1, : 4 * rate])
    noise = noise_like(sound, rate)
    white = np.random.default_rng(0).standard_normal(sound.shape)
    heard = [stoi(sound[0], other[0], rate) for other in (noise, white)]

    assert heard[0] < heard[1] + 0.1
    assert stoi(sound[0], noise[0], rate, extended=True) < 0.15
    levels = [10 * np.log10((audio.astype(np.float64) ** 2).sum()) for audio in (sound, noise)]
    assert abs(levels[0] - levels[1]) < 1.5
    powers = [np.abs(np.fft.rfft(audio[0])) ** 2 for audio in (sound, noise)]
    for low, high in ((100, 400), (400, 1600), (1600, 6400)):
        band = slice(low * len(sound[0]) // rate, high * len(sound[0]) // rate)
        assert abs(10 * np.log10(powers[0][band].sum() / powers[1][band].sum())) < 1.5


def test_noise_keeps_what_breaks_nets():
    """Digital silence, NaN and samples beyond full scale stay where they were."""
    sound = NOISE[None, :48_000].copy()
    sound[0, 1000:2000], sound[0, 3000], sound[0, 4000] = 0, np.nan, 2.5
    noise = noise_like(sound, 48_000)

    assert not noise[0, 1000:2000].any()
    assert np.isnan(noise[0, 3000])
    assert noise[0, 4000] == 2.5
    assert np.isfinite(np.delete(noise, 3000)).all()
    assert np.abs(np.delete(noise, [3000, 4000])).max() < 1
    assert noise_like(sound[:, :0], 48_000).shape == (1, 0)


def test_a_redacted_flight_names_nobody(fly, tmp_path):
    """Names of devices, files and texts are gone; the same calls give the same samples."""
    flight = fly(smoother(), seconds=1.0)
    flight.host["effect"]["model"] = "/home/alice/secret.pt"
    flight.host["flight"]["text"] = "alice heard it"
    flight.events.append({"kind": "lost", "text": "Alice's microphone is gone", "sample": 3})
    path = write(redacted(flight, smoother()), tmp_path / "given")
    text = "".join((path / name).read_text() for name in ("host.json", "events.jsonl", "calls.csv"))
    given = read(path)

    assert not any(word in text for word in ("lice", "secret", "in.wav", str(tmp_path)))
    assert given.events[-1] == {"kind": "lost", "sample": 3}
    assert not given.states
    assert abs(np.corrcoef(given.dry[0], flight.dry[0])[0, 1]) < 0.05
    assert replay(given, smoother()).largest == 0
    unprocessed = redacted(flight, None)
    assert abs(np.corrcoef(unprocessed.wet[0], flight.wet[0])[0, 1]) < 0.05


def test_the_command_replays_redacts_and_tells(fly, tmp_path, capsys):
    """Exit code 0 and the report if it is the same, 1 if not; --json has the numbers."""
    flight = fly(rtdenoise.Board([]), seconds=0.5)
    path = write(flight, tmp_path / "a")
    assert main(["replay", str(path), "--out", str(tmp_path / "wet.wav")]) == 0
    assert "the same: largest difference 0.0e+00 from its first sample" in capsys.readouterr().out
    wet, _ = sf.read(tmp_path / "wet.wav", dtype="float32")
    assert np.array_equal(wet, flight.wet[0])
    assert main(["replay", str(path), "--json", "--timing"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["same"], told["largest"], told["calls"]) == (True, 0.0, len(flight.calls))
    assert main(["replay", str(path), "--redact", "-q"]) == 0
    assert main(["replay", f"{path}-redacted"]) == 0
    flight.wet[0, 5000] += 0.5
    flight.calls["flags"][3] |= tape.XRUN_OUT
    path = write(flight, tmp_path / "b")
    capsys.readouterr()
    assert main(["replay", str(path)]) == 1
    said = capsys.readouterr().out
    assert "NOT the same, first at 0.104 s, call 9" in said
    assert "xrun_out   1 call(s), the first at 0.032 s (call 3)" in said


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "wanted the folder of a flight"),
        (["none"], 1, "none is no flight"),
        (["DIR"], 2, "the flight does not tell its effect. Give the model or the board"),
    ],
)
def test_what_cannot_be_replayed_is_one_clear_error(fly, tmp_path, capsys, words, code, told):
    """The message says what is wrong, and what to type."""
    flight = fly(rtdenoise.Board([]), seconds=0.1)
    flight.host["effect"] = None
    path = write(flight, tmp_path / "c")
    assert main(["replay", *(str(path) if word == "DIR" else word for word in words)]) == code
    assert told in capsys.readouterr().err
