"""`rtdenoise.Live`: the live end as a reader of the README uses it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import rtdenoise
from rtdenoise.chain.effect import Denoise, Effect
from rtdenoise.core.blend import Strength
from rtdenoise.core.stage import process
from rtdenoise.core.stream import Stream
from rtdenoise.errors import AudioError, DeviceError, UsageError
from rtdenoise.live.live import Live
from rtdenoise.nets.line import Line
from tests.live.array_card import ArrayCard
from tests.toy_nets import Identity, generator_for

RATE = 48_000
NOISE = np.random.default_rng(440).uniform(-0.5, 0.5, (1, 2 * RATE)).astype(np.float32)
MONO = Stream(RATE, 1)
STEP = 2**-15  # of the 16 bits of a .wav
FULL = Path("/dev/full")  # a disk without room
needs_full_disk = pytest.mark.skipif(not FULL.exists(), reason="needs Linux's /dev/full")


@pytest.fixture
def noise(tmp_path):
    """A file as an end."""
    sf.write(tmp_path / "noise.wav", NOISE.T, RATE, "FLOAT")
    return f"file:{tmp_path / 'noise.wav'}"


def written(path) -> np.ndarray:
    """(channels, samples) of a file."""
    audio: np.ndarray = sf.read(path, dtype="float32", always_2d=True)[0].T
    return audio


class Patient(Denoise):
    """A model without a deadline, so that what is compared is sound and not the machine's load."""

    def stage(self, stream, counters=None):
        return super().stage(replace(stream, deadline=None), counters)


class Halves:
    """A stage: half of the input, 100 samples later."""

    latency = 100
    _late: np.ndarray

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.reset()

    def push(self, block):
        both = np.concatenate((self._late, block), axis=1)
        self._late = both[:, block.shape[1] :]
        return 0.5 * both[:, : block.shape[1]]

    def reset(self) -> None:
        self._late = np.zeros((1, self.latency), np.float32)


class Halve(Effect):
    """An effect without a net."""

    def stage(self, stream, counters=None):
        return Halves(stream)


class At(Effect):
    """*effect*, and something that is done once when *samples* have gone through it."""

    def __init__(self, effect, samples, then):
        self.effect, self.samples, self.then = effect, samples, then

    def stage(self, stream, counters=None):
        stage, at = self.effect.stage(stream, counters), self

        class Watched:
            latency, pushed = stage.latency, 0

            def __init__(self):
                self.stream = stream

            def reset(self):
                stage.reset()
                self.pushed = 0

            def push(self, block):
                before, self.pushed = self.pushed, self.pushed + block.shape[1]
                if before < at.samples <= self.pushed and at.then:
                    at.then()
                return stage.push(block)

        return Watched()


class Long(Halve):
    """An effect whose net wants 8192 samples at a time."""

    own_rate, own_hop = RATE, 8192


def test_files_at_both_ends_give_what_process_gives(tmp_path, noise, smoother):
    """Live is the same line: the same samples, later by its latency."""
    out = tmp_path / "out.wav"
    with Live(noise, f"file:{out}", Denoise(smoother), clock="fast") as live:
        assert live.wait()
    heard, expected = written(out), process(Line(smoother, MONO), NOISE)

    assert live.summary()["ended"] == "complete"
    assert heard.shape[1] == NOISE.shape[1] + 512
    np.testing.assert_allclose(heard[:, 512:], expected, atol=1e-5 + STEP / 2)


def test_devices_at_both_ends_give_what_process_gives(smoother):
    """One channel in, both ears, in floats."""
    card = ArrayCard(NOISE)
    with Live(effect=Patient(smoother), cards=card, duration_s=2.1) as live:
        assert live.latency_ms["device in"] == 3.0
        assert live.latency_ms["device out"] is None
        live.wait()
    heard = np.concatenate(card.heard).T[:, 512 : 512 + NOISE.shape[1]]
    expected = process(Line(smoother, MONO), NOISE)

    assert card.closed == 1
    np.testing.assert_allclose(heard, np.repeat(expected, 2, axis=0), atol=1e-5)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("kind", ["model", "another effect"])
