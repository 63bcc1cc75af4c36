"""The numbers of a run are those of what was done, and of the workers that were paid for it."""

from __future__ import annotations

import threading
import time
from functools import partial
from types import SimpleNamespace

import pytest

from rtdenoise.cluster.progress import LEAST_MARKS, WINDOW_S, Facts, Progress, counted

DONE = {"status": "done", "seconds": 60.0}
SKIPPED = {"status": "skipped"}


class Clock:
    """A clock that goes when it is told to."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_items_that_were_there_before_are_no_work(clock):
    """They change neither the rate nor the time that each of the others takes."""
    progress = Progress(items=100, clock=clock)
    progress.staff(1)
    for _ in range(90):
        progress.note(SKIPPED)
    for _ in range(5):
        clock.now_s += 2.0
        progress.note(DONE)
    facts = progress.facts()

    assert (facts["done"], facts["skipped"], facts["of"]) == (5, 90, 100)
    assert facts["items_per_s"] == 0.5
    assert facts["audio_s_per_s"] == 30.0
    assert facts["eta_s"] == 10.0


def test_known_sizes_tell_the_time_left_better_than_numbers(clock):
    """One large item is left: it is most of the work."""
    progress = Progress(items=3, size=1000, clock=clock)
    progress.staff(2)
    for _ in range(2):
        clock.now_s += 10.0
        progress.note(DONE, 50)

    assert progress.facts()["eta_s"] == 180.0


def test_core_hours_are_those_of_the_workers_there_were(clock):
    """4 cores for an hour and 2 for another are 6; the rest costs what 2 cores take for it."""
    progress = Progress(items=4, clock=clock)
    progress.staff(4)
    clock.now_s = 3600.0
    progress.note(DONE)
    progress.staff(2)
    clock.now_s = 7200.0
    progress.note(DONE)
    facts = progress.facts()

    assert facts["core_hours"] == 6.0
    assert facts["eta_s"] == 7200.0
    assert facts["core_hours_expected"] == 10.0


def test_rates_follow_nodes_that_come(clock):
    """The last minute counts, not the slow start."""
    progress = Progress(items=10_000, clock=clock)
    for period_s in (60.0, 1.0):
        for _ in range(2 * LEAST_MARKS + int(WINDOW_S)):
            clock.now_s += period_s
            progress.note(DONE)

    assert progress.facts()["items_per_s"] == pytest.approx(1.0, rel=0.05)


def test_what_nobody_can_know_is_none(clock):
    """The time left of a listing that still comes, and of a run that has done nothing yet."""
    unknown, idle = Progress(clock=clock), Progress(items=3, clock=clock)
    clock.now_s = 5.0
    unknown.note(DONE)

    assert unknown.facts()["eta_s"] is unknown.facts()["core_hours_expected"] is None
    assert idle.facts()["eta_s"] is None


def test_facts_are_shown_now_and_then(clock):
    """However many items come."""
    shown: list[Facts] = []
    progress = Progress(show=shown.append, every_s=10.0, clock=clock)
    for _ in range(100):
        clock.now_s += 0.5
        progress.note(DONE)

    assert [facts["done"] for facts in shown] == [20, 40, 60, 80, 100]


def test_the_time_left_is_known_once_the_items_are_counted():
    """In a thread, beside the work; by bytes if those of all inputs are known, else by number."""
    for size, known in ((10, 40), (None, None)):
        items = [SimpleNamespace(size=size) for _ in range(4)]
        told: list[tuple[int, int | None]] = []
        counted_all = threading.Event()

        def know(number, size, told=told, done=counted_all) -> None:
            told.append((number, size))
            done.set()

        with counted(partial(list, items), know):
            assert counted_all.wait(60)
        assert told == [(4, known)]
    now_s = [0.0]
    progress = Progress(clock=lambda: now_s[0])
    progress.staff(1)
    now_s[0] = 10.0
    progress.note({"status": "done", "seconds": 1.0}, 10)
    assert progress.facts()["eta_s"] is None
    progress.know(4, 40)
    assert progress.facts()["eta_s"] == 30.0


def test_a_count_ends_with_the_run_and_tells_no_faults():
    """What is wrong with a listing is told by who processes it."""

    def broken():
        yield SimpleNamespace(size=1)
        raise OSError("the store has gone")

    told: list[object] = []
    with counted(broken, lambda *known: told.append(known)):
        time.sleep(0.05)
    ended = threading.Event()

    def endless():
        try:
            while True:
                yield SimpleNamespace(size=1)
        finally:
            ended.set()

    with counted(endless, lambda *known: told.append(known)):
        time.sleep(0.05)
    assert ended.wait(60)
    assert told == []
