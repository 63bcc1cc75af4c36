"""Tables of the scores of several systems on the same files: CSV, Markdown, numbers for a card.

Means are over files, never over means. Intervals are bootstrap intervals (Efron 1979): the files
are resampled 2000 times with a fixed seed, and 95 % of the means lie between the ends. Differences
to the input are paired: a file's scores with and without the system are resampled together.
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

INPUT = "input"  # the system that does nothing, the baseline of all others
RESAMPLES = 2000
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


def mean(scores: Scores, metric: str, of: str | None = None) -> float:
    """Return the mean of a metric over the files that have a value."""
    finite = values(scores, metric, of)
    finite = finite[np.isfinite(finite)]
    return float(finite.mean()) if len(finite) else math.nan


def interval(x: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean of *x* (files,); NaN for less than two files.

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
    """Format a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def overall(systems: Mapping[str, Scores], metrics: Sequence[str]) -> str:
    """Tabulate mean and interval over all files, with a row for each system."""
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
    """Tabulate paired differences to the input; they are bold where the interval excludes zero."""
    rows = []
    for name, scores in systems.items():
        if name == INPUT:
            continue
        cells = []
        for metric in metrics:
            digits = METRICS[metric].digits
            apart = values(scores, metric) - values(systems[INPUT], metric)
            low, high = interval(apart)
            finite = apart[np.isfinite(apart)]
            shown = f"{finite.mean() if len(finite) else math.nan:+.{digits}f}"
            if not math.isnan(low):
                sure = "**" if low > 0 or high < 0 else ""
                shown = f"{sure}{shown}{sure} [{low:+.{digits}f}, {high:+.{digits}f}]"
            cells.append(shown)
        rows.append([name, *cells])
    return markdown(["system - input", *(METRICS[m].label for m in metrics)], rows)


def by_group(systems: Mapping[str, Scores], metrics: Sequence[str]) -> str:
    """Tabulate the means of every condition in the files' names; empty for less than two."""
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
    """Collect the means for a card: of the model, of the input and of all other systems."""
    names = {"identity": INPUT, "model": model}
    names |= {other: other for other in systems if other not in (INPUT, model)}
    return {
        METRICS[metric].label: {
            label: round(mean(systems[of], metric), 3) for label, of in names.items()
        }
        | {"files": float(len(systems[model]))}
        for metric in metrics
    }
