"""Scoring of every system on every pair, after the checks."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from rtdenoise.audio import Samples
from rtdenoise.errors import AudioError, RtdenoiseError, UsageError

from ..errors import ArgumentError
from . import checks
from .baselines import BASELINES
from .estimates import lags, net, of_folder, of_model, usable
from .metrics import coherence, measure, silent
from .page import Shown, keep
from .pairs import Pair, load, shifted
from .tables import INPUT

NAMED = 20  # bad pairs that an error names; the rest is counted


@dataclass(frozen=True)
class Settings:
    """The systems that an evaluation scores, and how it scores them.

    Attributes:
        models: Name or path of each generator, by its name in the tables. The host runs it and
            compensates its own delay.
        estimates: Folders of other systems' outputs, by name.
        aligned: Whether these outputs have no delay; otherwise their delay is estimated.
        baselines: Names of `baselines.BASELINES`.
        kind: speech or music.
        cutoff_hz: End of the band that a low-pass kept, for super-resolution, or None.
        metrics: Names of `metrics.METRICS`; empty means all that apply.
        force: Whether to score pairs that the checks refuse.
        leave_out: Whether to leave out pairs that the checks refuse.
        jobs: Number of processes that score at the same time.
        media: Folder for the report's pictures and sounds, or None without a report.
        shown: Number of pairs in the report; 0 means all.
    """

    models: dict[str, str] = field(default_factory=dict)
    estimates: dict[str, Path] = field(default_factory=dict)
    aligned: bool = False
    baselines: tuple[str, ...] = ()
    kind: str = "speech"
    cutoff_hz: float | None = None
    metrics: tuple[str, ...] = ()
    force: bool = False
    leave_out: bool = False
    jobs: int = 1
    media: Path | None = None
    shown: int = 0


@dataclass(frozen=True)
class Result:
    """The scores of an evaluation, and the conditions under which they were made.

    Attributes:
        systems: Values by system, file and metric; the input comes first.
        pairs: The pairs that were scored, in the same order.
        left_out: Messages that name the pairs that were not scored, and why.
        failed: Why a system gave nothing usable, by system and file; it was scored as silence.
        delays: How each system was aligned, in words.
        faults: Faults that the checks reported, where `force` scored the pairs nevertheless.
        shown: Pairs that the report shows.
    """

    systems: dict[str, dict[str, dict[str, float]]]
    pairs: list[Pair]
    left_out: list[str]
    failed: dict[str, dict[str, str]]
    delays: dict[str, str]
    faults: list[str]
    shown: list[Shown]


@dataclass(frozen=True)
class Row:
    """One pair scored: values by system and metric, failures by system, entry of the report."""

    values: dict[str, dict[str, float]]
    failed: dict[str, str]
    shown: Shown | None


def run(
    pairs: list[Pair], settings: Settings, say: Callable[[str], None] = lambda _: None
) -> Result:
    """Check the pairs and the host, then score every system.

    Args:
        pairs: The pairs, see `pairs.find`.
        settings: The systems and how they are scored.
        say: Function that is called with a line of progress after every pair.

    Raises:
        UsageError: the checks refuse a pair, no pair can be scored, or there are no estimates.
    """
    faults, unreadable = examine(pairs, settings)
    bad = unreadable | faults
    if bad and not (settings.force or settings.leave_out):
        names = listed(bad)
        raise ArgumentError(
            f"{len(bad)} of {len(pairs)} pairs cannot be scored:\n  " + "\n  ".join(names), "force"
        )
    out = unreadable if settings.force else bad
    good = [pair for pair in pairs if pair.name not in out]
    if not good:
        raise UsageError("no pair can be scored:\n  " + "\n  ".join(listed(out)))
    late = {n: lags(f, good, settings.aligned) for n, f in settings.estimates.items()}
    number = len(good) if not settings.shown else min(settings.shown, len(good))
    chosen = {good[i].name for i in np.linspace(0, len(good) - 1, number).round().astype(int)}
    tasks = [
        (pair, settings, {name: lag[pair.name] for name, lag in late.items()}, pair.name in chosen)
        for pair in good
    ]
    result = Result(
        systems={},
        pairs=good,
        left_out=listed(out, len(out)),
        failed={},
        delays=_delays(settings, late),
        faults=listed(faults) if settings.force else [],
        shown=[],
    )
    rows = _spread(tasks, settings.jobs)
    for done, (pair, row) in enumerate(zip(good, rows, strict=True), 1):
        for system, values in row.values.items():
            result.systems.setdefault(system, {})[pair.name] = values
        for system, why in row.failed.items():
            result.failed.setdefault(system, {})[pair.name] = why
        result.shown.extend([row.shown] if row.shown else [])
        say(f"{done}/{len(good)} {pair.name}")
    return result


def listed(bad: dict[str, list[str]], most: int = NAMED) -> list[str]:
    """Name bad pairs, a line each with its faults, and count those above *most*."""
    lines = [f"{name}: {'; '.join(faults)}" for name, faults in list(bad.items())[:most]]
    return lines + ([f"and {len(bad) - most} more"] if len(bad) > most else [])


def examine(
    pairs: list[Pair], settings: Settings
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Check every channel of every pair, and the host.

    Returns:
        The faults of the pairs that could be scored but should not be, and of those that cannot be,
        by the name of the pair.

    Raises:
        UsageError: the host changes the sound.
    """
    faults: dict[str, list[str]] = {}
    unreadable: dict[str, list[str]] = {}
    host_is_checked = False
    for pair in pairs:
        try:
            degraded, clean, rate_hz = load(pair)
        except AudioError as error:
            unreadable[pair.name] = [str(error).removeprefix(f"{pair.name}: ")]
            continue
        if not host_is_checked:
            for name in settings.models.values():
                checks.identity_run(net(name), degraded, rate_hz)
            host_is_checked = True
        made = pair.origin.made if pair.origin else None
        found = checks.faults(degraded, clean, rate_hz, made)
        if settings.cutoff_hz is not None:
            low_hz = 0.8 * settings.cutoff_hz
            both = zip(degraded.astype(np.float64), clean.astype(np.float64), strict=True)
            share = min(coherence(e, r, rate_hz, low_hz)["coherence_lf"] for e, r in both)
            found += checks.in_band(share, settings.cutoff_hz)
        if found:
            faults[pair.name] = found
    return faults, unreadable


