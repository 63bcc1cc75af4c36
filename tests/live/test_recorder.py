"""What is lost on the way to a recording is silence of the same length, in its place."""

from __future__ import annotations

import json
import mmap
import os
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.cli import main
from rtdenoise.errors import AudioError
from rtdenoise.live import recorder as recording
from rtdenoise.live.live import Live
from rtdenoise.live.lost import LostTime
from rtdenoise.live.recorder import Recorder
from rtdenoise.sound.take import Take
from tests.live.array_card import ArrayCard
from tests.live.test_live_api import Halve
from tests.sound.test_growing import most_bytes
from tests.sounds import noise, read

RATE, BLOCK = 48_000, 480
RNG = np.random.default_rng(1604)
A, B = noise(RNG, 1, 4800), noise(RNG, 1, 2400)
STEP = 2**-15


def until(condition) -> None:
    """Wait for another thread."""
    end_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.001)


def silences(recorder: Recorder) -> list[tuple[int, int]]:
    return [(place.at, place.samples) for place in recorder.places]


def test_a_gap_is_silence_between_what_came_before_and_after(tmp_path):
    """In the recording, in its summary, and told at once."""
    recorder = Recorder(Take(tmp_path / "a.wav", RATE, 1), 1, RATE)
    recorder.ring.write(A)
    recorder.gap(960, "away")
    until(lambda: recorder.notes)
    recorder.ring.write(B)
    recorder.close()
    heard = read(tmp_path / "a.wav")

    np.testing.assert_allclose(heard, np.hstack((A, np.zeros((1, 960)), B)), atol=STEP / 2)
    assert recorder.summary() == {
        "file": str(tmp_path / "a.wav"),
        "seconds": round((4800 + 960 + 2400) / RATE, 3),
        "missing_s": 0.0,
        "silent_s": 0.02,
        "silent": [{"at_s": 0.1, "seconds": 0.02, "why": "away"}],
    }
    assert list(recorder.notes) == ["away: the recording is silent for 0.02 s at 0.10 s"]


def test_what_the_ring_had_no_room_for_is_silence(tmp_path):
    """Behind what the ring held."""
    lost = [0]
    recorder = Recorder(Take(tmp_path / "a.wav", RATE, 1), 1, RATE, overrun=lambda: lost[0])
    recorder.ring.write(A)
    lost[0] = 700
    until(lambda: recorder.places)
    recorder.ring.write(B)
    recorder.close()

    assert silences(recorder) == [(4800, 700)]
    assert read(tmp_path / "a.wav").shape == (1, 4800 + 700 + 2400)


def test_a_file_is_cut_at_its_end_and_not_at_the_silence(tmp_path):
    """What is recorded from a file is as long as the file, and what was lost."""
    recorder = Recorder(Take(tmp_path / "a.wav", RATE, 1), 1, RATE, most=5000)
    recorder.ring.write(A)
    recorder.gap(100)
    until(lambda: recorder.places)
    recorder.ring.write(B)
    recorder.close()

    assert read(tmp_path / "a.wav").shape == (1, 5100)


def test_a_full_disk_is_told_at_once_and_the_recording_goes_on_when_there_is_room(
    tmp_path, monkeypatch
):
    """What did not fit is silence, so that the rest is in its place; the run ends with an error."""
    monkeypatch.setattr(recording, "RETRY_S", 0.0)
    recorder = Recorder(Take(tmp_path / "a.wav", RATE, 1), 1, RATE)
    recorder.ring.write(A)
    until(lambda: recorder.take.frames == 4800)
    with most_bytes(80 + 2 * 5000):
        for missing_s in (0.05, 0.1):
            recorder.ring.write(B)
            until(lambda wanted_s=missing_s: recorder.summary()["missing_s"] == wanted_s)
        assert "cannot write" in recorder.notes[0]
        assert "0.1 s are in" in recorder.notes[0]
        assert len(recorder.notes) == 1
        assert sf.info(recorder.take.path).frames == 4800
    recorder.ring.write(A)
    until(lambda: recorder.places)
    with most_bytes(80 + 2 * 5000):
        recorder.ring.write(B)
        until(lambda: len(recorder.notes) == 3)
    recorder.ring.write(A)
    with pytest.raises(AudioError, match="cannot write"):
        recorder.close()

    heard, silent = read(tmp_path / "a.wav"), np.zeros_like(B)
    np.testing.assert_allclose(heard, np.hstack((A, silent, silent, A, silent, A)), atol=STEP / 2)
    assert silences(recorder) == [(4800, 4800), (14_400, 2400)]