def test_bypass_gives_the_delayed_input_after_a_crossfade(
    tmp_path, noise, smoother, kind, residual
):
    """In mid stream, aligned, without a click and without a change of the delay, and back."""
    out, start, end = tmp_path / "out.wav", RATE // 2, RATE
    effect = Denoise(smoother) if kind == "model" else Halve()
    wet = process(Line(smoother, MONO) if kind == "model" else Halves(MONO), NOISE)
    wet = NOISE - wet if residual else wet

    def switch(on):
        live.bypass = on

    timed = At(At(effect, start, lambda: switch(True)), end, lambda: switch(False))
    live = Live(noise, f"file:{out}", timed, clock="fast")
    live.strength = Strength(residual=residual)
    with live:
        live.wait()
    heard = written(out)[:, stage_latency(live) :]
    on, off = slice(start + 2048, end - 2048), slice(end + 2048, None)

    np.testing.assert_allclose(heard[:, : start - 2048], wet[:, : start - 2048], atol=STEP)
    np.testing.assert_allclose(heard[:, on], NOISE[:, on], atol=STEP)
    np.testing.assert_allclose(heard[:, off], wet[:, off], atol=STEP)
    if not residual:  # the share of the input goes from 0 to 1 and back in small steps: no click
        clear = np.abs(NOISE - wet)[0] > 0.05
        share = ((heard - wet) / (NOISE - wet))[0, clear]
        assert -0.01 < share.min() < share.max() < 1.01
        assert np.abs(np.diff(share)).max() < 0.05


def test_a_model_can_be_bypassed_from_the_start(tmp_path, noise, smoother):
    """Not after a crossfade."""
    out = tmp_path / "out.wav"
    live = Live(noise, f"file:{out}", Denoise(smoother), clock="fast")
    live.bypass = True
    with live:
        live.wait()

    np.testing.assert_allclose(written(out)[:, 512:], NOISE, atol=STEP)


def stage_latency(live: Live) -> int:
    """Samples by which the output is late."""
    return round((live.latency_ms["window, resampler, effects"] or 0) * RATE / 1000)


def test_strength_is_heard_on_any_effect(tmp_path, noise):
    """Half of a half and half of the whole: three quarters."""
    out = tmp_path / "out.wav"
    live = Live(noise, f"file:{out}", Halve(), clock="fast")
    live.strength = Strength(mix=50)
    with live:
        live.wait()

    assert live.strength == Strength(mix=50)
    np.testing.assert_allclose(written(out)[:, 100:], 0.75 * NOISE, atol=STEP)


def test_strength_of_a_model_is_that_of_the_effect(smoother):
    """Whoever sets it, there is one."""
    denoise = Denoise(smoother, mix=70)
    live = Live("null", "null", denoise)
    assert live.strength == Strength(70)
    live.strength = Strength(atten_lim_db=12)

    assert (denoise.mix, denoise.atten_lim_db) == (100, 12)


def test_a_run_can_be_waited_for_and_looked_at(noise, smoother):
    """`wait` says whether it is over; status and summary are there meanwhile and afterwards."""
    with Live(noise, "null", Denoise(smoother)) as live:
        assert live.wait(timeout=0.2) is False
        status, summary = live.status(), live.summary()
        assert set(status) == {
            "callbacks", "in_db", "out_db", "p50_ms", "p99_ms", "load_percent", "xruns", "late",
        }  # fmt: skip
        assert -20 < status["in_db"] < 0
        assert summary["ended"] == "running"
        assert 0.05 < summary["seconds"] < 2
    after = live.summary()

    assert after["ended"] == "stopped"
    assert summary["seconds"] <= after["seconds"] < 2
    assert live.wait(timeout=0) is True


def test_stop_may_be_called_twice_and_before_the_end(tmp_path, noise, smoother):
    """The file holds what was heard until then, and no thread is left."""
    out, before = tmp_path / "out.wav", set(threading.enumerate())
    with Live(noise, f"file:{out}", Denoise(smoother)) as live:
        live.wait(timeout=0.3)
        live.stop()
        live.stop()
        assert live.wait()

    assert 0 < sf.info(out).duration < 2
    assert not set(threading.enumerate()) - before


def test_an_exception_in_the_body_leaves_a_whole_file(tmp_path, noise, smoother):
    """And it is the one that comes out."""
    record = tmp_path / "record.wav"

    def body():
        with Live(noise, "null", Denoise(smoother), record=record) as live:
            live.wait(timeout=0.3)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        body()

    assert 0 < sf.info(record).duration < 2


def test_a_device_that_goes_away_is_told_once_and_the_recording_kept(tmp_path, smoother):
    """By `wait`; leaving is silent then."""
    record, card = tmp_path / "record.wav", ArrayCard(NOISE, dies=True)
    with Live(effect=Denoise(smoother), cards=card, record=record, wait_for_device=False) as live:
        with pytest.raises(DeviceError, match=r"the sound device is gone: \[0\] mic.* or \[1\]"):
            live.wait()
        assert live.wait(timeout=0) is True

    assert live.summary()["ended"] == "failed"
    assert sf.info(record).frames >= NOISE.shape[1] - 512


