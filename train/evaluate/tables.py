"""Scores of several systems on the same files: CSVs, tables with intervals, numbers for a card.

Means are of files, never of means. Intervals are the bootstrap's (Efron 1979): the files are drawn
again 2000 times, with a fixed seed; 95 % of the means lie between the ends. Differences to the
input are paired: the same file with and without the system, drawn together.
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

from rtdenoise.files.pending import Pending

from .metrics import METRICS

INPUT = "input"  # the system that does nothing: the baseline of everybody
RESAMPLES = 2000
Scores = Mapping[str, Mapping[str, float]]  # file -> metric -> value


def group(name: str) -> str:
    """What stands before the last `_` of a file's name: its condition, as snr-05 of snr-05_003.wav.

    >>> group("snr-05_003.wav"), group("00_001.wav"), group("003.wav")
    ('-5 dB', '0 dB', '')
    """
    condition = Path(name).stem.rpartition("_")[0]
    snr = re.fullmatch(r"(?:snr)?([+-]?\d+)", condition)
    return f"{int(snr[1])} dB" if snr else condition


def values(scores: Scores, metric: str, of: str | None = None) -> NDArray[np.float64]:
    """A metric of every file, or of those of one group; NaN where it could not be computed."""
    kept = [row[metric] for name, row in scores.items() if of is None or group(name) == of]
    return np.array(kept, np.float64)


def mean(scores: Scores, metric: str, of: str | None = None) -> float:
    """Mean over the files that have a value."""
    known = values(scores, metric, of)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else math.nan


def interval(x: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """Ends of the 95 % bootstrap interval of the mean of *x* (files,); NaN below two files.

    >>> low, high = interval(np.arange(100.0))
    >>> low < 49.5 < high
    True
    """
    x = x[np.isfinite(x)]
    if len(x) < 2:
        return math.nan, math.nan
    drawn = np.random.default_rng(seed).integers(len(x), size=(RESAMPLES, len(x)))
    low, high = np.percentile(x[drawn].mean(1), [2.5, 97.5])
    return float(low), float(high)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def overall(systems: Mapping[str, Scores], metrics: Sequence[str]) -> str:
    """A row a system: mean over all files, and its interval."""
    rows = []
    for name, scores in systems.items():
        cells = []
        for metric in metrics:
            digits = METRICS[metric].digits
            low, high = interval(values(scores, metric))
            ends = "" if math.isnan(low) else f" [{low:.{digits}f}, {high:.{digits}f}]"
            cells.append(f"{mean(scores, metric):.{digits}f}{ends}")
        rows.append([name, *cells])
    return markdown(["system", *(METRICS[m].label for m in metrics)], rows)


def gains(systems: Mapping[str, Scores], metrics: Sequence[str]) -> str:
    """A row a system: paired difference to the input; bold where its interval leaves out zero."""
    rows = []
    for name, scores in systems.items():
        if name == INPUT:
            continue
        cells = []
        for metric in metrics:
            digits = METRICS[metric].digits
            apart = values(scores, metric) - values(systems[INPUT], metric)
            low, high = interval(apart)
            known = apart[np.isfinite(apart)]
            shown = f"{known.mean() if len(known) else math.nan:+.{digits}f}"
            if not math.isnan(low):
                sure = "**" if low > 0 or high < 0 else ""
                shown = f"{sure}{shown}{sure} [{low:+.{digits}f}, {high:+.{digits}f}]"
            cells.append(shown)
        rows.append([name, *cells])
    return markdown(["system - input", *(METRICS[m].label for m in metrics)], rows)


def by_group(systems: Mapping[str, Scores], metrics: Sequence[str]) -> str:
    """Means of every condition that the names tell; empty where they tell none."""
    groups = list(dict.fromkeys(group(name) for name in sorted(systems[INPUT], key=_by_snr)))
    if len(groups) < 2:
        return ""
    rows = [
        [of, name, *(f"{mean(scores, m, of):.{METRICS[m].digits}f}" for m in metrics)]
        for of in groups
        for name, scores in systems.items()
    ]
    return markdown(["condition", "system", *(METRICS[m].label for m in metrics)], rows)


def _by_snr(name: str) -> tuple[float, str]:
    number = re.match(r"-?\d+", group(name))
    return float(number[0]) if number else 0.0, name


def to_csv(scores: Scores, path: Path) -> None:
    """A row a file."""
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
    """What a card says: every metric's mean over all files, the model's beside everybody's."""
    names = {"identity": INPUT, "model": model}
    names |= {other: other for other in systems if other not in (INPUT, model)}
    return {
        METRICS[metric].label: {
            label: round(mean(systems[of], metric), 3) for label, of in names.items()
        }
        | {"files": float(len(systems[model]))}
        for metric in metrics
    }
