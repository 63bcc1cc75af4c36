"""The tap: what other processes read of a run, and that the run does not feel it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from rtdenoise.core import tape
from rtdenoise.core.blend import Blend, Strength
from rtdenoise.core.counters import Counters
from rtdenoise.core.stage import Chain
from rtdenoise.core.stream import Stream
from rtdenoise.core.switch import Switch
from rtdenoise.live.session import Session
from rtdenoise.live.tap import Tap, TapReader
from rtdenoise.live.tapfile import TapError, left_behind, taps

RATE = 48_000


def ramp(first: int, last: int, rows: int = 1) -> np.ndarray:
    """(rows, n): each sample is its own number, so that every mistake of order shows."""
    row = np.arange(first, last, dtype=np.float32)
    return np.stack([row + 0.5 * channel for channel in range(rows)])


class Negative:
    """A stage: the input with its sign changed, *latency* samples late only by its word."""

    def __init__(self, latency: int = 0) -> None:
        self.stream, self.latency = Stream(RATE, 1), latency

    def push(self, block):
        return -block

    def reset(self) -> None:
        pass


def session_with(tap: Tap | None, stage=None, counters: Counters | None = None) -> Session:
    """A session without warm-up."""
    session = Session(stage or Negative(), counters or Counters(), RATE, (1, 1), 0.01)
    session.tap = tap
    return session


def push(session: Session, block: np.ndarray, status=None) -> np.ndarray:
    """(1, n) through the callback."""
    out = np.empty((block.shape[1], 1), np.float32)
    session.callback(block.T, out, block.shape[1], None, status)
    return out.T


@pytest.fixture
def tap(tmp_path):
    """A tap of 1000 samples."""
    made = Tap(RATE, 1, 0, 1000 / RATE, folder=tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("sizes", [[1], [64, 7, 480], [999, 1000, 1], [1001, 3000, 0, 5]])
def test_a_reader_gets_the_last_samples_of_any_blocks(tmp_path, sizes):
    """Dry and wet are the newest samples, however the blocks fall into the ring and round it."""
    made = Tap(RATE, 2, 0, 1000 / RATE, folder=tmp_path)
    reader, at = TapReader(made.name), 0
    for turn in range(40):
        block = ramp(at, at + sizes[turn % len(sizes)], rows=2)
        made.begin(block)
        made.end(-block, session_with(None))
        at += block.shape[1]
        dry, wet = reader.last(1.0)
        first, kept = max(0, at - 1000), min(at, 1000)

        assert reader.position == at
        assert dry.shape == wet.shape == (2, kept)
        assert np.array_equal(dry, ramp(first, at, rows=2))
        assert np.array_equal(wet, -dry)
    made.close()


def test_calls_tell_their_blocks_without_a_hole(tap):
    """Each call begins where the one before it ended, and the numbers go on."""
    session = session_with(tap)
    for n in (100, 0, 1, 512):
        push(session, np.zeros((1, n), np.float32))
    calls = tap.reader().calls()

    assert calls["number"].tolist() == [0, 1, 2, 3]
    assert calls["frames"].tolist() == [100, 0, 1, 512]
    assert calls["first"].tolist() == [0, 100, 100, 101]
    assert calls["deadline_s"][3] == 512 / RATE
    assert (np.diff(calls["began_s"]) > 0).all()
    assert (calls["seconds"] > 0).all()


def test_a_reader_that_asks_for_new_calls_gets_them_once(tap):
    """`calls(since)` begins with the number that is given; of old ones only what is kept."""
    session, reader = session_with(tap), tap.reader()
    for _ in range(100):
        push(session, np.zeros((1, 16), np.float32))
    kept = reader.calls()

    assert kept["number"][-1] == 99
    assert len(kept) < 100  # more calls than the tap has places
    assert (np.diff(kept["number"]) == 1).all()
    assert reader.calls(98)["number"].tolist() == [98, 99]
    assert len(reader.calls(100)) == len(reader.calls(10**6)) == 0


def test_a_copy_is_whole_while_the_writer_writes(tap):
    """A reader never gets samples of two rounds of the ring as one, nor dry beside another wet."""
    over, session = threading.Event(), session_with(tap)
    reader = tap.reader()

    def write() -> None:
        at = 0
        while not over.is_set() and at < 2**24 - 1000:  # float32 holds such numbers exactly
            n = 1 + at % 97
            push(session, ramp(at, at + n) / 2**24)  # below full scale
            at += n

    thread = threading.Thread(target=write)
    thread.start()
    try:
        seen = 0
        for _ in range(3000):
            first, dry, wet = reader.tape.between(reader.position - 1000, reader.position)
            assert np.array_equal(dry * 2**24, ramp(first, first + dry.shape[1]))
            assert np.array_equal(wet, -dry)
            calls = reader.calls()
            assert (calls["first"][1:] == (calls["first"] + calls["frames"])[:-1]).all()
            seen += dry.shape[1]
        assert seen
    finally:
        over.set()
        thread.join()


def test_aligned_sound_shows_the_same_time(tmp_path):
    """With `aligned`, the dry sound is as late as the wet one; before the start is silence."""
    made = Tap(RATE, 1, 0, 1.0, folder=tmp_path)
    session = session_with(made, Negative(latency=30))
    push(session, ramp(0, 100) / 1024)
    reader = made.reader()
    made.close()

    dry, wet = reader.last(50 / RATE, aligned=True)
    assert np.array_equal(1024 * dry, ramp(20, 70))
    assert np.array_equal(-1024 * wet, ramp(50, 100))
    dry, wet = reader.last(1.0, aligned=True)
    assert dry.shape == wet.shape == (1, 100)
    assert np.array_equal(1024 * dry[:, 30:], ramp(0, 70))
    assert not dry[:, :30].any()


def test_levels_are_those_of_the_sound(tap):
    """Peak and RMS in dB: half of full scale has -6.02 dB; NaN counts as silence."""
    square = np.full((1, 480), 0.5, np.float32)
    push(session_with(tap, Chain([], Stream(RATE, 1))), square)
    levels = tap.reader().levels(1.0)

    assert levels["dry_peak"] == levels["dry_rms"] == pytest.approx(-6.0206, abs=1e-3)
    assert levels["wet_peak"] == levels["wet_rms"] == pytest.approx(-6.0206, abs=1e-3)
    square[:] = np.nan
    tap.begin(square)
    tap.end(square, session_with(None))
    assert tap.reader().levels(480 / RATE)["wet_peak"] == -120


class Status:
    """The flags of PortAudio."""

    input_overflow = output_underflow = True
    input_underflow = output_overflow = False

    def __bool__(self) -> bool:
        return True


def test_flags_say_what_happened_in_a_call(tap):
    """Each kind of fault is a flag of its own call, and of no other."""
    counters = Counters()

    class Fragile(Negative):
        def push(self, block):
            return -block.reshape(1, 8)

    session = session_with(tap, Fragile(), counters)
    quiet, loud = np.zeros((1, 8), np.float32), np.full((1, 8), 2.0, np.float32)
    push(session, quiet)
    push(session, quiet, Status())
    push(session, loud)
    counters.add("late")
    counters.add("hops", 3)
    push(session, quiet)
    session.stage = Switch(Fragile(latency=5))
    push(session, quiet)
    session.skip(100)
    push(session, quiet)
    push(session, np.zeros((1, 9), np.float32))  # the stage cannot take it
    flags = tap.reader().calls()["flags"].tolist()

    assert flags[:3] == [0, tape.XRUN_IN | tape.XRUN_OUT, tape.CLIPPED]
    assert flags[3:6] == [tape.LATE, tape.CHANGED, tape.RESTARTED]
    assert flags[6] & tape.FAULT
    assert tap.reader().calls()["hops"].tolist() == [0, 0, 0, 3, 0, 0, 0]
    assert session.faults == 1


def test_settings_are_kept_with_each_call(tmp_path):
    """A call tells its dry/wet settings and its bypass."""
    now = [(Strength(), False), (Strength(40, 12, residual=True), True), (Strength(40), False)]
    made = Tap(RATE, 1, 0, 1.0, lambda: now[len(made.reader().calls())], tmp_path)
    session = session_with(made)
    for _ in now:
        push(session, np.zeros((1, 8), np.float32))
    calls = made.reader().calls()
    made.close()

    assert calls["mix"].tolist() == [100, 40, 40]
    assert calls["atten_lim_db"][1] == 12
    assert np.isnan(calls["atten_lim_db"][[0, 2]]).all()
    assert calls["flags"].tolist() == [0, tape.BYPASS | tape.RESIDUAL, 0]


def test_a_stage_that_tells_its_settings_is_not_asked_elsewhere(tmp_path):
    """What another thread has set meanwhile is not what was applied in the call."""
    made = Tap(RATE, 1, 0, 1.0, lambda: (Strength(7), True), tmp_path)
    push(session_with(made, Blend(Negative(), Strength(40))), np.zeros((1, 8), np.float32))
    calls = made.reader().calls()
    made.close()

    assert calls["mix"].tolist() == [40]
    assert calls["flags"].tolist() == [0]


def test_a_change_before_the_first_call_is_a_flag_of_it(tap):
    """The effect that the run began with is heard while the new one settles."""
    session = session_with(tap)
    session.change(Negative(), Counters(), 0.01, lambda: None, 8)
    for _ in range(2):
        push(session, np.zeros((1, 8), np.float32))
    assert (tap.reader().calls()["flags"] & tape.CHANGED).tolist() == [tape.CHANGED, 0]


def test_the_sound_is_the_same_with_and_without_a_tap(tap):
    """A tap changes no sample, also not where the stage raises or gives another type."""

    class Odd(Negative):
        def push(self, block):
            if block[0, 0] == 3:
                raise ValueError
            return (-block / 8).astype(np.float64)

    sessions = session_with(tap, Odd()), session_with(None, Odd())
    for value in range(5):
        block = np.full((1, 30), value, np.float32)
        assert np.array_equal(push(sessions[0], block), push(sessions[1], block))
    assert sessions[0].faults == sessions[1].faults == 1
    assert tap.reader().position == 150


def test_a_call_that_never_ended_leaves_its_input(tap):
    """The input is there before the stage gets it, so that a crash in it can be made again."""
    push(session_with(tap), ramp(0, 10) / 128)
    tap.begin(ramp(10, 30) / 128)
    reader = tap.reader()

    assert reader.position == 10
    assert np.array_equal(128 * reader.tape.unended(), ramp(10, 30))


def test_facts_and_events_come_back(tap):
    """The host's facts are the last ones told; events have a time, and old ones give way."""
    tap.tell({"version": "0", "board": "x" * 1000})
    tap.tell({"version": "1"})
    for number in range(5000):
        tap.note({"kind": "mark", "text": f"ü {number} " + 50 * "."})
    events = tap.reader().events()

    assert tap.reader().host() == {"version": "1"}
    assert 1000 < len(events) < 5000
    assert events[-1]["text"].startswith("ü 4999 ")
    assert {"unix_s", "sample", "kind"} <= set(events[0])