def test_what_was_recorded_is_brought_to_the_disk_again_and_again(tmp_path, monkeypatch):
    """A power cut takes only what came since the last time; each time, the file is whole."""
    monkeypatch.setattr(recording, "SYNC_S", 0.01)
    fsync, there = os.fsync, []

    def synced(number):
        fsync(number)
        there.append(sf.info(recorder.take.path).frames)

    recorder = Recorder(Take(tmp_path / "a.wav", RATE, 1), 1, RATE)
    monkeypatch.setattr(os, "fsync", synced)
    for count in (1, 2, 3):
        recorder.ring.write(A)
        until(lambda count=count: there[-1:] == [count * 4800])
    monkeypatch.setattr(os, "fsync", fsync)
    recorder.close()

    assert there == sorted(there)


def test_a_disk_with_little_room_is_told_at_the_start(tmp_path, monkeypatch):
    """If the recording may not fit: less than ten minutes, or than it will take."""
    told = []
    for room_s, wanted_s in ((599, None), (601, None), (100, 200), (100, 50)):
        take = Take(tmp_path / "a.wav", RATE, 1)
        monkeypatch.setattr(take, "room_s", lambda room_s=room_s: room_s)
        recorder = Recorder(take, 1, RATE)
        recorder.warn_of_little_room(wanted_s)
        told.append(bool(recorder.notes))
        recorder.close()
        (tmp_path / "a.wav").unlink()

    assert told == [True, False, True, False]


def test_a_machine_that_loses_sound_all_the_time_is_told_once_a_minute(tmp_path, monkeypatch):
    """A line a second would fill a log, and a list of all places the memory."""
    monkeypatch.setattr(recording, "MOST_PLACES", 5)
    clock = [100.0]
    take = Take(tmp_path / "a.wav", RATE, 1)
    recorder = Recorder(take, 1, RATE, clock=lambda: clock[0])
    for gap in range(1, 31):
        recorder.gap(480, "slow")
        until(lambda gap=gap: recorder.take.frames == 480 * gap)
        clock[0] += 4.0
    until(lambda: len(recorder.notes) == 3)
    recorder.gap(480, "slow")
    until(lambda: recorder.take.frames == 480 * 31)
    recorder.close()

    first, *rest = recorder.notes
    assert first == "slow: the recording is silent for 0.01 s at 0.00 s"
    assert len(rest) == 3
    assert all(note.startswith("since then, the recording is silent ") for note in rest)
    assert sum(int(note.split()[6].replace("once", "1")) for note in rest) == 30
    assert len(recorder.summary()["silent"]) == 5
    assert recorder.summary()["silent_s"] == 0.31
    assert sf.info(tmp_path / "a.wav").frames == 480 * 31


def test_the_silence_of_a_stop_is_where_the_stop_was(tmp_path):
    """What came after it waits in the ring until it is known how long it was."""
    clock = [100.0]
    recorder = Recorder(
        Take(tmp_path / "a.wav", RATE, 1), 1, RATE,
        watch=LostTime(RATE, BLOCK), clock=lambda: clock[0],
    )  # fmt: skip

    def play(seconds):
        for _ in range(round(100 * seconds)):
            clock[0] += 0.01
            recorder.ring.write(np.full((1, BLOCK), 0.5, np.float32))
            time.sleep(0.0005)

    play(3.0)
    until(lambda: recorder.take.frames == 3 * RATE)
    clock[0] += 2.0
    play(1.5)
    until(lambda: recorder.places)
    recorder.gap(RATE)  # told by somebody who knows: it is not counted twice
    clock[0] += 1.0
    play(1.5)
    recorder.close()
    heard = read(tmp_path / "a.wav")[0]
    (first, second) = silences(recorder)

    assert first[0] == 3 * RATE
    assert abs(first[1] - 2 * RATE) <= 3 * BLOCK
    assert second == (first[1] + int(4.5 * RATE), RATE)
    assert heard.size == 6 * RATE + first[1] + second[1]
    for at, samples in (first, second):
        assert not heard[at : at + samples].any()
    assert np.count_nonzero(heard) == 6 * RATE


def test_a_block_that_an_effect_failed_on_is_in_the_recording(tmp_path):
    """As the silence that was heard, so that nothing moves."""

    class Fails(Halve):
        def stage(self, stream, counters=None):
            stage = super().stage(stream, counters)
            push, calls = stage.push, []

            def failing(block):
                calls.append(block)
                if len(calls) == 20:
                    raise RuntimeError
                return push(block)

            stage.push = failing
            return stage

    card = ArrayCard(noise(RNG, 1, RATE), dies=False)
    record = tmp_path / "a.wav"
    with Live(effect=Fails(), cards=card, record=record, duration_s=0.5) as live:
        live.wait()

    assert live.summary()["faults"] == 1
    assert round(sf.info(record).frames / RATE, 3) == live.summary()["seconds"]


