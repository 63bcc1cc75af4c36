"""The screen of a run: each number is shown, each key does what it says, and nothing breaks it."""

from __future__ import annotations

import asyncio
import os
import re

import numpy as np
import pytest
import soundfile as sf
from rich.cells import cell_len

from rtdenoise.chain.effect import Denoise
from rtdenoise.core.tape import DRY, LATE, XRUN_IN, XRUN_OUT
from rtdenoise.live import hosts
from rtdenoise.live.control import Control
from rtdenoise.live.live import Live
from rtdenoise.tui.app import Watch
from rtdenoise.tui.source import Source
from tests.runtime import runtime_folder
from tests.toy_nets import Identity, generator_for
from tests.tui.fakes import RATE, Run, Tape, shown, status, until, use


def test_every_number_of_the_run_is_on_the_screen():
    """Levels of known sines, counts, latency and its parts, drift, ends, model, block, time."""

    async def look(app, pilot):
        text = await until(app, pilot, "after", "late 2 of 300")
        for told in (
            *("peak   -6.0  RMS   -9.0 dBFS", "peak  -12.0  RMS  -15.1 dBFS", "  6.0 dB"),
            *("mix 100 %", "no limit", "[1] speech", "[2] -", "mic -> speakers"),
            *("xruns 3", "late 5", "dry 6", "failed 7", "gaps 8", "clipped 9", "load 14 %"),
            *("latency 15.7 ms", "(in 5.0 + stage 10.7)", "drift +12.5 ppm", "0:01:15"),
            *("48000 Hz, 1 ch, block 512", "p50 2.00  p99 2.00  max 20.00 ms", "10.7 ms"),
            *("before", "after", "24k"),
        ):
            assert told in text, f"{told!r} not in\n{text}"

    use(Run(), look)


@pytest.mark.parametrize(
    ("keys", "asked", "told"),
    [
        ("b", [("bypass", True)], "BYPASS"),
        ("b b", [("bypass", True), ("bypass", False)], "bypass off"),
        ("r", [("residual", True)], "RESIDUAL"),
        ("m", [("mix", 90.0)], "mix 90 %"),
        ("m m M", [("mix", 90.0), ("mix", 80.0), ("mix", 90.0)], "mix 90 %"),
        ("M", [("mix", 100.0)], "mix 100 %"),
        ("a", [("atten-lim", 60.0)], "limit 60 dB"),
        ("a a", [("atten-lim", 60.0), ("atten-lim", 40.0)], "limit 40 dB"),
        ("a A", [("atten-lim", 60.0), ("atten-lim", None)], "no limit"),
        ("k", [("mark", "")], "the last seconds are in /flights/one"),
        ("1", [("model", "speech")], "speech runs"),
        ("2 enter", [("model", "speech")], "[2] speech"),
        ("2 down enter", [("model", "speech-dereverb")], "[2] speech-dereverb"),
        ("tab down down enter", [("model", "speech-small")], "[2] speech-small"),
        ("c down enter", [("model", "speech-dereverb")], "[1] speech-dereverb"),
        ("2 escape", [], "[2] -"),
        ("question_mark", [], "hear what is removed"),
        ("question_mark x", [], "xruns 3"),
    ],
)
def test_a_key_does_what_it_says_and_shows_it(keys, asked, told):
    """What it asks of the run, in order, and what is on the screen then."""
    run = Run()

    async def press(app, pilot):
        for key in keys.split():
            if key in ("enter", "down", "escape"):
                await until(app, pilot, "Model of slot")
            await pilot.press(key)
        await until(app, pilot, told)
        for _ in range(500):
            if len(run.asked) >= len(asked):
                break
            await pilot.pause(0.02)

    use(run, press)
    assert run.asked == asked


