"""The records of a run: log.csv, dev.csv, curves, spectrograms, sound, events for TensorBoard.

Curves are drawn from the CSV files, so a run that was stopped and continued has a single curve.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import soundfile as sf
import torch
from torch import Tensor

from rtdenoise.files.picture import Spectrogram, panels
from rtdenoise.files.scores import Scores

from ..config import Recipe
from ..extras import needed
from ..systems.base import Number
from .checkpoint import TrainingError

SAMPLES = 3  # examples of the development side that are written as sound and pictures
NAMES = ("degraded", "restored", "target")


class Journal:
    """The records of one run, which process 0 writes.

    Args:
        run: Folder of the run.
        recipe: Settings of the run.
        step: Number of steps so far. Later lines, of a slice that was killed after its last
            checkpoint, are dropped, because these steps will be made again.
        leads: Whether this process writes.
    """

    def __init__(self, run: Path, recipe: Recipe, step: int, leads: bool = True) -> None:
        self.run, self.recipe, self.leads = run, recipe, leads
        self.recent: list[dict[str, Number]] = []
        self._bar: Any = None
        self._events: Any = None
        if not leads:
            return
        for name in ("log.csv", "dev.csv"):
            forget_after(run / name, step)
        if recipe.run.tensorboard:
            needed("tensorboard", "train")
            writer = needed("torch.utils.tensorboard", "train")
            self._events = writer.SummaryWriter(run / "events", purge_step=step)
        if sys.stderr.isatty():
            self._bar = progress_bar(recipe)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for thing, close in ((self._events, "close"), (self._bar, "stop")):
            if thing is not None:
                getattr(thing, close)()

    def note(self, step: int, spent_s: float, losses: Mapping[str, Number]) -> None:
        """Record the losses of a step; every `log_steps` steps their means become a line."""
        self.recent.append(dict(losses))
        if not self.leads or step % self.recipe.run.log_steps:
            return
        means = {name: mean([r[name] for r in self.recent]) for name in losses}
        self.recent.clear()
        trained_s = step * self.recipe.optim.batch * self.recipe.data.seconds
        speed = f"{trained_s / max(spent_s, 1e-9):.0f}x"
        add_row(self.run / "log.csv", {"step": step, "seconds": round(spent_s, 1)} | means)
        self._scalars("train", means, step)
        text = " ".join(f"{name} {value:.4g}" for name, value in means.items())
        if self._bar is None:
            print(step, f"{spent_s:.0f} s", text, speed, flush=True)
        else:
            done = self.recipe.optim.progress(step, spent_s)
            self._bar.update(self._bar.task_ids[0], completed=done, text=f"{step} {text} {speed}")

    def evaluate(
        self, step: int, spent_s: float, degraded: Tensor, restored: Tensor, target: Tensor
    ) -> None:
        """Score waveforms (B, samples) of the development side, and write sound and pictures."""
        sides = [side.float().cpu().numpy() for side in (degraded, restored, target)]
        means = {"step": step, "seconds": round(spent_s, 1)} | scores(*sides)
        add_row(self.run / "dev.csv", means)
        self._scalars("dev", {k: v for k, v in means.items() if k not in ("step", "seconds")}, step)
        rate_hz, folder = self.recipe.data.rate_hz, self.run / "samples"
        folder.mkdir(exist_ok=True)
        for row in range(min(SAMPLES, len(sides[0]))):
            spectrograms = []
            for name, side in zip(NAMES, sides, strict=True):
                audio = side[row : row + 1]
                sf.write(folder / f"{row}_{name}.flac", audio.T.clip(-1, 1), rate_hz, "PCM_24")
                if self._events is not None:
                    self._events.add_audio(f"{row}/{name}", side[row], step, rate_hz)
                spectrogram = Spectrogram(rate_hz, 1, audio.shape[1])
                spectrogram.add(audio)
                spectrograms.append(spectrogram)
            title = f"{self.recipe.name}, step {step}"
            (folder / f"{row}.png").write_bytes(panels(spectrograms, NAMES, title))
        curves(self.run)

    def _scalars(self, side: str, values: dict[str, float], step: int) -> None:
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(f"{side}/{name}", value, step)


def mean(values: Sequence[Number]) -> float:
    """Average numbers, or tensors on a GPU, which are copied to the CPU together."""
    if isinstance(values[0], Tensor):
        return float(torch.stack([torch.as_tensor(v) for v in values]).mean())
    return float(np.mean([float(v) for v in values]))


def scores(degraded: np.ndarray, restored: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Compute mean SI-SDR, SNR and LSD over rows (B, samples), of input and output."""
    means: dict[str, float] = {}
    for name, side in (("in", degraded), ("out", restored)):
        rows = []
        for estimate, reference in zip(side, target, strict=True):
            score = Scores(1)
            score.add(estimate[None], reference[None])
            rows.append(score.result())
        for label, column in (("SI-SDR dB", "si_sdr"), ("SNR dB", "snr"), ("LSD", "lsd")):
            means[f"{column}_{name}"] = round(float(np.nanmean([row[label] for row in rows])), 4)
    return means


