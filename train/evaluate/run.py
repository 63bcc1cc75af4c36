"""Scoring of every system on every pair, after the checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rtdenoise.errors import UsageError
from rtdenoise.nets.box import names as model_names

from ..errors import ArgumentError
from ..fanout import Lost, Workers, workers
from . import checks
from .estimates import net, settled
from .log import Log, keys_of, systems_as
from .page import Shown
from .pairs import Pair, load
from .tables import INPUT
from .tasks import Look, Looked, Row, Score, Settings as Settings, look, score

NAMED = 20  # bad pairs that an error names; the rest is counted
START_S = 60.0  # time beside the systems' own before a worker counts as one that hangs


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


def run(
    pairs: list[Pair], settings: Settings, say: Callable[[str], None] = lambda _: None
) -> Result:
    """Check the pairs and the host, then score every system.

    Args:
        pairs: The pairs, see `pairs.find`.
        settings: The systems and how they are scored.
        say: Function that is called with a line of progress after every pair.

    Raises:
        UsageError: the checks refuse a pair, no pair can be scored, there are no estimates, or the
            workers cannot be used.
    """
    for folder in settings.estimates.values():
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}; wanted a file for each of the pairs")
    if settings.on:
        pairs, settings = _for_others(pairs, settings)
    with workers(settings.on, settings.jobs) as hands, Log(settings.log) as log:
        looked = _looked(hands, pairs, settings)
        _check_host([pair for pair in pairs if not looked[pair.name].unreadable], settings)
        good, faults, out = _sorted_out(pairs, looked, settings)
        late = {name: _lags(name, good, looked, settings) for name in settings.estimates}
        tasks = _tasks(good, settings, late)
        rows = dict(_rows(hands, tasks, looked, log, say))
    lost = {name: [row.why] for name, row in rows.items() if isinstance(row, Lost)}
    if len(lost) == len(good):
        raise UsageError("no pair could be scored:\n  " + "\n  ".join(listed(lost)))
    result = Result(
        systems={name: {} for name in settings.systems},
        pairs=[pair for pair in good if pair.name not in lost],
        left_out=listed(out | lost, len(out) + len(lost)),
        failed={},
        delays=_delays(settings, late),
        faults=listed(faults) if settings.force else [],
        shown=[],
    )
    for pair in good:
        row = rows[pair.name]
        if not isinstance(row, Lost):
            for system in settings.systems:
                result.systems[system][pair.name] = row.values[system]
                if system in row.failed:
                    result.failed.setdefault(system, {})[pair.name] = row.failed[system]
            result.shown.extend([row.shown] if row.shown else [])
    return result


def listed(bad: dict[str, list[str]], most: int = NAMED) -> list[str]:
    """Name bad pairs, a line each with its faults, and count those above *most*."""
    lines = [f"{name}: {'; '.join(faults)}" for name, faults in list(bad.items())[:most]]
    return lines + ([f"and {len(bad) - most} more"] if len(bad) > most else [])


def _for_others(pairs: list[Pair], settings: Settings) -> tuple[list[Pair], Settings]:
    """Return pairs and settings whose files are named so that other machines find them."""
    pairs = [replace(p, clean=p.clean.absolute(), degraded=p.degraded.absolute()) for p in pairs]
    known = model_names()
    return pairs, replace(
        settings,
        models={
            n: m if m in known else str(Path(m).absolute()) for n, m in settings.models.items()
        },
        estimates={name: folder.absolute() for name, folder in settings.estimates.items()},
        media=settings.media.absolute() if settings.media else None,
    )


def _looked(hands: Workers, pairs: list[Pair], settings: Settings) -> dict[str, Looked]:
    """Look at every pair."""
    looks = (Look(pair, settings) for pair in pairs)
    found = {task.pair.name: each for task, each in hands.each(look, looks)}
    return {
        pair.name: Looked(each.why) if isinstance(each := found[pair.name], Lost) else each
        for pair in pairs
    }


def _sorted_out(
    pairs: list[Pair], looked: dict[str, Looked], settings: Settings
) -> tuple[list[Pair], dict[str, list[str]], dict[str, list[str]]]:
    """Return the pairs to score, and by name the faults of pairs and what is left out, and why.

    Raises:
        UsageError: a pair is refused, or no pair can be scored.
    """
    unreadable = {n: [found.unreadable] for n, found in looked.items() if found.unreadable}
    faults = {n: list(found.faults) for n, found in looked.items() if found.faults}
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
    return good, faults, out


def _check_host(readable: list[Pair], settings: Settings) -> None:
    """Check that the host changes nothing by itself, on the first pair that can be read.

    Raises:
        UsageError: it does.
    """
    for pair in readable[:1]:
        degraded, _, rate_hz = load(pair)
        for name in settings.models.values():
            checks.identity_run(net(name), degraded, rate_hz)


def _lags(
    name: str, good: Sequence[Pair], looked: dict[str, Looked], settings: Settings
) -> dict[str, int]:
    """Return the delay of each output of another system."""
    mine = {pair.name: looked[pair.name] for pair in good}
    own = {pair: found.lags[name] for pair, found in mine.items() if name in found.lags}
    whys = (f"{p}: {found.unusable[name]}" for p, found in mine.items() if name in found.unusable)
    rate_hz = mine[good[-1].name].rate_hz
    return settled(settings.estimates[name], own, list(mine), rate_hz, next(whys, ""))


def _tasks(
    good: Sequence[Pair], settings: Settings, late: dict[str, dict[str, int]]
) -> list[Score]:
    """Return a task for each pair; those of the report are spread over all of them."""
    number = len(good) if not settings.shown else min(settings.shown, len(good))
    chosen = {good[i].name for i in np.linspace(0, len(good) - 1, number).round().astype(int)}
    return [
        Score(
            pair,
            settings,
            settings.systems,
            {name: lag[pair.name] for name, lag in late.items()},
            pair.name in chosen and settings.media is not None,
        )
        for pair in good
    ]


def _rows(
    hands: Workers,
    tasks: list[Score],
    looked: dict[str, Looked],
    log: Log,
    say: Callable[[str], None],
) -> Iterator[tuple[str, Row | Lost]]:
    """Yield the row of each pair, by its name, as they are found in the log or scored."""
    systems = systems_as(tasks[0].settings)
    keys, known, todo = dict[str, dict[str, str]](), dict[str, Row](), list[Score]()
    done = 0
    for task in tasks:
        pair = task.pair.name
        keys[pair] = keys_of(task, systems, looked[pair])
        found = known[pair] = log.find(task, keys[pair]) or Row({}, {}, None)
        if left := tuple(name for name in task.systems if name not in found.values):
            todo.append(replace(task, systems=left))
        else:
            done += 1
            say(f"{done}/{len(tasks)} {pair} (known)")
            yield pair, found
    for task, row in _scored(hands, todo):
        pair = task.pair.name
        done += 1
        say(f"{done}/{len(tasks)} {pair}")
        if isinstance(row, Lost):
            yield pair, row
            continue
        log.add(task, row, keys[pair])
        old = known[pair]
        yield pair, Row(old.values | row.values, old.failed | row.failed, row.shown)


def _scored(hands: Workers, tasks: list[Score]) -> Iterator[tuple[Score, Row | Lost]]:
    """Yield every task with its row. What ends a worker is found out, and counts as silence."""
    lost, guilty = list[Score](), dict[str, dict[str, str]]()
    for task, row in hands.each(score, tasks, _limit_s(tasks)):
        if isinstance(row, Lost):
            lost.append(task)
        else:
            yield task, row
    alone = [replace(task, systems=(name,), show=False) for task in lost for name in task.systems]
    for task, row in hands.each(score, alone, _limit_s(alone)):
        if isinstance(row, Lost):
            guilty.setdefault(task.pair.name, {})[task.systems[0]] = row.why
    again = [replace(task, failed=guilty.get(task.pair.name, {})) for task in lost]
    for task in again:
        if INPUT in task.failed:  # the sound itself cannot be measured
            yield task, Lost(task.failed[INPUT])
    rest = [task for task in again if INPUT not in task.failed]
    yield from hands.each(score, rest, _limit_s(rest))


def _limit_s(tasks: list[Score]) -> float | None:
    """Return the time after which the worker of one of *tasks* counts as one that hangs."""
    if not tasks or (limit_s := tasks[0].settings.timeout_s) is None:
        return None
    return START_S + limit_s * (1 + max(len(task.systems) for task in tasks))


def _delays(settings: Settings, late: dict[str, dict[str, int]]) -> dict[str, str]:
    words = dict.fromkeys(settings.models, "the host's, compensated")
    for name, lag in late.items():
        middle = int(np.median(list(lag.values())))
        words[name] = "none, as stated" if settings.aligned else f"estimated: {middle} samples"
    return words
