"""Evaluation that cannot fool: checks first, named definitions, baselines beside every system."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from rtdenoise.errors import UsageError
from rtdenoise.files.pending import Pending
from rtdenoise.nets.box import find as find_model

from .baselines import choose
from .metrics import names
from .page import page
from .pairs import find
from .run import Result, Settings, named, run
from .tables import by_group, gains, on_card, overall, to_csv


def evaluate(args: argparse.Namespace) -> str:
    """Check, score, write what was asked for; the tables as Markdown.

    Raises:
        UsageError: the checks refuse, or something asked for is not there.
    """
    settings = _settings(args)
    pairs = find(args.data)
    result = run(pairs, settings, lambda text: print(text, file=sys.stderr))
    metrics = settings.metrics
    tables = {
        "All files": overall(result.systems, metrics),
        "Paired difference to the input": gains(result.systems, metrics),
        "By condition": by_group(result.systems, metrics),
    }
    notes = _notes(args, result, len(pairs))
    if args.csv:
        args.csv.mkdir(parents=True, exist_ok=True)
        for name, scores in result.systems.items():
            to_csv(scores, args.csv / f"{name}.csv")
    if args.card:
        card = on_card(result.systems, next(iter(settings.models)), metrics)
        with Pending(args.card, overwrite=True) as pending:
            pending.path.write_text(json.dumps(card, indent=1) + "\n")
    if args.report:
        title, media = (
            f"{args.data.resolve().name}: {', '.join(result.systems)}",
            _media(args.report).name,
        )
        html = page(title, notes, result.faults, tables, result.shown, media)
        with Pending(args.report, overwrite=True) as pending:
            pending.path.write_text(html, encoding="utf-8")
    warning = [f"SCORED BY FORCE: {fault}" for fault in result.faults]
    parts = [*warning, *notes, *(f"{name}:\n\n{text}" for name, text in tables.items() if text)]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _settings(args: argparse.Namespace) -> Settings:
    models = named(args.model, "--model")
    if args.card and not models:
        raise UsageError("--card needs a --model: it is that model's card")
    cards = [find_model(model).card for model in models.values()]
    task = args.task or next((card.task for card in cards), "denoise")
    if args.cutoff_hz is not None:
        task = "superres"
    kind = args.kind or next((card.kind for card in cards), "speech")
    kind = "music" if kind == "music" else "speech"
    asked = None if args.baseline is None else [b for b in args.baseline if b != "none"]
    if task == "superres" and args.cutoff_hz is None and asked is None:
        raise UsageError("super-resolution needs --cutoff-hz, the end of the band that was kept")
    settings = Settings(
        models=models,
        estimates={k: Path(v) for k, v in named(args.estimates, "--estimates").items()},
        aligned=args.aligned,
        baselines=tuple(choose(asked, task, args.cutoff_hz)),
        kind=kind,
        cutoff_hz=args.cutoff_hz,
        metrics=tuple(names(kind, args.cutoff_hz, args.metrics.split(",") if args.metrics else ())),
        force=args.force,
        jobs=args.jobs,
        shown=args.report_files,
    )
    taken = [*settings.baselines, *settings.estimates, *settings.models]
    if double := {name for name in taken if taken.count(name) > 1}:
        raise UsageError(f"two systems are called {', '.join(sorted(double))}; give NAME=VALUE")
    return replace(settings, media=_media(args.report)) if args.report else settings


def _media(report: Path) -> Path:
    return report.with_name(report.stem + "_files")


def _notes(args: argparse.Namespace, result: Result, count: int) -> list[str]:
    scored = len(next(iter(result.systems.values())))
    notes = [
        f"{scored} of {count} pairs of {args.data}; mean [95 % bootstrap interval]; "
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
