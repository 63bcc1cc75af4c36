"""The engine of one machine: threads that share the net."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from threading import Event

from ..files import batch
from ..files.results import ResultsLog
from .flow import Flow
from .items import Item
from .progress import Progress
from .work import Settings, Worker

# An engine processes items, writes their lines to a part of the log, and tells its progress.
Engine = Callable[[Iterator[Item], Settings, ResultsLog, Progress], None]


def run(items: Iterator[Item], settings: Settings, log: ResultsLog, progress: Progress) -> None:
    """Process items in threads of this process; see `Engine`.

    Raises:
        ModelError: If a model cannot be loaded.
        UsageError: If a setting is out of range, or the log cannot be written.
    """
    stop, flow = Event(), Flow(items)
    worker = Worker(settings, stop)
    threads = settings.jobs or _cores()
    prepare = worker.begin().prepare_thread
    with (
        log.part() as part,
        closing(batch.run(flow, worker, worker.begin, threads, stop, prepare)) as results,
    ):
        progress.staff(threads)
        for item, result in results:
            if isinstance(result, Exception):
                raise result
            if line := flow.take(item, result):
                part.write(line)
                progress.note(line, item.size)


def _cores() -> int:
    """Return the number of cores that this process may use: a batch system gives it a part."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
