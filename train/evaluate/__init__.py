"""Evaluation: checks of the pairs first, then scores of every system beside baselines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rtdenoise.files.pending import Pending
from rtdenoise.nets.box import find as find_model

from ..errors import ArgumentError
from .baselines import choose
from .metrics import names
from .page import page
from .pairs import find
from .run import Result, Settings, run
from .tables import by_group, gains, on_card, overall, to_csv


@dataclass(frozen=True)
class Outputs:
    """The files that an evaluation writes in addition to its tables; None writes none.

    Attributes:
        csv: Folder for a CSV file for each system, with a row for each pair.
        report: HTML page with the tables, spectrograms and players.
        card: JSON file with the scores of the first model, for `export`.
    """

    csv: Path | None = None
    report: Path | None = None
    card: Path | None = None


def settle(
    models: Mapping[str, str],
    *,
    task: str | None = None,
    kind: str | None = None,
    baselines: Sequence[str] | None = None,
    cutoff_hz: float | None = None,
    metrics: Sequence[str] = (),
    estimates: Mapping[str, Path] | None = None,
    aligned: bool = False,
    force: bool = False,
    jobs: int = 1,
    shown: int = 0,
) -> Settings:
    """Make the settings of an evaluation; the first model's card supplies what is not given.

    Args:
        models: Name or path of each generator, by its name in the tables.
        task: denoise, dereverb or superres; None means the first model's. A cut-off means superres.
        kind: speech or music; None means the first model's.
        baselines: Names of baselines; None means those of the task.
        cutoff_hz: End of the band that a low-pass kept, for super-resolution.
        metrics: Names of metrics; empty means all that apply.
        estimates: Folders of other systems' outputs, by name.
        aligned: Whether these outputs have no delay; otherwise their delay is estimated.
        force: Whether to score pairs that the checks refuse.
        jobs: Number of processes that score at the same time.
        shown: Number of pairs in the report; 0 means all.

    Raises:
        UsageError: a name is unknown or taken twice, or a cut-off is missing.
    """
    cards = [find_model(model).card for model in models.values()]
    task = task or next((card.task for card in cards), "denoise")
    if cutoff_hz is not None:
        task = "superres"
    kind = kind or next((card.kind for card in cards), "speech")
    kind = "music" if kind == "music" else "speech"
    if task == "superres" and cutoff_hz is None and baselines is None:
        raise ArgumentError("super-resolution needs a cut-off", "cutoff_hz")
    settings = Settings(
        models=dict(models),
        baselines=tuple(choose(baselines, task, cutoff_hz)),
        kind=kind,
        cutoff_hz=cutoff_hz,
        metrics=tuple(names(kind, cutoff_hz, metrics)),
        estimates=dict(estimates or {}),
        aligned=aligned,
        force=force,
        jobs=jobs,
        shown=shown,
    )
    taken = [*settings.baselines, *settings.estimates, *settings.models]
    if double := {name for name in taken if taken.count(name) > 1}:
        raise ArgumentError(f"two systems are called {', '.join(sorted(double))}", "names")
    return settings


def evaluate(
    data: Path,
    settings: Settings,
    outputs: Outputs | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> str:
    """Check the pairs, score every system on them, and write the *outputs*.

    Args:
        data: Folder of pairs, see `pairs.find`.
        settings: The systems and how they are scored; `settle` makes them.
        outputs: Files to write.
        say: Function that is called with a line of progress after every pair.

    Returns:
        The tables as Markdown.

    Raises:
        UsageError: the checks refuse the pairs, or a file is missing.
    """
    outputs = outputs or Outputs()
    if outputs.card and not settings.models:
        raise ArgumentError("a card needs a model", "card")
    if outputs.report:
        settings = replace(settings, media=_media(outputs.report))
    pairs = find(data)
    result = run(pairs, settings, say)
    metrics = settings.metrics
    tables = {
        "All files": overall(result.systems, metrics),
        "Paired difference to the input": gains(result.systems, metrics),
        "By condition": by_group(result.systems, metrics),
    }
    notes = _notes(data, result, len(pairs))
    if outputs.csv:
        outputs.csv.mkdir(parents=True, exist_ok=True)
        for name, scores in result.systems.items():
            to_csv(scores, outputs.csv / f"{name}.csv")
    if outputs.card:
        card = on_card(result.systems, next(iter(settings.models)), metrics)
        with Pending(outputs.card, overwrite=True) as pending:
            pending.path.write_text(json.dumps(card, indent=1) + "\n")
    if outputs.report:
        title = f"{data.resolve().name}: {', '.join(result.systems)}"
        media = _media(outputs.report).name
        html = page(title, notes, result.faults, tables, result.shown, media)
        with Pending(outputs.report, overwrite=True) as pending:
            pending.path.write_text(html, encoding="utf-8")
    warning = [f"SCORED BY FORCE: {fault}" for fault in result.faults]
    parts = [*warning, *notes, *(f"{name}:\n\n{text}" for name, text in tables.items() if text)]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _media(report: Path) -> Path:
    return report.with_name(report.stem + "_files")


def _notes(data: Path, result: Result, count: int) -> list[str]:
    scored = len(next(iter(result.systems.values())))
    notes = [
        f"{scored} of {count} pairs of {data}; mean [95 % bootstrap interval]; "
        "bold: the interval of the paired difference leaves out zero."
    ]
    if result.delays:
        words = "; ".join(f"{name} {text}" for name, text in result.delays.items())
        notes.append(f"Delay of each system: {words}.")
    if result.skipped:
        notes.append(f"Skipped {len(result.skipped)}: " + "; ".join(result.skipped))
    off = {
        name: float(_median([row["gain_db"] for row in scores.values()]))
        for name, scores in result.systems.items()
    }
    loud = ", ".join(f"{name} {gain_db:+.1f} dB" for name, gain_db in off.items())
    notes.append(f"Gain re clean, median: {loud}.")
    return notes


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
