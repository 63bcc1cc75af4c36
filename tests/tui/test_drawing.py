"""What the screen draws: the spectrogram, the histogram, the meters, and their lines of text."""

from __future__ import annotations

import numpy as np
import pytest
from rich.text import Text

from rtdenoise.tui import paint
from rtdenoise.tui.spectrum import FLOOR_DB, Spectrogram
from tests.tui.fakes import RATE, Tape, status


def test_a_tone_is_at_its_frequency_and_gone_where_it_was_removed():
    """The rows rise by equal ratios up to half the rate, and a column is a fifth of a second."""
    spectrogram = Spectrogram(RATE)
    tape = Tape(3.0)
    assert spectrogram.wants(tape.position) == 3.0
    spectrogram.add(tape.dry, np.zeros_like(tape.dry), tape.position)
    dry, wet = spectrogram.pixels(20, 32)
    edges = spectrogram.edges_hz(32)
    row = 31 - int(np.argmax(dry[:, -1]))

    assert edges[row] <= 1000 <= edges[row + 1]
    assert edges[-1] == pytest.approx(RATE / 2)
    assert np.ptp(np.diff(np.log(edges))) < 1e-9
    assert -7.5 <= dry.max() <= -5.9  # between two bins a Hann window loses 1.4 dB
    assert (wet == FLOOR_DB).all() or wet.max() <= FLOOR_DB
    assert (dry.max(axis=0) > -10).tolist() == [False] * 5 + [True] * 15
    assert spectrogram.wants(tape.position) == 0


def test_a_spectrogram_takes_only_what_is_new():
    """Columns move left by as many as come, and what is less than a column waits."""
    spectrogram = Spectrogram(RATE, 10)
    n = spectrogram.step
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(3 * n) / RATE).astype(np.float32)[None]
    assert spectrogram.wants(n - 1) == 0
    spectrogram.add(tone[:, :n], tone[:, :n], n)
    assert spectrogram.wants(4 * n - 1) == pytest.approx(2 * n / RATE)
    quiet = np.zeros((1, 2 * n), np.float32)
    spectrogram.add(quiet, quiet, 3 * n)

    assert (spectrogram.pixels(10, 8)[0].max(axis=0) > -10).tolist() == [
        *[False] * 7, True, False, False
    ]  # fmt: skip


@pytest.mark.parametrize("width", [10, 39, 80, 200])
def test_the_histogram_shows_even_one_late_hop_behind_the_deadline(width):
    """One of 10 000 is red and has a bar; all others are left of the line."""
    hops = paint.Hops(np.r_[np.full(9999, 2.0), 30.0], 10.0, 1)
    title, *bars, axis = paint.histogram(hops, width, 5)
    at = int(width / paint.WIDE)
    bottom = bars[-1].plain

    assert "late 1 of 10000" in title.plain or width < 60
    assert len(bars) == 3
    assert bottom[-1] != " "
    assert "".join(line.plain[at] for line in bars) == "│││"
    assert sum(c != " " for c in bottom) == 3  # the hops, the deadline, the late one
    assert axis.plain.find("┴") == at or width < 15


@pytest.mark.parametrize("width", range(40, 201, 8))
def test_no_line_is_wider_than_it_may_be(width):
    """Meters with silence and clipping, reduction, facts with a long name, and the deadline."""
    state = status(recording={"file": "/x/" + "long" * 30, "seconds": 3.0}, waiting=True)
    loud, silent = paint.Level(3.0, 0.0, 3.0), paint.Level()
    lines = [
        *(paint.meter("out", level, 0.0, width) for level in (loud, silent)),
        *(paint.reduction(*pair, state, width) for pair in ((loud, silent), (silent, loud))),
        *paint.flow(paint.facts(state), width, 3),
        *paint.flow(paint.heading(state, ["a" * 60, None], 0), width, 1),
        *paint.histogram(paint.Hops(np.array([1.0, 9.0]), 5.0, 1), width, 5),
        *paint.histogram(None, width, 5),
    ]
    assert max(line.cell_len for line in lines) <= width
    assert "REC" in Text("\n").join(lines).plain


def test_a_narrow_line_says_what_is_switched_on():
    """At 40 columns the bypass and the residual are there, whatever else is cut off."""
    state = status(bypass=True, residual=True, atten_lim_db=12.0)
    line = paint.reduction(paint.Level(0, 0), paint.Level(0, 0), state, 40).plain
    assert " BYPASS " in line
    assert " RESIDUAL " in line


def test_a_peak_is_held_and_falls():
    """1.5 s, then 20 dB a second, never below the level of now."""
    level = paint.Level()
    level.update(np.full((1, 10), 0.5, np.float32), 10.0)
    level.update(np.full((1, 10), 0.005, np.float32), 10.1)

    assert level.held(11.4) == pytest.approx(-6.02, abs=0.01)
    assert level.held(12.5) == pytest.approx(-26.02, abs=0.01)
    level.update(np.full((1, 10), 0.005, np.float32), 20.0)
    assert level.held(20.0) == pytest.approx(-46.02, abs=0.01)
    level.update(np.array([[np.nan, np.inf]], np.float32), 21.0)
    assert level.peak_db == -120
