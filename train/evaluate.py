"""Scores of several systems on the same files become a table, and the numbers on a model's card.

The scorer writes one CSV a system (file, si_sdr, pesq, ...); files are named SS_NNN.wav, SS the SNR
in dB of what went in, as `mixes.make` names them. Means are of files, never of means.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

from rtdenoise.errors import UsageError

IDENTITY = "noisy"  # the system that does nothing: the baseline of everybody
METRICS = {  # column of the CSV: its name on the card, and decimals in the table
    "si_sdr": ("SI-SDR dB", 1),
    "pesq": ("PESQ-WB", 2),
    "estoi": ("ESTOI", 3),
    "lsd": ("LSD", 2),
    "ovrl": ("DNSMOS OVRL", 2),
    "sig": ("DNSMOS SIG", 2),
    "bak": ("DNSMOS BAK", 2),
}
Scores = dict[str, dict[str, float]]  # file -> metric -> value


def read(path: Path) -> Scores:
    """One system's scores; a metric that failed on a file is NaN there.

    Raises:
        UsageError: no such file, or columns are missing.
    """
    try:
        with path.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
    except OSError as error:
        raise UsageError(f"cannot read the scores {path}: {error.strerror}") from None
    if missing := [name for name in ("file", *METRICS) if not rows or name not in rows[0]]:
        raise UsageError(f"{path}: no {', '.join(missing)}; wanted file, {', '.join(METRICS)}")
    return {row["file"]: {name: float(row[name]) for name in METRICS} for row in rows}


def compare(paths: list[Path]) -> dict[str, Scores]:
    """Scores of every system, by the name of its file.

    Raises:
        UsageError: one is missing or named twice, there is no baseline, or the systems were not
            scored on the same files: their means would not be comparable.
    """
    systems = {path.stem: read(path) for path in paths}
    if len(systems) != len(paths) or IDENTITY not in systems:
        raise UsageError(f"wanted different names, {IDENTITY}.csv among them; got {list(systems)}")
    for name, scores in systems.items():
        if off := sorted(set(scores) ^ set(systems[IDENTITY])):
            raise UsageError(f"{name} and {IDENTITY} differ in files: {', '.join(off[:3])}, ...")
    return systems


def mean(scores: Scores, metric: str, start: str = "") -> float:
    """Mean over the files whose names begin with *start*; files without a value do not count."""
    values = [row[metric] for name, row in scores.items() if name.startswith(start)]
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def table(systems: dict[str, Scores], order: list[str]) -> str:
    """Markdown: a block of rows for every input SNR and one for all files, a column a metric."""
    groups = sorted({name.split("_")[0] for name in systems[IDENTITY]})
    head = ["input SNR", "system", *(name for name, _ in METRICS.values())]
    lines = [head, ["---"] * len(head)]
    for group in [*groups, ""]:
        for system in order:
            cells = [
                f"{mean(systems[system], metric, group and group + '_'):.{digits}f}"
                for metric, (_, digits) in METRICS.items()
            ]
            lines.append([f"{int(group)} dB" if group else "all", system, *cells])
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def on_card(systems: dict[str, Scores], model: str) -> dict[str, dict[str, float]]:
    """What a card says: every metric's mean over all files, the model's beside everybody's."""
    names = {"identity": IDENTITY, "model": model}
    names |= {other: other for other in systems if other not in (IDENTITY, model)}
    return {
        label: {name: round(mean(systems[of], metric), 3) for name, of in names.items()}
        | {"files": float(len(systems[model]))}
        for metric, (label, _) in METRICS.items()
    }


def report(paths: list[Path], model: str, metrics: Path | None = None) -> str:
    """Compare *paths*; write the card's numbers of *model* to *metrics*, return the table.

    Raises:
        UsageError: as `compare`, or *model* is not among them.
    """
    systems = compare(paths)
    if model not in systems or model == IDENTITY:
        raise UsageError(f"no scores of a model {model!r}; got {', '.join(systems)}")
    if metrics:
        metrics.write_text(json.dumps(on_card(systems, model), indent=1) + "\n")
    return table(systems, list(systems))