PACED = """
import json, sys
import numpy as np
from rtdenoise import Board, Live
from rtdenoise.live import drive
from rtdenoise.live.lost import clock_s
from tests.live import array_card
drive.DEAD_S = 60.0
RATE, BLOCK = 48_000, 480

class Paced(array_card.Stream):
    made = 0  # samples since the start, with those that were lost

    def _call(self):
        start_s = clock_s()
        while not self._stop.wait(0.002):
            due = round((clock_s() - start_s) * RATE) - self.made
            if due > 0.2 * RATE:  # more than its buffer holds
                self.made, due = self.made + due - BLOCK, BLOCK
            while due >= BLOCK:
                self.callback(np.ones((BLOCK, 1), np.float32), np.ones((BLOCK, 2), np.float32),
                              BLOCK, None, None)
                self.made, due = self.made + BLOCK, due - BLOCK

class Card(array_card.ArrayCard):
    def open(self, wiring, callback):
        self.stream = Paced(self, wiring, callback)
        return self.stream

card = Card(np.zeros((1, 0), np.float32))
with Live(effect=Board(), cards=card, block=BLOCK, record=sys.argv[1]) as live:
    while live.summary()["seconds"] < 0.5:
        live.wait(0.01)
    print("ready", flush=True)
    sys.stdin.readline()
    heard_s = live.summary()["seconds"]
    while live.summary()["seconds"] < heard_s + 1.2:
        live.wait(0.01)
print(json.dumps([card.stream.made, live.summary()["recording"]]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
def test_a_stopped_process_leaves_as_much_silence_as_the_card_lost(tmp_path):
    """The recording is as long as the time that passed, in line with a video."""
    running = subprocess.Popen(
        [sys.executable, "-c", PACED, tmp_path / "a.wav"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    running.send_signal(signal.SIGSTOP)
    time.sleep(0.7)
    running.send_signal(signal.SIGCONT)
    said, _ = running.communicate("go\n", timeout=60)
    made, told = json.loads(said)

    assert max(place["seconds"] for place in told["silent"]) > 0.6
    assert abs(sf.info(tmp_path / "a.wav").frames - made) < 0.05 * RATE * (1 + len(told["silent"]))


RECORDS = """
import mmap, struct, sys
from rtdenoise import Board, Live
there = open(sys.argv[1], "r+b")
count = mmap.mmap(there.fileno(), 8)
with Live("null", "null", Board(), record=sys.argv[2], tap_seconds=0) as live:
    while not live.wait(0.001):
        count[:] = struct.pack("d", live.summary()["seconds"])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_kill_9_loses_less_than_a_second_and_recover_makes_a_file(tmp_path, capsys, name):
    """Of what had been heard: the part is whole, and recover leaves it as it is."""
    shared, part = tmp_path / "count", tmp_path / f"{name}.part.wav"
    shared.write_bytes(bytes(8))
    running = subprocess.Popen([sys.executable, "-c", RECORDS, shared, tmp_path / name])
    with shared.open("r+b") as file, mmap.mmap(file.fileno(), 8) as count:
        until(lambda: running.poll() is not None or struct.unpack("d", count[:])[0] > 1)
        running.kill()
        running.wait()
        (heard_s,) = struct.unpack("d", count[:])
    kept = part.read_bytes()
    assert abs(sf.info(part).duration - heard_s) < 1
    assert main(["recover", "--json", str(tmp_path)]) == 0
    done = json.loads(capsys.readouterr().out)
    whole = tmp_path / f"a.recovered{part.suffixes[0]}"

    assert done["output"] == str(whole)
    assert done["seconds"] == sf.info(whole).duration == sf.info(part).duration
    assert sf.info(whole).format == whole.suffix[1:].upper()
    assert part.read_bytes() == kept


STUCK = """
import os, signal, sys, threading, time
import rtdenoise.cli.interrupt as interrupt
from rtdenoise.chain.effect import Effect
from rtdenoise.cli import live, parser
interrupt.GRACE_S = 0.5

class Stuck(Effect):
    latency = pushed = 0

    def stage(self, stream, counters=None):
        self.stream = stream
        return self

    def reset(self):
        self.pushed = 0

    def push(self, block):
        self.pushed += 1
        if self.pushed > 60:
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
            threading.Event().wait()
        return block

words = ["live", "--in", "null", "--out", "null", "--duration", "9", "--record", sys.argv[1]]
words += ["--flight-recorder", "0"]
live.run(parser().parse_args(words), lambda args: Stuck())
"""


def test_a_net_that_never_returns_leaves_a_recording_to_recover(tmp_path):
    """The process ends all the same, and says what to do."""
    done = subprocess.run(
        [sys.executable, "-c", STUCK, tmp_path / "a.flac"], stderr=subprocess.PIPE, text=True,
        check=False, timeout=120,
    )  # fmt: skip

    assert done.returncode == 4
    assert "`rtdenoise recover`" in done.stderr
    assert sf.info(tmp_path / "a.flac.part.wav").frames == 60 * 512