def add_row(path: Path, row: dict[str, float]) -> None:
    """Append a row to a CSV file; a new file gets a header.

    Raises:
        TrainingError: the file cannot be written.
    """
    fresh = not path.is_file()
    try:
        with path.open("a", newline="") as out:
            writer = csv.DictWriter(out, row.keys())
            if fresh:
                writer.writeheader()
            writer.writerow({name: round(value, 6) for name, value in row.items()})
    except OSError as error:
        raise TrainingError(f"cannot write {path}: {error.strerror}") from None


def read_rows(path: Path) -> list[dict[str, float]]:
    """Read a CSV file of numbers; a last line that a kill cut is left out.

    Raises:
        TrainingError: the file is damaged; the message names it and the line.
    """
    if not path.is_file():
        return []
    rows: list[dict[str, float]] = []
    try:
        whole, _, cut = path.read_text().rpartition("\n")
        names, *lines = whole.splitlines() or [""]
        if whole and "step" not in names.split(","):
            raise ValueError("there is no column 'step'")
        for line in lines:
            rows.append(dict(zip(names.split(","), map(float, line.split(",")), strict=True)))
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{path} is damaged after {len(rows)} rows ({error}): mend it, or move it away"
        ) from None
    if cut:
        print(f"{path}: its last line was cut, and is left out", file=sys.stderr)
    return rows


def forget_after(path: Path, step: int) -> None:
    """Drop the rows after *step*, whose steps will be made again, and what a kill cut.

    Raises:
        TrainingError: the file is damaged.
    """
    rows = read_rows(path)
    kept = [row for row in rows if row["step"] <= step]
    if len(kept) < len(rows) or (path.is_file() and not path.read_bytes().endswith(b"\n")):
        path.unlink()
        for row in kept:
            add_row(path, row | {"step": int(row["step"])})


def curves(run: Path) -> None:
    """Draw curves.png: columns of log.csv and dev.csv over the steps, input beside output."""
    from matplotlib.figure import Figure

    plots: dict[str, dict[str, list[float]]] = {}
    steps: dict[str, list[float]] = {}
    for name in ("log", "dev"):
        rows = read_rows(run / f"{name}.csv")
        steps[name] = [r["step"] for r in rows]
        for column in (c for c in (rows[0] if rows else ()) if c not in ("step", "seconds")):
            stem, _, side = column.rpartition("_")
            title, line = (stem, side) if side in ("in", "out") else (column, "")
            plots.setdefault(f"{name}: {title}", {})[line] = [r[column] for r in rows]
    if not plots:
        return
    figure = Figure(figsize=(11, 2.4 * -(-len(plots) // 3)), dpi=110, layout="constrained")
    for number, (title, lines) in enumerate(plots.items()):
        axis = figure.add_subplot(-(-len(plots) // 3), 3, number + 1)
        for line, y in lines.items():
            x = steps[title[:3]]
            dash = "--" if line == "in" else "-"
            axis.plot(x, y, dash, marker="." if len(x) < 30 else "", label=line or None)
        # A single outlier would flatten the rest of the curve, and a perfect score is infinite.
        values = np.concatenate(list(lines.values()))
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, [1, 99]) if len(values) else (0.0, 0.0)
        if high > low:
            axis.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
        if len(lines) > 1:
            axis.legend(fontsize=8)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    figure.savefig(run / "curves.png")


def progress_bar(recipe: Recipe) -> Any:
    """Make a progress bar of the whole run that shows the latest losses."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    bar = Progress(
        BarColumn(20), TaskProgressColumn(), TimeElapsedColumn(), TextColumn("{task.fields[text]}")
    )
    bar.add_task(recipe.name, total=1.0, text="")
    bar.start()
    return bar
