"""What each system does to its input, over the input's SNR: a picture of evaluate's CSV files.

python -m train evaluate ... --csv CSV
python tools/gain_curves.py CSV docs/gains.png speech rnnoise    without names: all there are
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

PANELS = {"si_sdr": "SI-SDR, dB", "pesq_wb": "PESQ-WB", "estoi": "ESTOI", "ovrl": "DNSMOS OVRL"}


def scores(path: Path) -> dict[str, dict[str, float]]:
    """Metrics of each file."""
    with path.open() as lines:
        return {row["file"]: {m: float(row[m]) for m in PANELS} for row in csv.DictReader(lines)}


folder, picture = map(Path, sys.argv[1:3])
before = scores(folder / "input.csv")
there = sorted(path.stem for path in folder.glob("*.csv") if path.stem != "input")
systems = {name: scores(folder / f"{name}.csv") for name in sys.argv[3:] or there}
conditions_db = sorted({int(file.split("_")[0].removeprefix("snr")) for file in before})
figure = Figure(figsize=(12, 3.6), layout="constrained")
for axes, (metric, title) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
    for name, after in systems.items():
        gains: dict[int, list[float]] = {snr_db: [] for snr_db in conditions_db}
        for file in after:
            snr_db = int(file.split("_")[0].removeprefix("snr"))
            gains[snr_db].append(after[file][metric] - before[file][metric])
        axes.plot(conditions_db, [np.mean(gains[db]) for db in conditions_db], "o-", label=name)
    axes.axhline(0, color="gray", linewidth=0.5)
    axes.set(title=f"{title}: output - input", xlabel="SNR of the input, dB", xticks=conditions_db)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
# Inside a panel it would lie on somebody's curve.
handles, names = figure.axes[0].get_legend_handles_labels()
figure.legend(handles, names, loc="outside lower center", ncols=len(names))
figure.savefig(picture, dpi=100)
