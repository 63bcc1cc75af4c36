"""Flights: the last seconds of a run as a folder, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import rtdenoise
from rtdenoise.chain.effect import Denoise
from rtdenoise.core import tape
from rtdenoise.live import blackbox, tap as tap_module, tapfile
from rtdenoise.live.blackbox import FlightRecorder
from rtdenoise.live.flight import PREFIX, FlightError, read, taken, write
from rtdenoise.live.live import Live
from rtdenoise.live.tap import Tap
from tests.live.test_tap import RATE, Negative, push, ramp, session_with
from tests.toy_nets import Breaks, generator_for


@pytest.fixture
def tap(tmp_path):
    """A tap of a second."""
    made = Tap(RATE, 1, 480, 1.0, folder=tmp_path)
    yield made
    made.close()


def fly(tap: Tap, seconds: float, block: int = 480):
    """A session that has run for *seconds*."""
    session = session_with(tap)
    for at in range(0, round(seconds * RATE), block):
        push(session, ramp(at, at + block) / 2**24)
    return session


def recorder_of(tap: Tap, folder: Path, told: list[str], on_glitch: bool = False) -> FlightRecorder:
    """A flight recorder whose facts are few."""
    return FlightRecorder(tap, lambda: {"block": 480}, folder, on_glitch, told.append)


def die(tap: Tap) -> None:
    """Free the lock of a tap, as the system does when a process ends."""
    fcntl = pytest.importorskip("fcntl")
    fcntl.flock(tap._fd, fcntl.LOCK_UN)


def flights(folder: Path) -> list[Path]:
    """The flights in a folder."""
    return sorted(folder.glob(f"{PREFIX}*"))


@pytest.mark.parametrize("seconds", [0.0, 0.2, 3.0])
def test_a_flight_comes_back_as_it_was_written(tmp_path, tap, seconds):
    """Sound, calls, events and facts are the very ones, and a call is in it whole or not at all."""
    session = fly(tap, seconds)
    if seconds:
        push(session, np.array([[np.nan, np.inf, -0.0, 1e-42, 3.0]], np.float32))
        push(session, ramp(0, 475) / 2**24)
    tap.note({"kind": "lost", "text": "mic\nü"})
    flight = taken(tap.reader(), "mark", "ü")
    back = read(write(flight, tmp_path / "flight"))

    assert back.dry.tobytes() == flight.dry.tobytes()
    assert back.wet.tobytes() == flight.wet.tobytes()
    assert np.array_equal(back.calls["flags"], flight.calls["flags"])
    assert np.array_equal(back.calls["first"], flight.calls["first"])
    np.testing.assert_allclose(
        np.diff(back.calls["began_s"]), np.diff(flight.calls["began_s"]), atol=2e-6
    )
    assert back.events == flight.events
    assert back.host == flight.host
    assert back.host["flight"]["since_start"] == back.first
    if seconds:
        assert 0.95 * RATE * min(1, seconds) < back.dry.shape[1] <= RATE * 1.02
        assert (back.dry[0, -475:] == ramp(0, 475)[0] / 2**24).all()


def test_the_files_are_what_other_programs_read(tmp_path, tap):
    """dry.wav and wet.wav are float32, calls.csv has a line a call, and only the user sees it."""
    fly(tap, 0.1)
    path = write(taken(tap.reader(), "mark"), tmp_path / "flight")
    lines = (path / "calls.csv").read_text().splitlines()

    assert sf.info(path / "dry.wav").subtype == sf.info(path / "wet.wav").subtype == "FLOAT"
    assert lines[0].startswith("number,first,frames,")
    assert len(lines) == 11
    assert json.loads((path / "host.json").read_text())["flight"]["calls"] == 10
    if os.name == "posix":
        assert path.stat().st_mode & 0o077 == 0


def test_two_flights_of_a_second_have_names_of_their_own(tmp_path, tap):
    """Nothing is replaced, not even an empty folder."""
    fly(tap, 0.1)
    (tmp_path / "flight").mkdir()
    paths = [write(taken(tap.reader(), "mark"), tmp_path / "flight") for _ in range(2)]
    assert [path.name for path in paths] == ["flight-2", "flight-3"]


def test_a_flight_that_cannot_be_written_leaves_nothing(tmp_path, tap):
    """The error is one line, and no part of a folder stays."""
    fly(tap, 0.1)
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FlightError) as refused:
        write(taken(tap.reader(), "mark"), tmp_path / "file" / "flight")
    assert "\n" not in str(refused.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("host.json", "{}"),
        ("host.json", "[" * 100_000),
        ("host.json", '{"schema": 1, "rate": 44100, "channels": 1}'),
        ("host.json", '{"schema": 1, "rate": -1, "channels": 1}'),
        ("host.json", '{"schema": 1, "rate": null, "channels": 1}'),
        ("events.jsonl", "no"),
        ("calls.csv", "number\n1\n"),
        ("calls.csv", ""),
        ("dry.wav", "RIFF"),
        ("states.npz", "PK"),
    ],
)
def test_a_damaged_flight_is_an_error_of_one_line(tmp_path, tap, name, content):
    """A flight may come from a stranger, with anything in it."""
    fly(tap, 0.1)
    path = write(taken(tap.reader(), "mark"), tmp_path / "flight")
    (path / name).write_text(content)
    with pytest.raises(FlightError) as refused:
        read(path)
    assert "\n" not in str(refused.value)
    (path / name).unlink()
    with pytest.raises(FlightError):
        read(path)


def test_calls_that_are_no_cut_of_the_sound_are_refused(tmp_path, tap):
    """Holes, and blocks of less than nothing, would be read beyond the sound."""
    fly(tap, 0.1)
    path = write(taken(tap.reader(), "mark"), tmp_path / "flight")
    lines = (path / "calls.csv").read_text().splitlines(keepends=True)
    for wrong in (
        lines[:-1],
        [*lines[:3], *lines[4:]],
        [x.replace(",480,", ",-480,") for x in lines],
    ):
        (path / "calls.csv").write_text("".join(wrong))
        with pytest.raises(FlightError, match="damaged"):
            read(path)


def test_a_fault_writes_a_flight_if_that_is_wished(tmp_path, tap, monkeypatch):
    """With `on_glitch` one flight is written of many faults in a minute; otherwise none is."""
    monkeypatch.setattr(blackbox, "LOOK_S", 0.01)
    monkeypatch.setattr(blackbox, "AFTER_S", 0.01)
    monkeypatch.setattr(blackbox, "recover", lambda folder: [])  # of hosts that other tests kill
    quiet = tmp_path / "quiet"
    told: list[str] = []
    recorders = recorder_of(tap, tmp_path, told, True), recorder_of(tap, quiet, told)
    for recorder in recorders:
        recorder.start()
    session = fly(tap, 0.1)
    try:
        for _ in range(3):
            session.counters.add("late")
            push(session, np.zeros((1, 480), np.float32))
            for _ in range(1000):
                if flights(tmp_path) and told:
                    break
                time.sleep(0.01)
    finally:
        for recorder in recorders:
            recorder.stop()
    found = flights(tmp_path)

    assert len(found) == 1
    assert read(found[0]).host["flight"]["reason"] == "glitch"
    assert told == [f"late: the last seconds are in {found[0]}"]
    assert not quiet.exists()


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A folder of taps without those of other runs of this user, which may be dead as well."""
    monkeypatch.setattr(tapfile, "tap_folder", lambda: tmp_path)
    monkeypatch.setattr(tap_module, "tap_folder", lambda: tmp_path)


