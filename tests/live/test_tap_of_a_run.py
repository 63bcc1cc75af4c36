"""`Live` has a tap, unless it is told not to, or cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import rtdenoise
from rtdenoise.core import tape
from rtdenoise.core.blend import Strength
from rtdenoise.core.counters import Counters
from rtdenoise.core.stage import Chain
from rtdenoise.core.stream import Stream
from rtdenoise.live.live import Live
from rtdenoise.live.session import Session
from rtdenoise.live.tap import TapReader, open_tap

RATE = 48_000


def test_live_has_a_tap(tmp_path):
    """A run's tap holds its input and its output, sample for sample, and ends with the run."""
    noise = np.random.default_rng(6).uniform(-0.5, 0.5, (RATE, 1)).astype(np.float32)
    sf.write(tmp_path / "in.wav", noise, RATE, "FLOAT")
    live = Live(
        f"file:{tmp_path / 'in.wav'}", f"file:{tmp_path / 'out.wav'}", rtdenoise.Board([]),
        block=480, clock="real",  # a fast run could be over before the reader comes
    )  # fmt: skip
    with live:
        assert live.tap is not None
        reader = TapReader(live.tap)
        live.wait()
    dry, wet = reader.last(60)

    assert reader.position == RATE
    assert np.array_equal(dry, noise.T)
    assert np.array_equal(wet, noise.T)
    assert (reader.calls()["frames"] == 480).all()
    assert not Path(reader.name).exists()


def test_live_can_do_without_a_tap():
    """`tap_seconds=0` makes none, and the run has nothing to say about it."""
    with Live("null", "null", rtdenoise.Board([]), duration_s=0.1, tap_seconds=0) as live:
        live.wait()
        assert live.tap is None
        assert live.notes() == []
    with pytest.raises(rtdenoise.UsageError, match=r"tap_seconds = -1: wanted 0 to 3600"):
        Live("null", "null", tap_seconds=-1)


def test_a_tap_that_cannot_be_made_is_told_once(tmp_path):
    """Where there is no room, the run goes on without a tap and says why, one time."""
    resource = pytest.importorskip("resource")
    code = f"""
import resource, rtdenoise
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, {resource.RLIM_INFINITY}))
with rtdenoise.Live("null", "null", rtdenoise.Board([]), duration_s=0.1) as live:
    live.wait()
    print(live.tap, live.notes(), live.notes(), live.summary()["callbacks"])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    want = "None ['this run has no flight recorder: file too large'] [] 10\n"
    assert ran.stdout == want, ran.stderr
    session = Session(Chain([], Stream(RATE, 1)), Counters(), RATE, (1, 1), 0.01)
    with open_tap(session, 512, 0, lambda: (Strength(), False), print) as none:
        assert none is None


def test_a_change_of_the_effect_is_a_flag_of_one_call():
    """That in which the old effect is heard last; the facts are those of the new one."""
    with Live("null", "null", rtdenoise.Board([]), duration_s=60) as live:
        assert live.change(rtdenoise.DryWet(rtdenoise.Board([]), 30))
        reader = TapReader(str(live.tap))
        flags = reader.calls()["flags"]

    assert reader.host()["effect"]["mix"] == 30
    assert np.count_nonzero(flags & tape.CHANGED) == 1