def test_each_device_is_found_once_at_the_start(smoother):
    """Each look asks the driver, which takes its time."""
    asked = []

    class Asked(ArrayCard):
        def find(self, query, kind):
            asked.append(kind)
            return super().find(query, kind)

    with Live(effect=Denoise(smoother), cards=Asked(NOISE), duration_s=0.1) as live:
        live.wait()

    assert sorted(asked) == ["input", "output"]


@needs_full_disk
def test_a_full_disk_is_told_on_leaving(noise, smoother):
    """Whoever did not wait learns it there."""
    full = Live(noise, "null", Denoise(smoother), record=FULL, clock="fast")
    with pytest.raises(AudioError, match="full"), full:
        time.sleep(0.2)


@needs_full_disk
def test_a_fault_of_the_run_does_not_hide_that_of_the_body(noise, smoother):
    """It is a note on it."""
    full = Live(noise, "null", Denoise(smoother), record=FULL, clock="fast")
    with pytest.raises(KeyError) as caught, full:
        raise KeyError("mine")

    assert "had failed as well" in caught.value.__notes__[0]


def test_what_cannot_be_opened_is_told_on_entering_and_can_be_tried_again(tmp_path, smoother):
    """Nothing is left open, and no file appears."""
    out, source = tmp_path / "out.wav", tmp_path / "late.wav"
    live = Live(f"file:{source}", f"file:{out}", Denoise(smoother), clock="fast")
    with pytest.raises(AudioError, match=r"no file .*late\.wav"):
        live.__enter__()
    assert not out.exists()
    sf.write(source, NOISE.T, RATE)
    with live:
        live.wait()

    assert out.exists()


def test_a_live_runs_once_and_says_nothing_before(noise, smoother):
    """Numbers of no run, or of two, would mean nothing."""
    live = Live(noise, "null", Denoise(smoother), clock="fast")
    for ask in (live.status, live.summary, live.wait, lambda: live.latency_ms):
        with pytest.raises(UsageError, match="has not started"):
            ask()
    with live:
        live.wait()
    with pytest.raises(UsageError, match="runs once"):
        live.__enter__()


def test_the_block_and_the_deadline_are_the_nets_own():
    """A net with a hop of 8192 has 170.7 ms, and the block that it wants."""
    effects = {
        170.667: Long(),
        10.667: Halve(),
        21.333: Denoise(generator_for(Identity(), window=2048, hop=1024)),
    }
    for deadline_ms, effect in effects.items():
        with Live("null", "null", effect, clock="fast", duration_s=0.5) as live:
            live.wait()

        assert live.summary()["deadline_ms"] == pytest.approx(deadline_ms, abs=1e-3)
        assert live.latency_ms["block"] == pytest.approx(deadline_ms, abs=1e-3)


def test_a_record_beside_a_file_as_the_sink_is_refused(noise):
    """Both would hold the same sound."""
    with pytest.raises(UsageError, match="record = r: the sink is a file"):
        Live(noise, "file:x.wav", Halve(), record="r")


def test_a_plugin_of_pedalboard_is_an_effect(tmp_path, noise):
    """As on a board."""
    pedalboard = pytest.importorskip("pedalboard")
    out = tmp_path / "out.wav"
    with Live(noise, f"file:{out}", pedalboard.Gain(-6.0206), clock="fast") as live:
        live.wait()

    np.testing.assert_allclose(written(out), NOISE / 2, atol=STEP)


def test_live_is_a_name_of_the_package():
    """As the README imports it."""
    assert rtdenoise.Live is Live


def test_a_board_has_the_hop_of_its_net():
    """Its deadline is not that of another model."""
    net = generator_for(Identity(), window=16_384, hop=8192)
    board = rtdenoise.Board([Denoise(net)])
    with Live("null", "null", board, clock="fast", duration_s=0.5) as live:
        live.wait()

    assert live.summary()["deadline_ms"] == pytest.approx(170.667, abs=1e-3)


def test_a_program_that_ends_without_leaving_the_block_has_a_whole_recording(tmp_path):
    """The run is ended before Python is: no audio thread calls a program that is gone."""
    code = (
        "import time, rtdenoise\n"
        "run = rtdenoise.Live('null', 'null', rtdenoise.Board([]), record='r.wav')\n"
        "run.__enter__()\n"
        "while run.summary()['seconds'] < 0.2: time.sleep(0.01)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120)

    assert sf.info(tmp_path / "r.wav").duration >= 0.2
    assert [path.name for path in tmp_path.iterdir()] == ["r.wav"]
