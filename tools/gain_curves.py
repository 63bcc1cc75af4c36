"""What systems do to their input: a picture of evaluate's CSV files, or of the tables of a page.

python -m train evaluate ... --csv CSV
python tools/gain_curves.py CSV docs/gains.png speech rnnoise    over the SNR; no names: all of them
python tools/gain_curves.py docs/models.md docs/stages.png       stages over the hours they heard
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

PANELS = {"SI-SDR": "SI-SDR, dB", "PESQ-WB": "PESQ-WB", "ESTOI": "ESTOI", "OVRL": "DNSMOS OVRL"}
COLUMNS = {metric: metric.lower().replace("-", "_") for metric in PANELS}  # of the CSV files
RIVALS = ("RNNoise", "DeepFilterNet3")
Curves = dict[str, dict[str, list[float]]]  # system -> metric -> gain at each place


def over_snr(folder: Path, names: list[str]) -> tuple[list[float], Curves]:
    """SNRs in dB, and the mean gains of the systems at each."""

    def scores(name: str) -> dict[str, dict[str, float]]:
        with (folder / f"{name}.csv").open() as lines:
            return {
                row["file"]: {metric: float(row[name]) for metric, name in COLUMNS.items()}
                for row in csv.DictReader(lines)
            }

    before = scores("input")
    files: dict[float, list[str]] = {}
    for file in before:
        files.setdefault(int(file.split("_")[0].removeprefix("snr")), []).append(file)
    places, curves = sorted(files), Curves()
    for name in names or sorted(p.stem for p in folder.glob("*.csv") if p.stem != "input"):
        after = scores(name)
        curves[name] = {
            m: [float(np.mean([after[f][m] - before[f][m] for f in files[db]])) for db in places]
            for m in PANELS
        }
    return places, curves


def over_hours(page: str) -> tuple[list[float], Curves]:
    """Hours heard, and the gains of every stage; the rivals' do not depend on those."""

    def table(first: str) -> list[dict[str, str]]:
        lines = page[page.index(f"| {first} |") :].split("\n\n")[0].splitlines()
        head, _, *rows = ([c.strip() for c in line.strip("| ").split("|")] for line in lines)
        return [dict(zip(head, row, strict=True)) for row in rows]

    def gains(rows: list[dict[str, str]]) -> dict[str, list[float]]:
        # One table has `SI-SDR dB` and `DNSMOS OVRL`, the other `SI-SDR gain` and `OVRL`.
        return {
            metric: [number(next(row[head] for head in row if metric in head)) for row in rows]
            for metric in PANELS
        }

    stages = table("stage")
    curves = {"speech, stage by stage": gains(stages)}
    for row in table("system - noisy"):
        if (name := row["system - noisy"]) in RIVALS:
            curves[name] = gains([row] * len(stages))
    return [number(row["heard"]) for row in stages], curves


def number(cell: str) -> float:
    """1,331 h or **+0.60** as a number."""
    return float(re.sub(r"[^\d.-]", "", cell))


source, picture = map(Path, sys.argv[1:3])
if source.is_dir():
    xlabel, (places, curves) = "SNR of the input, dB", over_snr(source, sys.argv[3:])
else:
    xlabel, (places, curves) = "hours of audio heard", over_hours(source.read_text())
figure = Figure(figsize=(12, 3.6), layout="constrained")
for axes, (metric, title) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
    for name, gains in curves.items():
        axes.plot(places, gains[metric], "--" if name in RIVALS else "o-", label=name)
    axes.axhline(0, color="gray", linewidth=0.5)
    axes.set(title=f"{title}: output - input", xlabel=xlabel)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
# Inside a panel it would lie on somebody's curve.
handles, names = figure.axes[0].get_legend_handles_labels()
figure.legend(handles, names, loc="outside lower center", ncols=len(names))
figure.savefig(picture, dpi=100)