@pytest.mark.usefixtures("alone")
def test_the_next_start_writes_what_a_dead_host_left(tmp_path):
    """With `on_glitch` it does so of its own accord; a live host's tap is left alone."""
    dead, lives = Tap(RATE, 1, 480, 1.0), Tap(RATE, 1, 480, 1.0)
    fly(dead, 0.1)
    die(dead)
    told: list[str] = []
    recorder = recorder_of(lives, tmp_path, told, on_glitch=True)
    recorder.start()
    recorder.stop()
    written = [flight for flight in map(read, flights(tmp_path)) if flight.dry.shape[1] == 4800]

    assert not Path(dead.name).exists()
    assert Path(lives.name).exists()
    assert written[0].host["flight"]["reason"] == "crash"
    assert any("a run was cut off; its last seconds are in" in line for line in told)
    lives.close()


@pytest.mark.usefixtures("alone")
def test_dead_hosts_do_not_fill_the_memory():
    """At a start, the newest two taps of dead hosts stay, and older ones are removed."""
    dead = [Tap(RATE, 1, 480, 0.1) for _ in range(4)]
    for number, each in enumerate(dead):
        die(each)
        os.utime(each.name, (2e9 + number, 2e9 + number))
    blackbox.forget_old()
    there = [Path(each.name).exists() for each in dead]
    for each in dead:
        Path(each.name).unlink(missing_ok=True)
    assert there == [False, False, True, True]


def test_faults_write_a_bounded_number_of_flights(tmp_path, tap, monkeypatch):
    """At most one a minute, and at most `MOST_FLIGHTS` or `MOST_BYTES` in all."""
    recorder = recorder_of(tap, tmp_path, [], True)
    fly(tap, 0.1)
    assert recorder._may()
    recorder.failed(ValueError("x"))
    assert not recorder._may()
    monkeypatch.setattr(blackbox, "PAUSE_S", 0)
    assert recorder._may()
    monkeypatch.setattr(blackbox, "MOST_BYTES", 10_000)
    assert not recorder._may()
    monkeypatch.undo()
    monkeypatch.setattr(blackbox, "PAUSE_S", 0)
    monkeypatch.setattr(blackbox, "MOST_FLIGHTS", 1)
    assert not recorder._may()


