"""A crew gives items out and takes lines back, whatever becomes of its workers."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from rtdenoise.cluster import crew
from rtdenoise.cluster.crew import Crew, Lost
from rtdenoise.cluster.flow import Flow
from rtdenoise.cluster.items import Item
from rtdenoise.cluster.progress import Progress
from rtdenoise.cluster.section import Cut
from rtdenoise.errors import UsageError

SMALL = 1000


def item(name: str, size: int | None = None) -> Item:
    return Item(f"in/{name}", size, f"out/{name}", name)


class Thread:
    """A worker that is a thread: "poison" loses it, "bug" raises, "hang" waits until its end."""

    calls: list[list[str]]

    def __init__(self, calls: list[list[str]], begun: object = ("thread", None)) -> None:
        self.calls, self.begun = calls, begun
        self.pool, self.over = ThreadPoolExecutor(1), threading.Event()

    def begin(self) -> Future:
        return self.pool.submit(lambda: self.begun)

    def work(self, items: list[Item]) -> Future:
        self.calls.append([each.below for each in items])
        return self.pool.submit(lambda: [self.one(each.below) for each in items])

    def one(self, name: str) -> dict:
        if "hang" in name:
            self.over.wait(60)
        if "poison" in name or self.over.is_set():
            raise Lost("its thread ended")
        if "bug" in name:
            raise KeyError(name)
        return {"status": "done", "input": name}

    def end(self) -> None:
        self.over.set()
        self.pool.shutdown(wait=False)


@pytest.fixture
def calls() -> list[list[str]]:
    return []


def run(items, calls, workers: int = 2, **settings) -> dict[str, dict]:
    """Return the lines of a crew of threads, by item."""
    made = Crew(lambda: Thread(calls), lambda: workers, Progress(), **settings)
    lines = [(task.below, line) for task, line in made.run(iter(items))]
    assert len(lines) == len(dict(lines))
    return dict(lines)


def test_small_items_share_a_call_and_a_loss_is_the_fault_of_one(calls):
    """The others of a lost call are done again, each alone, and only the culprit fails."""
    names = [f"{number}" for number in range(7)]
    lines = run([item(name, SMALL) for name in [*names, "poison"]], calls, workers=1)

    assert calls[0] == [*names, "poison"]
    assert {name for name, line in lines.items() if line["status"] == "failed"} == {"poison"}
    assert calls.count(["poison"]) == crew.MOST_LOSSES - 1
    assert "lost 3 times (its thread ended)" in lines["poison"]["error"]
    assert max(map(len, calls)) <= crew.MOST_ITEMS


def test_an_item_of_unknown_or_large_size_is_alone(calls):
    """Nobody knows how long it takes."""
    sizes = [None, crew.MOST_BYTES, SMALL, SMALL, crew.MOST_BYTES, SMALL]
    run([item(str(number), size) for number, size in enumerate(sizes)], calls)

    assert sorted(calls) == [["0"], ["1"], ["2", "3"], ["4"], ["5"]]


def test_a_fault_of_the_worker_fails_its_item_and_no_other(calls):
    """Whatever a worker raises, the run goes on."""
    lines = run([item("a", SMALL), item("bug", SMALL), item("b", SMALL)], calls, workers=1)

    assert {name: line["status"] for name, line in lines.items()} == {
        "a": "done",
        "bug": "failed",
        "b": "done",
    }
    assert lines["bug"]["error"] == "in/bug: KeyError: 'bug'"


def test_a_worker_that_hangs_is_ended_and_its_item_fails_at_once(calls, monkeypatch):
    """It is not given again: it would hang each time."""
    monkeypatch.setattr(crew, "GRACE_S", 0.1)
    lines = run([item("a"), item("hang"), item("b")], calls, timeout_s=0.1)

    assert lines["hang"]["error"] == "in/hang: took more than 0.1 s"
    assert lines["hang"]["problem"] == "time out"
    assert calls.count(["hang"]) == 1
    assert lines["a"]["status"] == lines["b"]["status"] == "done"


def test_what_is_held_does_not_depend_on_the_number_of_items(calls):
    """An item is drawn when a worker is about to need it."""
    drawn = 0

    def listing():
        nonlocal drawn
        for drawn in range(1, 1001):
            yield item(str(drawn))

    made = Crew(lambda: Thread(calls), lambda: 3, Progress())
    for over, _ in enumerate(made.run(listing())):
        assert drawn <= over + 2 * 3 + 1
    assert over == 999


def test_workers_are_hired_for_the_work_that_is_there(calls):
    """Two items need two workers, however large the cluster is."""
    hired = []

    def hire():
        hired.append(Thread(calls))
        return hired[-1]

    made = Crew(hire, lambda: 64, Progress())
    assert len(list(made.run(iter([item("a"), item("b")])))) == 2
    assert len(hired) == 2
    assert all(each.over.is_set() for each in hired)


def test_workers_that_cannot_be_used_are_left_out_and_named_once(calls, caplog):
    """With one good worker the run goes on; with none it ends."""
    begun = iter([("bad:1", "it is old"), ("bad:2", "it is old"), ("good:3", None)])
    made = Crew(lambda: Thread(calls, next(begun)), lambda: 3, Progress())
    lines = [line for _, line in made.run(iter([item("a"), item("b"), item("c")]))]
    alone = Crew(lambda: Thread(calls, ("bad:1", "it is old")), lambda: 1, Progress())

    assert {line["worker"] for line in lines} == {"good:3"}
    assert [text for text in caplog.messages if "left out" in text] == [
        "left out: the worker bad:1: it is old"
    ]
    with pytest.raises(UsageError, match=r"^the worker bad:1: it is old$"):
        list(alone.run(iter([item("a")])))


CUTS = [Cut(0, 10, 2), Cut(10, None, 2)]


def flown(*fails: int | None) -> tuple[list[int | None], list[dict]]:
    """Return the sections of a long item that were done, and the lines that came of it."""
    flow, done, lines = Flow([item("long"), item("next")]), [], []
    for task in flow:
        line = {"status": "done", "took_s": 1.0, "input": task.below}
        if task.below == "long" and task.section is None:
            line |= {"status": "cut", "cuts": CUTS, "key": "k"}
        elif task.section is not None:
            done.append(task.section.number)
            line["status"] = "failed" if task.section.number in fails else "done"
        if (told := flow.take(task, line)) is not None:
            lines.append(told)
    return done, lines


def test_a_long_item_becomes_its_pieces_and_then_their_join():
    """It has one line, whose time is that of all its tasks; items that follow wait."""
    done, lines = flown()

    assert done == [0, 1, None]
    assert [(line["input"], line["took_s"]) for line in lines] == [("long", 4.0), ("next", 1.0)]


@pytest.mark.parametrize(("fails", "done"), [((0,), [0]), ((1,), [0, 1]), ((None,), [0, 1, None])])
def test_a_piece_that_fails_fails_its_item_once(fails, done):
    """What is left of it is not worked on."""
    sections, lines = flown(*fails)

    assert sections == done
    assert [line["status"] for line in lines] == ["failed", "done"]
