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
    """A group of two files weighs twice a group of one; order is by SNR; NaN does not count."""
    names = {"snr+10_000": 1.0, "snr-05_001": 2.0, "snr-05_002": 6.0, "snr-05_003": np.nan}
    systems = {"input": {name: {"snr": value} for name, value in names.items()}}
    rows = [line.split("|")[1:4] for line in tables.by_group(systems, ["snr"]).splitlines()[2:]]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["-5 dB", "input", "4.00"],
        ["10 dB", "input", "1.00"],
    ]
    assert "| input | 3.00 [" in tables.overall(systems, ["snr"])