def _spread(tasks: list[tuple[Pair, Settings, dict[str, int], bool]], jobs: int) -> Iterator[Row]:
    if jobs <= 1:
        yield from map(score, tasks)
        return
    # A fork of a process with torch's threads may hang, so processes are spawned.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(score, tasks)


def score(task: tuple[Pair, Settings, dict[str, int], bool]) -> Row:
    """Score every system on one pair."""
    pair, settings, late, show = task
    degraded, clean, rate_hz = load(pair)
    systems: dict[str, Callable[[], Samples]] = {INPUT: lambda: degraded}
    for name in settings.baselines:
        systems[name] = partial(BASELINES[name], degraded, rate_hz, settings.cutoff_hz or 0.0)
    for name, folder in settings.estimates.items():
        systems[name] = partial(of_folder, folder, pair)
    for name, model in settings.models.items():
        systems[name] = partial(of_model, model, degraded, rate_hz)
    estimates: dict[str, Samples] = {}
    failed: dict[str, str] = {}
    for name, system in systems.items():
        try:
            estimates[name] = shifted(usable(system()), late.get(name, 0), clean.shape[1])
        except UsageError:  # a package is missing: that is no fault of the system
            raise
        except RtdenoiseError as error:
            estimates[name], failed[name] = np.zeros_like(clean), str(error)
            continue
        if quiet := [row for row, e in enumerate(estimates[name]) if silent(e)]:
            where = f" in channel {quiet[0]}" if len(quiet) < len(clean) else ""
            failed[name] = f"it is silent{where}"
    values = {
        name: _links(estimate, clean, rate_hz)
        | {"delay_ms": 1e3 * late.get(name, 0) / rate_hz, "failed": float(name in failed)}
        | measure(estimate, clean, rate_hz, settings.kind, settings.cutoff_hz, settings.metrics)
        for name, estimate in estimates.items()
    }
    shown = None
    if show and settings.media is not None:
        shown = keep(settings.media, pair.name, estimates | {"clean": clean}, rate_hz)
    return Row(values, failed, shown)


def _links(estimate: Samples, clean: Samples, rate_hz: int) -> dict[str, float]:
    """Return the gain that is furthest from 0 dB and the worst polarity of all channels."""
    links = [
        checks.link(e, r, rate_hz) for e, r in zip(estimate, clean, strict=True) if not silent(e)
    ]
    if not links:
        return {"gain_db": np.nan, "polarity": np.nan}
    return {
        "gain_db": max((one.gain_db for one in links), key=abs),
        "polarity": float(min(one.polarity for one in links)),
    }


def _delays(settings: Settings, late: dict[str, dict[str, int]]) -> dict[str, str]:
    words = dict.fromkeys(settings.models, "the host's, compensated")
    for name, lag in late.items():
        middle = int(np.median(list(lag.values())))
        words[name] = "none, as stated" if settings.aligned else f"estimated: {middle} samples"
    return words
