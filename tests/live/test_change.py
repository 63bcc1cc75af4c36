"""A change of model or board in a run: aligned, at one delay, and never a reason to end."""

from __future__ import annotations

import threading
import time
import weakref
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from pedalboard import Compressor, Gain, Reverb

from rtdenoise.chain.board import Board
from rtdenoise.chain.boardfile import open_board
from rtdenoise.chain.effect import Denoise, DryWet
from rtdenoise.errors import AudioError, DeviceError, ModelError, UsageError
from rtdenoise.live import errands, live as live_module, processing, watch
from rtdenoise.live.claims import claimed
from rtdenoise.live.live import Live
from rtdenoise.live.watch import BoardWatch
from tests.live.array_card import ArrayCard
from tests.live.test_live_api import Halve, Patient
from tests.sounds import lag
from tests.toy_nets import Breaks, Identity, generator_for, save

RATE = 48_000
NOISE = np.random.default_rng(440).uniform(-0.4, 0.4, (1, 6 * RATE)).astype(np.float32)
HZ, LEVEL = 441.0, 0.5
SINE = (LEVEL * np.sin(2 * np.pi * HZ * np.arange(12 * RATE) / RATE)).astype(np.float32)[None]
SLOPE = 2 * np.pi * HZ / RATE * LEVEL


