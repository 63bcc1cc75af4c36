"""Evaluation: checks of the pairs first, then scores of every system beside baselines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

import numpy as np

from rtdenoise.errors import UsageError
from rtdenoise.nets.box import find as find_model, names as model_names
from rtdenoise.sound.pending import Pending

from ..errors import ArgumentError
from .baselines import choose
from .metrics import METRICS, names
from .page import page
from .pairs import find, stock
from .run import Result, Settings, run
from .tables import FEWEST, INPUT, by_group, gains, on_card, overall, to_csv, values


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
    leave_out: bool = False,
    jobs: int = 1,
    shown: int = 0,
    on: str | None = None,
    timeout_s: float | None = None,
    log: Path | None = None,
) -> Settings:
    """Make the settings of an evaluation; the first model's card supplies what is not given.

    Args:
        models: Name or path of each generator, by its name in the tables.
        task: denoise, dereverb or superres; None means the first model's. A cut-off means superres.
        kind: speech or music; None means the first model's.
        baselines: Names of baselines; None means those of the task. The name of a model of the host
            is a model more, after those that are given.
        cutoff_hz: End of the band that a low-pass kept, for super-resolution.
        metrics: Names of metrics; empty means all that apply.
        estimates: Folders of other systems' outputs, by name.
        aligned: Whether these outputs have no delay; otherwise their delay is estimated.
        force: Whether to score pairs that the checks refuse.
        leave_out: Whether to leave out pairs that the checks refuse.
        jobs: Number of processes that score at the same time.
        shown: Number of pairs in the report; 0 means all.
        on: Where to score, see `fanout.workers`.
        timeout_s: Time that a system may take for a pair; None means as long as it takes.
        log: File with the scores of this run and of earlier ones; None means none.

    Raises:
        UsageError: a name is unknown or taken twice, a cut-off is missing, or no time is left.
    """
    if timeout_s is not None and not timeout_s > 0:
        raise UsageError(f"a system may take {timeout_s:g} s, which is no time")
    rivals = [name for name in baselines or () if name in model_names()]
    taken = [*models, *rivals, *(estimates or ())]
    models = dict(models) | dict(zip(rivals, rivals, strict=True))
    if baselines is not None:
        baselines = [name for name in baselines if name not in rivals]
    cards = [find_model(model).card for model in models.values()]
    task = task or next((card.task for card in cards), "denoise")
    if cutoff_hz is not None:
        task = "superres"
    kind = kind or next((card.kind for card in cards), "speech")
    kind = "music" if kind == "music" else "speech"
    if task == "superres" and cutoff_hz is None and baselines is None:
        raise ArgumentError("super-resolution needs a cut-off", "cutoff_hz")
    settings = Settings(
        models=models,
        baselines=tuple(choose(baselines, task, cutoff_hz)),
        kind=kind,
        cutoff_hz=cutoff_hz,
        metrics=tuple(names(kind, cutoff_hz, metrics)),
        estimates=dict(estimates or {}),
        aligned=aligned,
        force=force,
        leave_out=leave_out,
        jobs=jobs,
        shown=shown,
        on=on,
        timeout_s=timeout_s,
        log=log,
    )
    taken += settings.baselines
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
    metrics, speakers = settings.metrics, _speakers(result)
    tables = {
        "All files": overall(result.systems, metrics, speakers),
        "Paired difference to the input": gains(result.systems, metrics, speakers),
        "By condition": by_group(result.systems, metrics),
    }
    notes = notes_on(data, result, len(pairs), metrics)
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


def _speakers(result: Result) -> list[str] | None:
    """Return the speaker of every pair that was scored, or None if one of them is not known."""
    speakers = [pair.origin.speaker if pair.origin else "" for pair in result.pairs]
    return speakers if all(speakers) else None


def notes_on(data: Path, result: Result, count: int, metrics: Sequence[str]) -> list[str]:
    """Say what the tables stand on: voices, delays, failures, missing values, gains."""
    speakers = _speakers(result)
    files = len(result.pairs)
    if speakers:
        stand = f"{stock([pair.origin for pair in result.pairs if pair.origin])}; "
        over = "bootstrap interval over voices"
    else:
        stand = "it is not known whose voices they are (no pairs.csv); "
        over = "bootstrap interval over files, too narrow if a voice has several"
    notes = [
        f"{files} of {count} pairs of {data}; {stand}mean [95 % {over}], n files; bold: the "
        "interval of the paired difference leaves out zero."
    ]
    if (voices := len(set(speakers or range(files)))) < FEWEST:
        what = "voices" if speakers else "files"
        notes.append(f"No intervals: {voices} {what} are too few, wanted {FEWEST} or more.")
    if result.delays:
        words = "; ".join(f"{name} {text}" for name, text in result.delays.items())
        notes.append(f"Delay of each system: {words}.")
    if result.left_out:
        notes.append(f"Left out {len(result.left_out)}: " + "; ".join(result.left_out))
    for name, failed in result.failed.items():
        whys = "; ".join(f"{file}: {why}" for file, why in failed.items())
        notes.append(f"{name} failed on {len(failed)} of {files} files, scored as silence: {whys}.")
    for metric in metrics:
        x = values(result.systems[INPUT], metric)
        if none := [
            p.name for p, value in zip(result.pairs, x, strict=True) if not isfinite(value)
        ]:
            label = METRICS[metric].label
            notes.append(
                f"{label} has no value for {len(none)} of {files} references: {', '.join(none)}."
            )
    return notes + _levels(result)


def _levels(result: Result) -> list[str]:
    """Say how loud the systems are, and which of them reverse the polarity."""
    loud, turned = [], []
    for name, scores in result.systems.items():
        gain_db = values(scores, "gain_db")
        heard = gain_db[np.isfinite(gain_db)]
        loud.append(f"{name} {np.median(heard):+.1f} dB" if len(heard) else f"{name} silent")
        if number := int((values(scores, "polarity") < 0).sum()):
            turned.append(f"{name} on {number} of {len(result.pairs)}")
    notes = [f"Gain re clean, median: {', '.join(loud)}."]
    return notes + ([f"Polarity reversed: {', '.join(turned)}."] if turned else [])
