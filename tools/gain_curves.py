"""Plot the gains of systems over the input's SNR, from the CSV files of an evaluation.

python -m train evaluate ... --csv CSV
python tools/gain_curves.py CSV docs/gains.png speech rnnoise    without names: all systems
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

PANELS = {"SI-SDR": "SI-SDR, dB", "PESQ-WB": "PESQ-WB", "ESTOI": "ESTOI", "OVRL": "DNSMOS OVRL"}
COLUMNS = {metric: metric.lower().replace("-", "_") for metric in PANELS}  # in the CSV files
Curves = dict[str, dict[str, list[float]]]  # gains at each SNR, by system and metric


def over_snr(folder: Path, names: list[str]) -> tuple[list[float], Curves]:
    """Return the SNRs in dB, and the mean gains of the systems at each of them."""

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


source, picture = map(Path, sys.argv[1:3])
places, curves = over_snr(source, sys.argv[3:])
figure = Figure(figsize=(12, 3.6), layout="constrained")
for axes, (metric, title) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
    for name, gains in curves.items():
        axes.plot(places, gains[metric], "o-", label=name)
    axes.axhline(0, color="gray", linewidth=0.5)
    axes.set(title=f"{title}: output - input", xlabel="SNR of the input, dB")
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
# A legend inside a panel would cover a curve.
handles, names = figure.axes[0].get_legend_handles_labels()
figure.legend(handles, names, loc="outside lower center", ncols=len(names))
figure.savefig(picture, dpi=100)