def net(window=1024):
    """A net that changes nothing, and has no deadline."""
    return Patient(generator_for(Identity(), window=window, hop=window // 2))


def session(live) -> Any:
    """The session of a run."""
    return live._open.session


def heard(card: ArrayCard) -> np.ndarray:
    """What the first speaker got."""
    return np.concatenate(card.heard)[:, 0]


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
    noise = np.tile(NOISE, 8) * np.linspace(0.3, 1, 8 * NOISE.shape[1], dtype=np.float32)
    card = ArrayCard(noise)
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
    end = min(len(out), noise.shape[1])
    for part, late in ((slice(0, RATE // 2), first), (slice(end - RATE, end), more)):
        assert lag(out[part], noise[0, part]) == late


class Held(Halve):
    """A delay that holds the run at two seconds until it may go on."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()

    def stage(self, stream, counters=None):
        stage, held, pushed = super().stage(stream, counters), self, [0]
        push = stage.push

        def waits(block):
            pushed[0] += block.shape[1]
            if pushed[0] > 2 * RATE:
                held.goes_on.wait(60)
            return push(block)

        stage.push = waits
        return stage


def test_files_end_whole_after_the_delay_has_risen(tmp_path, monkeypatch):
    """The end of the input comes out, although it is later than when the run began."""
    sf.write(tmp_path / "in.wav", NOISE.T, RATE, "FLOAT")
    out, effect = tmp_path / "out.wav", Held()
    with Live(f"file:{tmp_path / 'in.wav'}", f"file:{out}", effect, clock="fast") as live:
        run = session(live)
        asks = run.stage.change

        def asked(*given) -> None:
            asks(*given)
            effect.goes_on.set()  # not sooner: a fast run could be over before the change

        monkeypatch.setattr(run.stage, "change", asked)
        live.change(net(4096))
        assert live.wait(60)
        delay = live.form["delay_samples"]
    audio = sf.read(out, dtype="float32")[0]

    assert delay == 4096 - 512
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
    """Whoever asks is told so at once, and the event says it too."""
    monkeypatch.setattr(processing, "PATIENCE_S", 0.05)
    with Live("null", "null", net(), duration_s=60) as live:
        run, held = session(live), threading.Event()
        callback = run.callback
        monkeypatch.setattr(run, "callback", lambda *given: (held.wait(60), callback(*given)))
        assert not live.change(Board([Gain(-6)]))
        held.set()
        while not run.stage.settled:
            time.sleep(0.01)
        assert live.board == ["Gain"]
    assert [event.text for event in live.events] == ["board: Gain runs when sound comes"]


def test_counts_go_on_over_a_change():
    """Late and dry hops are those of the run; the times are those of the net that runs."""
    with Live("null", "null", Denoise(generator_for(Breaks(5))), duration_s=60) as live:
        while live.summary()["failed"] < 5:
            time.sleep(0.01)
        live.change(net())
        after = live.summary()

    assert after["failed"] >= 5
    assert after["hops"] > after["failed"]


def test_a_recording_begins_and_ends_in_mid_run(tmp_path):
    """Each is a whole file of what was heard meanwhile, and the status tells which runs."""
    card = ArrayCard(np.tile(NOISE, 8))
    recorded: list[np.ndarray] = []
    with Live("mic", "speakers", net(), cards=card) as live:
        assert live.recording is None
        for name in ("one.wav", "two.flac"):
            live.record(tmp_path / name)
            with pytest.raises(UsageError, match=f"{name[:3]}.* is being recorded"):
                live.record(tmp_path / "other.wav")
            until = session(live).frames + RATE
            while session(live).frames < until:
                time.sleep(0.01)
            assert live.recording
            summary = live.record(None)
            assert summary["file"] == str(tmp_path / name)
            assert summary["seconds"] >= 1.0
            recorded.append(sf.read(tmp_path / name, dtype="float32")[0])
        with pytest.raises(UsageError, match="nothing is being recorded"):
            live.record(None)
        with pytest.raises(AudioError, match="exists"):
            live.record(tmp_path / "one.wav")
        live.record(tmp_path / "one.wav", overwrite=True)
        live.record(None)
    out = heard(card)
    for audio in recorded:
        at = np.flatnonzero(np.abs(out - audio[0]) < 2**-14)
        assert any(np.allclose(out[i : i + len(audio)], audio, atol=2**-14) for i in at)

    assert len(live.summary()["recordings"]) == 3
    assert [event.kind for event in live.events] == ["record"] * 6


def test_a_recording_that_runs_at_the_end_is_whole(tmp_path):
    """Nobody needs to end it."""
    with Live("null", "null", net(), duration_s=60) as live:
        live.record(tmp_path / "end.wav")
        while (live.recording or {})["seconds"] < 0.1:
            time.sleep(0.01)

    assert len(sf.read(tmp_path / "end.wav")[0]) >= 0.1 * RATE
    assert live.summary()["recording"]["file"] == str(tmp_path / "end.wav")


def test_where_a_recording_cannot_be(tmp_path):
    """The sound of a run into a file is in a file; its input and another's file are not taken."""
    sf.write(tmp_path / "in.wav", NOISE.T, RATE, "FLOAT")
    with (
        Live(f"file:{tmp_path / 'in.wav'}", "null", net()) as live,
        claimed("recording", str((tmp_path / "taken.wav").resolve())),
    ):
        with pytest.raises(UsageError, match="is the input itself"):
            live.record(tmp_path / "in.wav", overwrite=True)
        with pytest.raises(DeviceError, match="in use by process"):
            live.record(tmp_path / "taken.wav")
        assert live.recording is None
        live.record(tmp_path / "free.wav")
    with (
        Live("null", f"file:{tmp_path / 'out.wav'}", net(), duration_s=60) as live,
        pytest.raises(UsageError, match="the output is a file"),
    ):
        live.record(tmp_path / "other.wav")


def saved(file, text, by_rename) -> None:
    """Save a board, as an editor does."""
    if by_rename:
        (file.parent / "new").write_text(text)
        (file.parent / "new").replace(file)
    else:
        file.write_text(text)


@pytest.mark.parametrize("by_rename", [True, False])
def test_a_board_file_is_loaded_when_it_is_saved(tmp_path, by_rename):
    """Also when the editor renames; an error is told once and keeps the old board."""
    file = tmp_path / "call.toml"
    gain = "[[effect]]\ntype = 'Gain'\ngain_db = {}\n".format
    saved(file, gain(-6), by_rename)
    with Live("null", "null", file, duration_s=60) as live:
        guard = BoardWatch(live)

        def looks() -> list[str]:
            before = len(live.events)
            for _ in range(3):
                guard.look()
            return [event.text for event in live.events[before:]]

        assert looks() == []
        saved(file, gain(-12), by_rename)
        assert looks() == ["board: Gain runs"]
        assert live.parameters()[0]["value"] == -12
        file.touch()
        assert looks() == []
        saved(file, "[[effect]]\ntype = 'Gian'\n", by_rename)
        (told,) = looks()
        assert told.startswith("call.toml, the old board stays: ")
        assert "Did you mean Gain?" in told
        assert live.parameters()[0]["value"] == -12
        file.unlink()
        assert looks() == []
        saved(file, gain(-3), by_rename)
        assert looks() == ["board: Gain runs"]
        live.change(net())
        saved(file, gain(0), by_rename)
        assert looks() == []


def test_the_watch_looks_by_itself(tmp_path, monkeypatch):
    """In a thread of its own."""
    monkeypatch.setattr(watch, "LOOK_S", 0.01)
    file = tmp_path / "call.toml"
    file.write_text("[[effect]]\ntype = 'Gain'\n")
    with Live("null", "null", file, duration_s=60) as live, BoardWatch(live):
        file.write_text("[[effect]]\ntype = 'Gain'\ngain_db = 2\n")
        while not live.events:
            time.sleep(0.01)
    assert live.events[0].text == "board: Gain runs"


def test_what_is_ready_is_not_loaded_again(tmp_path):
    """Torch would stop the audio thread for as long as it compiles."""
    path = save(Identity(), tmp_path / "net.pt")
    (tmp_path / "call.toml").write_text(f"[[effect]]\ntype='Denoise'\nmodel='{path}'\n")
    with Live("null", "null", net(), duration_s=60, ready=[path]) as live:
        live.change(path)
        model: Any = live.effect
        live.change(tmp_path / "call.toml")
        board: Any = live.effect
        ready: Any = live._processing._ready[0]
    assert model.net is board[0].net is ready.net


def test_what_is_left_is_freed():
    """The net and the rings of each effect that ran, by whoever asked for the change."""
    with Live("null", "null", net(), duration_s=60) as live:
        for _ in range(3):
            left = weakref.ref(session(live).stage.stage)
            assert live.change(net())
            end_s = time.monotonic() + 20
            while left() is not None and time.monotonic() < end_s:
                time.sleep(0.01)  # a call that has just ended may still hold it
            assert left() is None


def test_a_board_is_made_in_the_main_thread_while_that_waits(tmp_path, monkeypatch):
    """VST3 plugins can be loaded there only; without it, the asking thread makes the board."""
    file = tmp_path / "call.toml"
    file.write_text("[[effect]]\ntype = 'Gain'\n")
    threads = []

    def made(path) -> Board:
        threads.append(threading.current_thread())
        return open_board(path)

    monkeypatch.setattr(live_module, "open_board", made)
    monkeypatch.setattr(errands, "PATIENCE_S", 0.05)
    with Live("null", "null", net(), duration_s=60) as live:
        asking = threading.Thread(target=live.change, args=(file,))
        asking.start()
        asking.join()
        monkeypatch.setattr(errands, "PATIENCE_S", 60)
        waited = threading.Thread(target=live.change, args=(file,))
        waited.start()
        while waited.is_alive():
            live.wait(0.01)
    assert threads == [asking, threading.main_thread()]