def test_live_marks_what_it_played(tmp_path):
    """`Live.mark` writes the input and the output of the run, also after its end."""
    noise = np.random.default_rng(8).uniform(-0.5, 0.5, (RATE // 2, 1)).astype(np.float32)
    sf.write(tmp_path / "in.wav", noise, RATE, "FLOAT")
    effect = rtdenoise.DryWet(rtdenoise.Board([]), 60)
    with Live(
        f"file:{tmp_path / 'in.wav'}", "null", effect, block=480, clock="fast",
        flight_folder=tmp_path / "new",
    ) as live:  # fmt: skip
        live.wait()
    flight = read(str(live.mark("the end")))

    assert np.array_equal(flight.dry, noise.T)
    assert flight.host["flight"]["text"] == "the end"
    assert flight.host["flight"]["since_start"] == 0
    assert flight.host["effect"]["mix"] == 60
    assert (flight.calls["mix"] == 60).all()
    assert [event["kind"] for event in flight.events].count("mark") == 1
    assert {"version", "platform", "cpu", "latency_ms", "block", "ends"} <= set(flight.host)
    with Live("null", "null", effect, duration_s=0.1, clock="fast", tap_seconds=0) as live:
        assert live.mark("here") is None
        live.wait()
    assert [event.text for event in live.events] == ["mark: here"]


def test_a_failing_net_is_in_the_flight(tmp_path):
    """Each call tells the hops that failed and were dry."""
    effect = Denoise(generator_for(Breaks(5)))
    with Live("null", "null", effect, duration_s=0.3, clock="fast", flight_folder=tmp_path) as live:
        live.wait()
    flight = read(str(live.mark()))
    failed, summary = int(flight.calls["failed"].sum()), live.summary()

    assert failed == summary["failed"]
    assert ((flight.calls["flags"] & tape.FAILED != 0) == (flight.calls["failed"] > 0)).all()
    assert flight.host["effect"]["type"] == "Denoise"
    assert "model" not in flight.host["effect"] or flight.host["effect"]["model"] is None
    assert len(flight.host["models"]) == 1


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs SIGUSR1 and kill -9")
def test_a_signal_and_a_kill_keep_the_last_seconds(tmp_path):
    """SIGUSR1 writes a flight; after kill -9, `replay --recover` does, and then nothing is left."""
    sound = np.random.default_rng(9).uniform(-0.5, 0.5, (20 * RATE, 1)).astype(np.float32)
    sf.write(tmp_path / "in.wav", sound, RATE, "FLOAT")
    (tmp_path / "b.toml").write_text(
        '[[effect]]\ntype = "DryWet"\n[[effect.effect]]\ntype="Board"\n'
    )
    command = [sys.executable, "-m", "rtdenoise"]
    live = [*command, "live", "--in", "file:in.wav", "--out", "null", "--board", "b.toml"]
    with subprocess.Popen(live, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as run:
        try:
            assert run.stderr is not None
            while "Ctrl-C ends it" not in (line := run.stderr.readline()):
                assert line
            run.send_signal(signal.SIGUSR1)
            said = run.stderr.readline()
            assert "the last seconds are in rtdenoise-flight-" in said
            first = read(tmp_path / said.split()[-1])
            time.sleep(0.2)
        finally:
            run.kill()
    again = [*command, "replay", "--recover", "--json", "."]
    done = subprocess.run(again, cwd=tmp_path, capture_output=True, text=True, check=True)
    paths = [tmp_path / path for path in json.loads(done.stdout)]
    crashed = [flight for flight in map(read, paths) if flight.host["pid"] == run.pid]

    assert first.host["flight"]["reason"] == "mark"
    assert len(crashed) == 1
    assert crashed[0].host["flight"]["reason"] == "crash"
    assert crashed[0].host["effect"] == first.host["effect"]
    for flight in (first, crashed[0]):
        assert np.array_equal(flight.dry, sound.T[:, : flight.dry.shape[1]])
    assert crashed[0].dry.shape[1] > first.dry.shape[1] > 0
    for path in paths:
        shutil.rmtree(path)
    done = subprocess.run(again, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert not any(read(tmp_path / p).host["pid"] == run.pid for p in json.loads(done.stdout))


def test_a_call_in_which_the_host_died_is_in_its_flight(tap):
    """The input of that call is the last of the flight, and its output is silence."""
    fly(tap, 0.1)
    tap.begin(ramp(7, 487) / 2**24)
    flight = taken(tap.reader(), "crash", ended=True)

    assert np.array_equal(2**24 * flight.dry[:, -480:], ramp(7, 487))
    assert not flight.wet[:, -480:].any()
    assert flight.calls["flags"][-1] == tape.UNENDED
    assert flight.calls["number"].tolist() == list(range(11))
    assert Negative().latency == flight.host["latency_samples"]
