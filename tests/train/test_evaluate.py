"""Scores become a table and the numbers of a card."""

from __future__ import annotations

import csv
import json
import math

import pytest

from rtdenoise.errors import UsageError
from train import evaluate
from train.__main__ import main


@pytest.fixture
def scores(tmp_path):
    """Write a system's CSV as the scorer does: every metric of a file is one number."""

    def write(name, values):
        path = tmp_path / f"{name}.csv"
        with path.open("w", newline="") as out:
            rows = csv.writer(out)
            rows.writerow(["file", "delay_ms", *evaluate.METRICS])
            rows.writerows([file, 0.0, *[v] * len(evaluate.METRICS)] for file, v in values.items())
        return path

    return write


NOISY = {"00_000.wav": 1.0, "00_001.wav": 2.0, "15_002.wav": 6.0}


def test_means_are_of_files_by_input_snr_and_overall(scores):
    """A group of two files weighs twice a group of one."""
    text = evaluate.report([scores("noisy", NOISY), scores("ours", NOISY)], "ours")
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in text.splitlines()[2:]]

    assert rows == [
        ["0 dB", "noisy", "1.5"], ["0 dB", "ours", "1.5"],
        ["15 dB", "noisy", "6.0"], ["15 dB", "ours", "6.0"],
        ["all", "noisy", "3.0"], ["all", "ours", "3.0"],
    ]  # fmt: skip


def test_a_card_never_shows_a_model_without_its_baseline(scores, tmp_path):
    """Nor without its rivals, where they were scored; export takes the file as it is."""
    paths = [scores("noisy", NOISY), scores("ours", {k: v + 1 for k, v in NOISY.items()})]
    paths += [scores("rival", {k: v + 2 for k, v in NOISY.items()})]
    evaluate.report(paths, "ours", tmp_path / "metrics.json")
    metrics = json.loads((tmp_path / "metrics.json").read_text())

    assert metrics["PESQ-WB"] == {"identity": 3.0, "model": 4.0, "rival": 5.0, "files": 3}
    assert len(metrics) == len(evaluate.METRICS)


def test_a_metric_that_failed_on_a_file_does_not_spoil_the_mean(scores):
    """PESQ finds no speech in some files: NaN."""
    noisy = evaluate.read(scores("noisy", NOISY | {"15_003.wav": math.nan}))

    assert evaluate.mean(noisy, "pesq") == 3.0
    assert evaluate.mean(noisy, "pesq", "15_") == 6.0


@pytest.mark.parametrize(
    ("systems", "model", "message"),
    [
        ({"noisy": NOISY, "ours": {"00_000.wav": 1.0}}, "ours", "differ in files: 00_001.wav"),
        ({"ours": NOISY}, "ours", "noisy.csv among them"),
        ({"noisy": NOISY, "ours": NOISY}, "yours", "no scores of a model 'yours'"),
        ({"noisy": {}, "ours": {}}, "ours", "no file, si_sdr"),
    ],
)
def test_scores_that_cannot_be_compared_are_refused(scores, systems, model, message):
    """Means over different files, or without a baseline, would mislead."""
    with pytest.raises(UsageError, match=message):
        evaluate.report([scores(name, values) for name, values in systems.items()], model)


def test_the_command_line_prints_the_table(scores, tmp_path, capsys):
    """One line of error where a file is missing."""
    noisy, ours = str(scores("noisy", NOISY)), str(scores("ours", NOISY))

    assert main(["report", noisy, ours, "--model", "ours"]) == 0
    assert "| all | ours | 3.0 |" in capsys.readouterr().out
    assert main(["report", noisy, str(tmp_path / "none.csv"), "--model", "ours"]) == 2
    assert "cannot read the scores" in capsys.readouterr().err
