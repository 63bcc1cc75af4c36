"""What each stage of `speech` gained over what it had heard: a picture of two tables of a page.

python tools/stage_curves.py docs/models.md docs/stages.png
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from matplotlib.figure import Figure

PANELS = {"SI-SDR": "SI-SDR, dB", "PESQ-WB": "PESQ-WB", "ESTOI": "ESTOI", "OVRL": "DNSMOS OVRL"}
RIVALS = {"RNNoise": "tab:green", "DeepFilterNet3": "tab:red"}  # their colours in gains.png


def table(text: str, first: str) -> list[dict[str, str]]:
    """The rows below the head that begins with *first*."""
    lines = text[text.index(f"| {first} |") :].split("\n\n")[0].splitlines()
    head, _, *rows = ([cell.strip() for cell in line.strip("| ").split("|")] for line in lines)
    return [dict(zip(head, row, strict=True)) for row in rows]


def number(cell: str) -> float:
    """1,331 h or **+0.60** as a number."""
    return float(re.sub(r"[^\d.-]", "", cell))


def column(rows: list[dict[str, str]], metric: str) -> list[float]:
    """The gains of one metric; the two tables call it `SI-SDR dB` and `SI-SDR gain`."""
    return [number(next(v for k, v in row.items() if metric in k)) for row in rows]


source, picture = map(Path, sys.argv[1:3])
page = source.read_text()
stages, systems = table(page, "stage"), table(page, "system - noisy")
rivals = {row["system - noisy"]: row for row in systems if row["system - noisy"] in RIVALS}
hours = [number(row["heard"]) for row in stages]
figure = Figure(figsize=(12, 3.4), layout="constrained")
for axes, (metric, title) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
    axes.plot(hours, column(stages, metric), "o-", label="speech, stage by stage")
    for name, row in rivals.items():
        gain = column([row], metric)[0]
        axes.axhline(gain, color=RIVALS[name], linestyle="--", label=name)
    axes.set(title=f"{title}: output - input", xlabel="hours of audio heard")
    axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
    axes.grid(alpha=0.3)
handles, names = figure.axes[0].get_legend_handles_labels()
figure.legend(handles, names, loc="outside lower center", ncols=len(names))
figure.savefig(picture, dpi=100)