def test_only_the_user_can_read_a_tap_and_its_end_removes_it(tmp_path):
    """The mode is 0600, and a reader keeps what was there at the end."""
    made = Tap(RATE, 1, 0, 1.0, folder=tmp_path)
    push(session_with(made), ramp(0, 10) / 128)
    reader = TapReader(made.name)
    if os.name == "posix":
        assert stat.S_IMODE(Path(made.name).stat().st_mode) == 0o600
    assert taps(tmp_path) == [Path(made.name)]
    assert reader.alive
    made.close()
    made.close()

    assert not taps(tmp_path)
    assert not reader.alive
    assert reader.last(1.0)[0].shape == (1, 10)


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"rtdn-tap" + bytes(10**6)])
def test_what_is_no_tap_is_refused(tmp_path, content):
    """A file that is no tap, or that of another version, is an error of one line."""
    file = tmp_path / "rtdenoise-1-2.tap"
    file.write_bytes(content)
    with pytest.raises(TapError) as refused:
        TapReader(file)
    assert "\n" not in str(refused.value)
    with pytest.raises(TapError, match="no such file"):
        TapReader(tmp_path / "none.tap")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_the_tap_of_a_killed_host_is_found(tmp_path):
    """After `kill -9` the tap is there whole, and is known as that of a dead host."""
    code = f"""
import os, signal, numpy as np
from pathlib import Path
from rtdenoise.live.tap import Tap
from tests.live.test_tap import push, ramp, session_with
tap = Tap({RATE}, 1, 0, 1.0, folder=Path({str(tmp_path)!r}))
push(session_with(tap), ramp(0, 100) / 128)
os.kill(os.getpid(), signal.SIGKILL)
"""
    died = subprocess.run([sys.executable, "-c", code], timeout=300)
    assert died.returncode == -signal.SIGKILL
    mine = Tap(RATE, 1, 0, 1.0, folder=tmp_path)
    found = left_behind(tmp_path)
    mine.close()

    assert len(found) == 1
    assert np.array_equal(128 * TapReader(found[0]).last(1.0)[0], ramp(0, 100))
