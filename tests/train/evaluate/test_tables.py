"""Means and intervals."""

from __future__ import annotations

import numpy as np

from train.evaluate import tables


def test_intervals_hold_the_truth_as_often_as_they_say():
    """95 % of intervals of 30 draws hold the mean they were drawn from (give or take 5)."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        low_end, high_end = tables.interval(rng.normal(3.0, 1.0, 30))
        hits += low_end < 3.0 < high_end
    assert 0.88 * 200 < hits < 0.99 * 200


def test_means_are_of_files_by_condition_and_overall():
    """A group of two files weighs twice a group of one; order is by SNR; n shows what is NaN."""
    names = {"snr+10_000": 1.0, "snr-05_001": 2.0, "snr-05_002": 6.0, "snr-05_003": np.nan}
    systems = {"input": {name: {"snr": value} for name, value in names.items()}}
    rows = [line.split("|")[1:4] for line in tables.by_group(systems, ["snr"]).splitlines()[2:]]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["-5 dB", "input", "4.00 n=2"],
        ["10 dB", "input", "1.00 n=1"],
    ]
    row = tables.overall(systems, ["snr"]).splitlines()[2]
    assert row == "| input | 3.00 n=3 |"


def test_intervals_are_over_speakers_not_files():
    """Many files of a few voices tell no more about other voices than a few files do."""
    rng = np.random.default_rng(1)
    voice = rng.normal(0, 1, 8)  # what a voice adds to each of its files
    names = [f"v{v}" for v in range(8) for _ in range(25)]
    x = np.repeat(voice, 25) + rng.normal(0, 0.1, 200)
    by_voice, by_file = tables.interval(x, names), tables.interval(x)
    few = tables.interval(x.reshape(8, 25).mean(1))  # a file a voice: the same question
    assert np.ptp(by_voice) > 3 * np.ptp(by_file)
    np.testing.assert_allclose(by_voice, few, atol=0.05)


def test_intervals_over_speakers_hold_the_truth_as_often_as_they_say():
    """Of voices that differ, with 5 files each, as of independent files."""
    rng = np.random.default_rng(0)
    names = [f"v{v}" for v in range(30) for _ in range(5)]
    hits = 0
    for _ in range(200):
        x = np.repeat(rng.normal(3.0, 1.0, 30), 5) + rng.normal(0, 0.3, 150)
        low_end, high_end = tables.interval(x, names)
        hits += low_end < 3.0 < high_end
    assert 0.88 * 200 < hits < 0.99 * 200


def test_few_voices_have_no_interval():
    """A bootstrap of two voices has three possible means: its interval would promise too much."""
    x, four = np.arange(40.0), [f"v{n % 4}" for n in range(40)]
    assert np.isnan(tables.interval(x, four)).all()
    assert np.isfinite(tables.interval(x, [*four[:-1], "another"])).all()
    systems = {
        name: {str(n): {"snr": n + y} for n in range(40)} for name, y in (("input", 0), ("m", 9))
    }
    assert tables.gains(systems, ["snr"], four).splitlines()[2] == "| m | +9.00 n=40 |"


def test_no_value_is_no_number():
    """A mean of nothing is not `nan` among numbers, and is on no card."""
    names = {"a": 1.0, "b": 3.0}
    systems = {"input": {name: {"snr": v, "lsd": np.nan} for name, v in names.items()}}
    row = tables.overall(systems, ["snr", "lsd"], ["ann", "ann"]).splitlines()[2]
    assert row == "| input | 2.00 n=2 | none n=0 |"
    assert tables.on_card({**systems, "m": systems["input"]}, "m", ["snr", "lsd"]) == {
        "SNR dB": {"identity": 2.0, "model": 2.0, "files": 2.0}
    }
