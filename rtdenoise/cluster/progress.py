"""How far a run over many items is: rates, the time left, and the core-hours that it takes."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any, NamedTuple, cast

# Rates are those of the last minute, so that they follow nodes that come and go. Where items take
# minutes, more is looked at.
WINDOW_S, LEAST_MARKS = 60.0, 32
LEAST_S = 1.0  # between two marks of the window

Facts = dict[str, Any]


class _Mark(NamedTuple):
    """What was finished up to a moment.

    Attributes:
        time_s: The moment.
        items: Number of items, without those that were there before.
        audio_s: Seconds of their audio.
        size: Bytes of their inputs.
    """

    time_s: float
    items: int = 0
    audio_s: float = 0.0
    size: int = 0


class Progress:
    """The numbers of a run, which an engine tells, and which are shown now and then.

    Args:
        items: Number of items of the run. None: it is unknown, as of a listing that still comes.
        size: Bytes of all their inputs. None: it is unknown.
        show: Function that gets `facts()`.
        every_s: Least time between two calls of *show*.
        clock: Function that returns the time in seconds.

    >>> now_s = [0.0]
    >>> progress = Progress(items=4, clock=lambda: now_s[0])
    >>> progress.staff(2)
    >>> now_s[0] = 1800.0
    >>> progress.note({"status": "done", "seconds": 90.0})
    >>> facts = progress.facts()
    >>> facts["core_hours"], facts["eta_s"], facts["core_hours_expected"]
    (1.0, 5400.0, 4.0)
    """

    def __init__(
        self,
        items: int | None = None,
        size: int | None = None,
        show: Callable[[Facts], None] = lambda facts: None,
        every_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.items, self.size = items, size
        self._show, self._every_s, self._clock = show, every_s, clock
        self._counts: Counter[str] = Counter()
        self._sized = True  # whether the size of every item is known
        self._passed = 0  # bytes of the inputs that were skipped
        self._workers, self._core_s = 0, 0.0
        self._start_s = self._paid_s = self._shown_s = clock()
        self._now = _Mark(self._start_s)
        self._marks = deque([self._now])

    def know(self, items: int, size: int | None) -> None:
        """Take the number of items of the run and the bytes of their inputs, once it is known."""
        self.items, self.size = items, size

    def note(self, line: dict[str, Any], size: int | None = None) -> None:
        """Take the line of the results log of an item whose input has *size* bytes."""
        self._counts[line["status"]] += 1
        self._sized &= size is not None
        if line["status"] == "skipped":
            self._passed += size or 0
        else:
            _, items, audio_s, before = self._now
            seconds = line.get("seconds") or 0.0
            self._now = _Mark(self._clock(), items + 1, audio_s + seconds, before + (size or 0))
            if self._now.time_s - self._marks[-1].time_s >= LEAST_S:
                self._marks.append(self._now)
        self.tick()

    def staff(self, workers: int) -> None:
        """Take the number of workers; each one takes a core from here on."""
        self._pay()
        self._workers = workers

    def _pay(self) -> None:
        """Count the time of the workers up to this moment."""
        now_s = self._clock()
        self._core_s += self._workers * (now_s - self._paid_s)
        self._paid_s = now_s

    def tick(self) -> None:
        """Show the facts, if it is time."""
        if self._clock() - self._shown_s >= self._every_s:
            self.show()

    def show(self) -> None:
        """Show the facts."""
        self._shown_s = self._clock()
        self._show(self.facts())

    def facts(self) -> Facts:
        """Return the numbers, as JSON has them; None stands for what nobody can know yet.

        They are done, failed, skipped, of (all items), elapsed_s, workers, items_per_s,
        audio_s_per_s, eta_s, core_hours so far, and core_hours_expected at the end.
        """
        self._pay()
        now_s = self._paid_s
        while len(self._marks) > LEAST_MARKS and now_s - self._marks[1].time_s > WINDOW_S:
            self._marks.popleft()
        old, new = self._marks[0], self._now
        over_s = now_s - old.time_s
        if self._sized and self.size is not None:
            rate, left = new.size - old.size, self.size - self._passed - new.size
        else:
            rate = new.items - old.items
            left = -1 if self.items is None else self.items - sum(self._counts.values())
        known = rate > 0 and over_s > 0 and left >= 0
        eta_s = left * over_s / rate if known else None
        expected_s = None if eta_s is None else self._core_s + eta_s * self._workers
        return {
            **{status: self._counts[status] for status in ("done", "failed", "skipped")},
            "of": self.items,
            "elapsed_s": round(now_s - self._start_s, 3),
            "workers": self._workers,
            "items_per_s": _rate(new.items - old.items, over_s),
            "audio_s_per_s": _rate(new.audio_s - old.audio_s, over_s),
            "eta_s": None if eta_s is None else round(eta_s, 1),
            "core_hours": round(self._core_s / 3600, 4),
            "core_hours_expected": None if expected_s is None else round(expected_s / 3600, 4),
        }


def _rate(amount: float, over_s: float) -> float:
    """Return *amount* a second, to three decimals."""
    return round(amount / over_s, 3) if over_s > 0 else 0.0


@contextmanager
def counted(
    items: Callable[[], Iterable[Any]], know: Callable[[int, int | None], None]
) -> Iterator[None]:
    """Count the items of a run in a thread, while they are processed in the block.

    A listing that is streamed is listed a second time, and nothing of it is held. What is wrong
    with it is told by who processes it.

    Args:
        items: Function that returns the items, each with a `size` in bytes or None.
        know: Function that gets the number of items, and their bytes if those of all are known.
    """
    over = Event()

    def count() -> None:
        number, size = 0, cast("int | None", 0)
        with suppress(Exception):
            for item in items():
                if over.is_set():
                    return
                number += 1
                size = None if size is None or item.size is None else size + item.size
            know(number, size)

    Thread(target=count, name="rtdenoise-count", daemon=True).start()
    try:
        yield
    finally:
        over.set()