def test_two_models_are_compared_by_one_key():
    """When both slots are filled, Tab changes between them, and the one that runs is marked."""
    run = Run()

    async def press(app, pilot):
        await pilot.press("2")
        await until(app, pilot, "Model of slot 2")
        await pilot.press("down", "enter")
        await until(app, pilot, "speech-dereverb runs")
        await pilot.press("tab")
        await until(app, pilot, "speech runs")
        await pilot.press("tab")
        await until(app, pilot, "speech-dereverb runs")

    use(run, press)
    assert run.asked == [
        ("model", "speech-dereverb"), ("model", "speech"), ("model", "speech-dereverb")
    ]  # fmt: skip


def test_a_board_and_a_recording_have_names_that_are_typed(tmp_path, monkeypatch):
    """The names become absolute, since the run is in another folder; R ends what R began."""
    monkeypatch.chdir(tmp_path)
    run = Run()

    async def press(app, pilot):
        await pilot.press("o", *"x.toml", "enter")
        await until(app, pilot, "Gain, Limiter", "the delay is 480 samples more", "[1] x")
        await pilot.press("R")
        await until(app, pilot, "Record the output to", ".flac")
        await pilot.press("enter")
        await until(app, pilot, "REC 4 s")
        await pilot.press("R")
        await until(app, pilot, "recorded ")
        assert "REC" not in shown(app)

    use(run, press)
    assert run.asked[0] == ("board", {"path": str(tmp_path / "x.toml")})
    assert re.fullmatch(
        rf"{re.escape(str(tmp_path))}/rtdenoise-[\d-]+\.flac", run.asked[1][1]
    )  # fmt: skip
    assert run.asked[2] == ("record", None)


def test_what_the_run_refuses_is_told_in_a_line(tmp_path, monkeypatch):
    """A model that is not there, and a recording that is there: the old state stays."""
    monkeypatch.chdir(tmp_path)
    run = Run()
    run.taken.add(str(tmp_path / "a.flac"))

    async def press(app, pilot):
        await pilot.press("c")
        await until(app, pilot, "Model of slot 1")
        await pilot.press("tab", *"nix", "enter")
        await until(app, pilot, "no model nix", "[1] speech")
        await pilot.press("R")
        await until(app, pilot, "Record the output to")
        await pilot.press("ctrl+u", *"a.flac", "enter")
        await until(app, pilot, "a.flac exists; choose another name")

    use(run, press, size=(160, 30))


@pytest.mark.parametrize(
    ("keys", "own", "asked", "ends"),
    [
        ("q q", True, ["quit"], True),
        ("ctrl+c ctrl+c", True, ["quit"], True),
        ("q s", True, [], True),
        ("q escape", True, [], False),
        ("q q", False, [], True),
        ("ctrl+c ctrl+c", False, [], True),
        ("q e", False, ["quit"], True),
        ("ctrl+q", True, [], True),
    ],
)
def test_the_end_is_asked_for(keys, own, asked, ends):
    """The same key twice ends a run in its own terminal, but only the screen of another run."""
    run = Run()

    async def press(app, pilot):
        await pilot.press(*keys.split())
        for _ in range(500 if ends else 10):
            if app._exit:
                break
            await pilot.pause(0.02)
        assert bool(app._exit) == ends

    use(run, press, own=own)
    assert [do for do, _ in run.asked] == asked


def test_a_run_that_is_killed_is_waited_for_and_shown_again():
    """The keys do nothing meanwhile; the new run is shown with its own numbers."""
    run = Run()

    async def watch(app, pilot):
        run.alive = False
        await until(app, pilot, "no run", "waiting for one")
        await pilot.press("b", "m", "a", "c", "o", "R", "k", "tab", "1")
        run.alive, run.state = True, status(pid=8, model="speech-small", xruns=41)
        await until(app, pilot, "[1] speech-small", "xruns 41")

    use(run, watch)
    assert run.asked == []


