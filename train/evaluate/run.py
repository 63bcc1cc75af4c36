"""Scoring of every system on every pair, after the checks."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from rtdenoise.audio import Samples
from rtdenoise.core.stage import process
from rtdenoise.core.stream import Stream
from rtdenoise.errors import AudioError, UsageError
from rtdenoise.nets.box import find
from rtdenoise.nets.line import Line
from rtdenoise.nets.net import Net

from ..errors import ArgumentError
from . import checks
from .baselines import BASELINES
from .metrics import coherence, measure
from .page import Shown, keep
from .pairs import Pair, load, read, sounds
from .tables import INPUT

NEAR_S = 1e-3  # largest difference of a file's delay to its folder's median at which it is used


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
    jobs: int = 1
    media: Path | None = None
    shown: int = 0


@dataclass(frozen=True)
class Result:
    """The scores of an evaluation, and the conditions under which they were made.

    Attributes:
        systems: Values by system, file and metric; the input comes first.
        skipped: Messages that name the pairs that were not scored, and why.
        delays: How each system was aligned, in words.
        faults: Faults that the checks reported, where `force` scored the pairs nevertheless.
        shown: Pairs that the report shows.
    """

    systems: dict[str, dict[str, dict[str, float]]]
    skipped: list[str]
    delays: dict[str, str]
    faults: list[str]
    shown: list[Shown]


def run(
    pairs: list[Pair], settings: Settings, say: Callable[[str], None] = lambda _: None
) -> Result:
    """Check the pairs and the host, then score every system.

    Args:
        pairs: The pairs, see `pairs.find`.
        settings: The systems and how they are scored.
        say: Function that is called with a line of progress after every pair.

    Raises:
        UsageError: the checks refuse the pairs, no pair can be scored, or an estimate is missing.
    """
    good, skipped, faults = examine(pairs, settings)
    if faults and not settings.force:
        raise ArgumentError("these pairs cannot be scored:\n  " + "\n  ".join(faults), "force")
    lags = {name: _lags(folder, good, settings) for name, folder in settings.estimates.items()}
    number = len(good) if not settings.shown else min(settings.shown, len(good))
    chosen = {good[i].name for i in np.linspace(0, len(good) - 1, number).round().astype(int)}
    tasks = [
        (pair, settings, {name: lag[pair.name] for name, lag in lags.items()}, pair.name in chosen)
        for pair in good
    ]
    systems: dict[str, dict[str, dict[str, float]]] = {}
    shown: list[Shown] = []
    for done, (pair, (rows, show)) in enumerate(
        zip(good, _spread(tasks, settings.jobs), strict=True), 1
    ):
        for system, row in rows.items():
            systems.setdefault(system, {})[pair.name] = row
        shown += [show] if show else []
        say(f"{done}/{len(good)} {pair.name}")
    return Result(systems, skipped, _delays(settings, lags), faults, shown)


def examine(pairs: list[Pair], settings: Settings) -> tuple[list[Pair], list[str], list[str]]:
    """Check all pairs and the host.

    Returns:
        The pairs that can be scored, messages about those that cannot, and the faults of the pairs
        as a whole.

    Raises:
        UsageError: no pair can be scored, or the host changes the sound.
    """
    good: list[Pair] = []
    skipped: list[str] = []
    links: dict[str, checks.Link] = {}
    shares: list[float] = []
    rate_hz = 0
    for pair in pairs:
        try:
            degraded, clean, rate_hz = load(pair)
        except AudioError as error:
            skipped.append(str(error))
            continue
        if not good:
            for name in settings.models.values():
                checks.identity_run(_net(name), degraded, rate_hz)
        good.append(pair)
        links[pair.name] = checks.link(degraded[0], clean[0], rate_hz)
        if settings.cutoff_hz is not None:
            low_hz = 0.8 * settings.cutoff_hz
            e, r = degraded[0].astype(np.float64), clean[0].astype(np.float64)
            shares.append(coherence(e, r, rate_hz, low_hz)["coherence_lf"])
    if not good:
        raise UsageError("no pair can be scored:\n  " + "\n  ".join(skipped))
    faults = checks.verdict(links, rate_hz)
    if settings.cutoff_hz is not None:
        faults += checks.in_band(float(np.median(shares)), settings.cutoff_hz)
    return good, skipped, faults


def _spread(tasks: list[tuple[Pair, Settings, dict[str, int], bool]], jobs: int) -> Iterator[
    tuple[dict[str, dict[str, float]], Shown | None]
]:  # fmt: skip
    if jobs <= 1:
        yield from map(score, tasks)
        return
    # A fork of a process with torch's threads may hang, so processes are spawned.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(score, tasks)


@cache
def _net(name: str) -> Net:
    net = find(name)
    net.prepare_thread()
    return net


def score(
    task: tuple[Pair, Settings, dict[str, int], bool],
) -> tuple[dict[str, dict[str, float]], Shown | None]:
    """Score every system on one pair: values by system and metric, and the entry of the report."""
    pair, settings, lags, show = task
    degraded, clean, rate_hz = load(pair)
    estimates = {INPUT: degraded}
    for name in settings.baselines:
        estimates[name] = BASELINES[name](degraded, rate_hz, settings.cutoff_hz or 0.0)
    for name, folder in settings.estimates.items():
        estimates[name] = shifted(_estimate(folder, pair), lags[name], clean.shape[1])
    for name, model in settings.models.items():
        estimates[name] = process(Line(_net(model), Stream(rate_hz, degraded.shape[0])), degraded)
    rows = {}
    for name, estimate in estimates.items():
        one = checks.link(estimate[0], clean[0], rate_hz)
        rows[name] = {
            "delay_ms": 1e3 * lags.get(name, 0) / rate_hz,
            "gain_db": one.gain_db,
            "polarity": float(one.polarity),
        } | measure(estimate, clean, rate_hz, settings.kind, settings.cutoff_hz, settings.metrics)
    shown = None
    if show and settings.media is not None:
        shown = keep(settings.media, pair.name, estimates | {"clean": clean}, rate_hz)
    return rows, shown


def _estimate(folder: Path, pair: Pair) -> Samples:
    """Read another system's output for a pair.

    Raises:
        UsageError: the file is missing, or has another rate or number of channels.
    """
    path = sounds(folder).get(pair.name) if folder.is_dir() else None
    if path is None:
        raise UsageError(f"{folder} has no {pair.name}; wanted a file for each of the pairs")
    audio, rate_hz = read(path)
    clean, clean_hz = read(pair.clean)
    if (rate_hz, audio.shape[0]) != (clean_hz, clean.shape[0]):
        raise UsageError(
            f"{path} has {rate_hz} Hz and {audio.shape[0]} channels, but the pair has "
            f"{clean_hz} Hz and {clean.shape[0]}"
        )
    return audio


def _lags(folder: Path, pairs: list[Pair], settings: Settings) -> dict[str, int]:
    """Estimate the delay of each output in samples.

    A delay that differs by more than 1 ms from the folder's median is replaced by the median.
    """
    if settings.aligned:
        return dict.fromkeys((pair.name for pair in pairs), 0)
    own, rate_hz = {}, 1
    for pair in pairs:
        clean, rate_hz = read(pair.clean)
        estimate = shifted(_estimate(folder, pair), 0, clean.shape[1])
        own[pair.name] = checks.link(estimate[0], clean[0], rate_hz).lag
    middle = int(np.median(list(own.values())))
    near = NEAR_S * rate_hz
    return {name: lag if abs(lag - middle) <= near else middle for name, lag in own.items()}


def shifted(audio: Samples, lag: int, samples: int) -> Samples:
    """Advance *audio* by *lag* samples (delay it, if negative) and make it *samples* long.

    >>> shifted(np.array([[0.0, 1.0, 2.0]], np.float32), 1, 3).tolist()
    [[1.0, 2.0, 0.0]]
    """
    out = np.zeros((audio.shape[0], samples), np.float32)
    part = audio[:, max(0, lag) :][:, : samples - max(0, -lag)]
    at = max(0, -lag)
    out[:, at : at + part.shape[1]] = part
    return out


def _delays(settings: Settings, lags: dict[str, dict[str, int]]) -> dict[str, str]:
    words = dict.fromkeys(settings.models, "the host's, compensated")
    for name, lag in lags.items():
        middle = int(np.median(list(lag.values())))
        words[name] = "none, as stated" if settings.aligned else f"estimated: {middle} samples"
    return words
