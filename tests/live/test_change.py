"""A change of model or board in a run: aligned, at one delay, and never a reason to end."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest
import soundfile as sf
from pedalboard import Compressor, Gain, Reverb

from rtdenoise.chain.board import Board
from rtdenoise.chain.effect import Denoise, DryWet
from rtdenoise.errors import ModelError, UsageError
from rtdenoise.live.live import Live
from tests.live.array_card import ArrayCard
from tests.live.test_live_api import Halve, Patient
from tests.toy_nets import Breaks, Identity, generator_for, save

RATE = 48_000
NOISE = np.random.default_rng(440).uniform(-0.4, 0.4, (1, 6 * RATE)).astype(np.float32)
HZ, LEVEL = 441.0, 0.5
SINE = (LEVEL * np.sin(2 * np.pi * HZ * np.arange(12 * RATE) / RATE)).astype(np.float32)[None]
SLOPE = 2 * np.pi * HZ / RATE * LEVEL


def net(window=1024):
    """A net that changes nothing, and has no deadline."""
    return Patient(generator_for(Identity(), window=window, hop=window // 2))


def heard(card: ArrayCard) -> np.ndarray:
    """What the first speaker got."""
    return np.concatenate(card.heard)[:, 0]


def lag(out, audio) -> int:
    """By how many samples *out* is late, by correlation."""
    size = 1 << (out.size + audio.size).bit_length()
    both = np.fft.rfft(out, size) * np.conj(np.fft.rfft(audio, size))
    return int(np.argmax(np.fft.irfft(both)[: size // 2]))


@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_a_sine_through_a_run_does_not_jump_at_any_change(rate):
    """Model to model to board to bypass and back: each step is one that the sine has itself.

    The card runs at another rate than the nets, too, so that each is resampled.
    """
    card = ArrayCard(SINE, rates=(rate,))
    with Live("mic", "speakers", net(), cards=card, rate=rate) as live:
        for other in (net(), Board([net(), Gain(0)]), Gain(0), net()):
            assert live.change(other)
        live.bypass = True
        assert live.change(net())
        live.bypass = False
        before = live.form["delay_samples"]
        live.wait(0.1)
    out = heard(card)[4096 : SINE.shape[1] - 4096]

    assert before == live.form["delay_samples"]
    assert [event.kind for event in live.events] == ["changed"] * 5
    assert np.abs(np.diff(out)).max() <= SLOPE * 1.02
    assert live.summary()["faults"] == 0


def test_the_delay_stays_and_rises_once_with_a_word():
    """By correlation before and after; a shorter net is delayed, a longer one raises it."""
    card = ArrayCard(NOISE)
    with Live("mic", "speakers", net(), cards=card) as live:
        first = live.form["delay_samples"]
        latency_ms = sum(filter(None, live.latency_ms.values()))
        live.change(net(512))
        same = live.form["delay_samples"]
        live.change(net(4096))
        more = live.form["delay_samples"]
        live.change(net(512))
        more_ms = sum(filter(None, live.latency_ms.values()))
    out = heard(card)

    assert (first, same) == (512, 512)
    assert more == live.form["delay_samples"] == 4096 - 512
    assert [event.kind for event in live.events] == ["changed", "changed", "delay", "changed"]
    assert "64.0 ms more" in live.events[2].text
    assert more_ms - latency_ms == pytest.approx(64.0)
    assert lag(out[: RATE // 2], NOISE[0, : RATE // 2]) == first
    assert lag(out[-RATE:], NOISE[0, len(out) - RATE - 8192 : len(out)]) == 8192 + more


def test_files_end_whole_after_the_delay_has_risen(tmp_path):
    """The end of the input comes out, although it is later than when the run began."""
    sf.write(tmp_path / "in.wav", NOISE.T, RATE, "FLOAT")
    out = tmp_path / "out.wav"
    begun = threading.Event()

    class Slow(Halve):
        """It holds the run at one second, until the change was asked for."""

        def stage(self, stream, counters=None):
            stage = super().stage(stream, counters)
            push, pushed = stage.push, [0]

            def held(block):
                pushed[0] += block.shape[1]
                if pushed[0] > 2 * RATE:
                    begun.wait(60)
                return push(block)

            stage.push = held
            return stage

    with Live(f"file:{tmp_path / 'in.wav'}", f"file:{out}", Slow(), clock="fast") as live:
        threading.Timer(0.5, begun.set).start()
        live.change(net(4096))
        assert live.wait(60)
    audio = sf.read(out, dtype="float32")[0]
    delay = live.form["delay_samples"]

    assert len(audio) == NOISE.shape[1] + delay
    np.testing.assert_allclose(audio[-RATE:], NOISE[0, -RATE:], atol=2**-14)


def test_the_settings_of_now_hold_for_what_comes():
    """A name and a board take the strength and the bypass; an effect brings its own strength."""
    with Live("null", "null", net(), duration_s=60, clock="real") as live:
        live.mix, live.atten_lim_db, live.bypass = 40, 12, True
        live.change(Board([Gain(0)]))
        assert (live.mix, live.atten_lim_db, live.bypass) == (40, 12, True)
        assert (live.model, live.board) == (None, ["Gain"])
        live.change(Denoise(generator_for(Identity()), mix=70))
        assert (live.mix, live.bypass) == (70, True)
        assert (live.model, live.board) == ("identity", None)


def test_an_error_leaves_what_runs(tmp_path):
    """No such model, a broken one, no effect, an effect that raises: the old one goes on."""

    class Raises(Halve):
        def stage(self, stream, counters=None):
            stage = super().stage(stream, counters)
            pushed = [0]

            def push(block):
                pushed[0] += 1
                if pushed[0] > 8:  # of those that warm it up
                    raise RuntimeError("broken on purpose")
                return block

            stage.push = push
            return stage

    bad = save(Breaks(1, raises=True), tmp_path / "net.pt")
    (tmp_path / "bad.toml").write_text("[[effect]]\ntype = 'Compresor'\n")
    with Live("null", "null", net(), duration_s=60) as live:
        before = live.effect
        for other, error, text in (
            ("nosuch", ModelError, "In the box"),
            (bad, ModelError, "broke on purpose"),
            (tmp_path / "bad.toml", UsageError, "Compressor"),
            (3, UsageError, "no effect"),
            (Raises(), UsageError, "broken on purpose"),
        ):
            with pytest.raises(error, match=text):
                live.change(other)
            assert live.effect is before
        assert live.change(net())
        assert live.summary()["faults"] == 0
    assert [event.kind for event in live.events] == ["changed"]


def test_a_plugin_cannot_run_twice():
    """It holds its sound itself; the same board is refused, and new plugins are taken."""
    board = Board([Compressor(), DryWet(Board([Reverb()]))])
    with Live("null", "null", board, duration_s=60) as live:
        for same in (board, Board([board[1]]), board[0]):
            with pytest.raises(UsageError, match="cannot run twice"):
                live.change(same)
        assert live.change(Board([Compressor(), DryWet(Board([Reverb()]))]))
        assert live.change(board)


def test_a_change_while_a_device_is_gone_is_made_when_sound_comes(monkeypatch):
    """Whoever asks gets an answer, and is told when it will be heard."""
    from rtdenoise.live import processing

    monkeypatch.setattr(processing, "PATIENCE_S", 0.1)
    card = ArrayCard(NOISE[:, :RATE], dies=True)
    with Live("mic", "speakers", net(), cards=card) as live:
        while not live.waiting:
            time.sleep(0.01)
        opened = live._processing._run[0].restart
        monkeypatch.setattr(live._processing._run[0], "restart", lambda: None)
        heard = live.change(Board([Gain(-6)]))
        monkeypatch.setattr(live._processing._run[0], "restart", opened)
        kinds = [event.kind for event in live.events]

    assert live.board == ["Gain"]
    assert kinds.count("changed") == 1
    assert heard in (True, False)


def test_counts_go_on_over_a_change():
    """Late and dry hops are those of the run; the times are those of the net that runs."""
    with Live("null", "null", Denoise(generator_for(Breaks(5))), duration_s=60) as live:
        while live.summary()["failed"] < 5:
            time.sleep(0.01)
        live.change(net())
        after = live.summary()

    assert after["failed"] >= 5
    assert after["hops"] > after["failed"]
    assert os.getpid()
