"""Tables of the scores of several systems on the same files: CSV, Markdown, numbers for a card.

Means are over files, never over means, and each has its number n of files beside it. Intervals are
bootstrap intervals (Efron 1979): the speakers, each with all of their files, are resampled 2000
times with a fixed seed, and 95 % of the means lie between the ends. Files of one speaker resemble
each other, so that resampled files would promise too much. Differences to the input are paired: a
file's scores with and without the system are resampled together.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtdenoise.sound.pending import Pending

from .metrics import METRICS

INPUT = "input"  # the system that does nothing, the baseline of all others
RESAMPLES = 2000
FEWEST = 5  # voices without which there is no interval: a bootstrap of two promises far too much
Scores = Mapping[str, Mapping[str, float]]  # file -> metric -> value


def group(name: str) -> str:
    """Return the condition of a file: its name up to the last `_`, as snr-05 of snr-05_003.wav.

    >>> group("snr-05_003.wav"), group("00_001.wav"), group("003.wav")
    ('-5 dB', '0 dB', '')
    """
    condition = Path(name).stem.rpartition("_")[0]
    snr = re.fullmatch(r"(?:snr)?([+-]?\d+)", condition)
    return f"{int(snr[1])} dB" if snr else condition


def values(scores: Scores, metric: str, of: str | None = None) -> NDArray[np.float64]:
    """Return a metric of every file, or of one group's files; NaN where it has no value."""
    kept = [row[metric] for name, row in scores.items() if of is None or group(name) == of]
    return np.array(kept, np.float64)


def counted(x: NDArray[np.float64], digits: int, sign: str = "") -> str:
    """Format the mean of *x* (files,) with the number of files that have a value.

    >>> counted(np.array([1.0, 2.0, np.nan]), 1)
    '1.5 n=2'
    """
    x = x[np.isfinite(x)]
    return f"{x.mean():{sign}.{digits}f} n={len(x)}" if len(x) else "none n=0"


def interval(
    x: NDArray[np.float64], speakers: Sequence[str] | None = None, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean of *x* (files,); NaN below five voices.

    Args:
        x: A value for each file; NaN where there is none.
        speakers: Speaker of each file; None: a speaker for each file.
        seed: Seed of the resampling.

    >>> low, high = interval(np.arange(100.0))
    >>> low < 49.5 < high
    True
    """
    kept = np.isfinite(x)
    names = np.array(range(len(x)) if speakers is None else speakers)[kept]
    _, voice = np.unique(names, return_inverse=True)
    files, sums = np.bincount(voice), np.bincount(voice, x[kept])
    if len(files) < FEWEST:
        return math.nan, math.nan
    drawn = np.random.default_rng(seed).integers(len(files), size=(RESAMPLES, len(files)))
    low, high = np.percentile(sums[drawn].sum(1) / files[drawn].sum(1), [2.5, 97.5])
    return float(low), float(high)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def overall(
    systems: Mapping[str, Scores], metrics: Sequence[str], speakers: Sequence[str] | None = None
) -> str:
    """Tabulate mean, interval and n over all files, with a row for each system.

    Args:
        systems: The scores of each system on the same files.
        metrics: The columns.
        speakers: Speaker of each file, in their order; None: a speaker for each file.
    """
    rows = []
    for name, scores in systems.items():
        cells = []
        for metric in metrics:
            digits, x = METRICS[metric].digits, values(scores, metric)
            low, high = interval(x, speakers)
            ends = "" if math.isnan(low) else f" [{low:.{digits}f}, {high:.{digits}f}]"
            shown, _, n = counted(x, digits).partition(" ")
            cells.append(f"{shown}{ends} {n}")
        rows.append([name, *cells])
    return markdown(["system", *(METRICS[m].label for m in metrics)], rows)


def gains(
    systems: Mapping[str, Scores], metrics: Sequence[str], speakers: Sequence[str] | None = None
) -> str:
    """Tabulate paired differences to the input; they are bold where the interval excludes zero."""
    rows = []
    for name, scores in systems.items():
        if name == INPUT:
            continue
        cells = []
        for metric in metrics:
            digits = METRICS[metric].digits
            apart = values(scores, metric) - values(systems[INPUT], metric)
            low, high = interval(apart, speakers)
            shown, _, n = counted(apart, digits, "+").partition(" ")
            if not math.isnan(low):
                sure = "**" if low > 0 or high < 0 else ""
                shown = f"{sure}{shown}{sure} [{low:+.{digits}f}, {high:+.{digits}f}]"
            cells.append(f"{shown} {n}")
        rows.append([name, *cells])
    return markdown(["system - input", *(METRICS[m].label for m in metrics)], rows)


def by_group(systems: Mapping[str, Scores], metrics: Sequence[str]) -> str:
    """Tabulate the means of every condition in the files' names; empty for less than two."""
    groups = list(dict.fromkeys(group(name) for name in sorted(systems[INPUT], key=_by_snr)))
    if len(groups) < 2:
        return ""
    rows = [
        [of, name, *(counted(values(scores, m, of), METRICS[m].digits) for m in metrics)]
        for of in groups
        for name, scores in systems.items()
    ]
    return markdown(["condition", "system", *(METRICS[m].label for m in metrics)], rows)


def _by_snr(name: str) -> tuple[float, str]:
    number = re.match(r"-?\d+", group(name))
    return float(number[0]) if number else 0.0, name


def to_csv(scores: Scores, path: Path) -> None:
    """Write scores as a CSV file with a row for each file."""
    rows = [{"file": name, **row} for name, row in scores.items()]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows[0].keys())
    writer.writeheader()
    writer.writerows(
        {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in r.items()} for r in rows
    )
    with Pending(path, overwrite=True) as pending:
        pending.path.write_text(text.getvalue())


def on_card(
    systems: Mapping[str, Scores], model: str, metrics: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Collect the means for a card: of the model, of the input and of all other systems.

    `files` counts the files that have a value of the metric; without any, the metric is left out.
    """
    names = {"identity": INPUT, "model": model}
    names |= {other: other for other in systems if other not in (INPUT, model)}
    card: dict[str, dict[str, float]] = {}
    for metric in metrics:
        found = {label: values(systems[of], metric) for label, of in names.items()}
        has = np.isfinite(list(found.values())).all(0)  # all means are of the same files
        if has.any():
            card[METRICS[metric].label] = {
                label: round(float(x[has].mean()), 3) for label, x in found.items()
            } | {"files": float(has.sum())}
    return card