def test_a_screen_of_its_own_run_goes_with_it():
    """When the run has ended, or is gone, nothing is left to be shown."""

    async def end(app, pilot):
        run.state["ended"] = "complete"
        for _ in range(500):
            if app._exit:
                return
            await pilot.pause(0.02)
        raise AssertionError("it stays")

    run = Run()
    use(run, end, own=True)


def test_what_is_lost_between_two_looks_at_the_run_is_counted_at_once():
    """By the flags of the calls in the tap; what happened before the screen opened is no news."""
    tape = Tape()
    tape.happened = [{"unix_s": 1.0, "text": "old news"}]

    async def look(app, pilot):
        await until(app, pilot, "late 5", "late 2 of 300")
        more = tape.calls()[:4].copy()
        more["number"] += 300
        more["flags"] = LATE | DRY, XRUN_IN, XRUN_IN | XRUN_OUT, 0
        tape._calls = np.concatenate((tape._calls, more))
        tape.happened.append({"unix_s": 2.0, "text": "a device is gone"})
        text = await until(app, pilot, "late 6", "dry 7", "xruns 5", "a device is gone")
        assert "old news" not in text

    use(Run(), look, tap=lambda name: tape)


def test_a_run_without_a_tap_is_shown_as_far_as_it_goes():
    """Its peaks come from the status, and the screen says why there is no spectrogram."""

    async def look(app, pilot):
        await until(app, pilot, "peak   -9.0", "peak  -12.0", "this run keeps no sound")

    use(Run(tap=None), look)


def test_names_of_strangers_cannot_drive_the_terminal():
    """Control characters in names of models and files are escaped."""

    async def look(app, pilot):
        assert "\x1b" not in shown(app)
        assert "\\x1b[2J" in shown(app)

    use(Run(model="a\x1b[2Jb", ends=["mic\n", "out"]), look)


def test_the_screen_fits_every_size():
    """No line is wider than the screen, and levels and lost sound are shown from 40 x 10 on."""

    async def look(app, pilot):
        for width in (40, 80, 133, 200, 60, 100):
            for height in (10, 17, 24, 60):
                await pilot.resize_terminal(width, height)
                told = ("in ", "out ", "cut ", "xruns 3", "late 5", "q quit", "before")
                await until(app, pilot, *told, *(("hops p50",) if height >= 18 else ()))
                lines = shown(app).split("\n")
                assert len(lines) == height
                assert {cell_len(line) for line in lines} == {width}

    use(Run(board=["HighpassFilter"] * 20, model=None), look)


def test_the_screen_survives_a_terminal_of_any_size():
    """Down to one cell and back."""

    async def look(app, pilot):
        for size in ((20, 5), (1, 1), (3, 40), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause(0.15)
            assert {cell_len(line) for line in shown(app).split("\n")} == {size[0]}
        await until(app, pilot, "xruns 3", "hops p50")

    use(Run(), look)


def test_the_screen_shows_and_sets_a_real_run(tmp_path):
    """A run between files, its socket and its tap: what is heard is what is shown."""
    sound = tmp_path / "in.wav"
    sf.write(sound, np.tile(Tape(1.0).dry[0], 120), RATE)
    with (
        runtime_folder(),
        Live(f"file:{sound}", "null", Denoise(generator_for(Identity()))) as live,
        Control(live),
    ):

        async def main():
            source = Source(lambda: hosts.Host(os.getpid()))
            app = Watch(source)
            async with app.run_test(size=(100, 30)) as pilot:
                await until(app, pilot, "[1] identity", "peak   -6.0", "RMS   -9.0", "0.0 dB")
                await pilot.press("b", "m", "a")
                await until(app, pilot, "BYPASS", "mix 90 %", "limit 60 dB")
                await until(app, pilot, "at most 60 dB is removed")
                assert (live.bypass, live.mix, live.atten_lim_db) == (True, 90.0, 60.0)
                live.mix = 40  # another client does it
                await until(app, pilot, "mix 40 %", "hops p50", "in.wav -> null")
                live.stop(wait=False)
            source.close()

        asyncio.run(main())
