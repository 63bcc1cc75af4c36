"""Who works on what: batches of items go to workers that may be lost, and lines come back.

A worker gets one batch at a time, so that the batch is to blame if the worker dies. A lost batch is
given again, an item at a time; an item that has lost its workers `MOST_LOSSES` times fails, and the
others go on. What is held is what the workers work on and as much again, whatever the number of
items. Nothing here knows of Ray.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from ..errors import Problem, RtdenoiseError, UsageError, last_line, printable
from ..files.results import FAILED, Line
from .items import Item
from .progress import Progress
from .store import redacted

MOST_LOSSES = 3
# Small items share a call, because a driver makes about 2000 calls a second.
MOST_ITEMS, MOST_BYTES = 16, 2 * 2**20
TICK_S = 0.2  # between two looks at Ctrl-C and at batches that take too long
LOOK_S = 5.0  # between two looks at how many workers the cluster can have
GRACE_S = 30.0  # beyond the time limit of an item, which its worker keeps itself
PATIENCE_S, GIVE_UP_S = 60.0, 1800.0  # without any worker: until it is told, and until the end
IDLE_S = 20.0  # until a worker goes if no item is left for it

LOG = logging.getLogger("rtdenoise")


class Lost(Exception):  # noqa: N818 - not an error of ours
    """A worker's process has ended, or does not answer; the message says why."""


class Hand(Protocol):
    """A worker process. Its futures raise `Lost` if it is lost."""

    def begin(self) -> Future[tuple[str, RtdenoiseError | str | None]]:
        """Start it, and return its name, and why it cannot be used. None: it can."""
        ...

    def work(self, items: list[Item]) -> Future[list[Line]]:
        """Work on *items*, and return a line of the results log for each."""
        ...

    def end(self) -> None:
        """End the process at once, whatever it does."""
        ...


@dataclass
class _Batch:
    """Items that one call works on, and how often their worker was lost."""

    items: list[Item]
    losses: int = 0


@dataclass(eq=False)
class _Member:
    """A worker of the crew.

    Attributes:
        hand: Its process.
        since_s: When it got its batch or, without one, when it had nothing more to do.
        name: Host and process. Empty: it has not begun yet.
        batch: What it works on.
        ended: Whether it was ended because it took too long.
    """

    hand: Hand
    since_s: float
    name: str = ""
    batch: _Batch | None = None
    ended: bool = False


class Crew:
    """Workers that process items.

    Args:
        hire: Function that returns a new worker, which may have to wait for a place to run.
        wanted: Function that returns how many workers there should be; nodes come and go.
        progress: The numbers of the run.
        timeout_s: Time limit of an item in seconds. None: there is none.
    """

    def __init__(
        self,
        hire: Callable[[], Hand],
        wanted: Callable[[], int],
        progress: Progress,
        timeout_s: float | None = None,
    ) -> None:
        self._hire, self._wanted, self._progress = hire, wanted, progress
        self._timeout_s = timeout_s
        self._members: set[_Member] = set()
        self._idle: deque[_Member] = deque()
        # Workers that cannot be used keep their place, so that no other comes there.
        self._refused: dict[_Member, RtdenoiseError] = {}
        self._reasons: set[str] = set()
        self._begun = False  # whether any worker has
        self._stillborn = 0  # workers that were lost before any had begun
        self._ready: deque[_Batch] = deque()
        self._drawn: Item | None = None  # it was too large for the last batch
        self._flying = 0
        self._answers: SimpleQueue[tuple[_Member, Future[Any]]] = SimpleQueue()
        self._most, self._look_s = 0, 0.0
        self._staffed_s, self._told, self._check_s = time.monotonic(), False, 0.0

    def run(self, items: Iterator[Item]) -> Iterator[tuple[Item, Line]]:
        """Yield each item with its line, as they come. All workers end with the generator.

        Raises:
            RtdenoiseError: If no worker can be used.
        """
        try:
            while True:
                self._fill(items)
                if not self._ready and not self._flying:
                    return
                self._staff()
                self._give()
                try:
                    member, answer = self._answers.get(timeout=TICK_S)
                    yield from self._take(member, answer)
                except Empty:
                    pass
                self._check()
                self._progress.tick()
        finally:
            for member in [*self._members, *self._refused]:
                member.hand.end()
            self._progress.staff(0)

    def _fill(self, items: Iterator[Item]) -> None:
        """Have a batch ready for each worker."""
        now_s = time.monotonic()
        if now_s >= self._look_s:
            self._most, self._look_s = self._wanted(), now_s + LOOK_S
        while len(self._ready) < max(1, self._most):
            batch = self._batch(items)
            if not batch:
                return
            self._ready.append(_Batch(batch))

    def _batch(self, items: Iterator[Item]) -> list[Item]:
        """Return the next small items, or one that is not small, or none."""
        batch: list[Item] = []
        size = 0
        while len(batch) < MOST_ITEMS:
            item = self._drawn or next(items, None)
            self._drawn = None
            if item is None:
                break
            size += MOST_BYTES if item.size is None or item.section else item.size
            if batch and size > MOST_BYTES:
                self._drawn = item
                break
            batch.append(item)
        return batch

    def _staff(self) -> None:
        """Hire workers, as many as there is work for."""
        most = min(self._most - len(self._refused), len(self._ready) + self._flying)
        while len(self._members) < most:
            member = _Member(self._hire(), time.monotonic())
            self._members.add(member)
            self._call(member, member.hand.begin())

    def _give(self) -> None:
        """Give each idle worker a batch."""
        while self._ready and self._idle:
            member = self._idle.popleft()
            member.batch, member.since_s = self._ready.popleft(), time.monotonic()
            self._flying += 1
            self._call(member, member.hand.work(member.batch.items))

    def _call(self, member: _Member, answer: Future[Any]) -> None:
        """Have the answer of a call in the queue when it comes."""
        answer.add_done_callback(lambda done: self._answers.put((member, done)))

    def _take(self, member: _Member, answer: Future[Any]) -> Iterator[tuple[Item, Line]]:
        """Yield the lines that an answer brings, or gives an end to."""
        batch, error = member.batch, answer.exception()
        if batch is None:
            self._welcome(member, answer)
            return
        member.batch, member.since_s = None, time.monotonic()
        self._flying -= 1
        if isinstance(error, Lost):
            self._leave(member)
            yield from self._again(batch, member, error)
            return
        self._idle.append(member)
        if error is not None:  # of our own: a worker never raises for the fault of an item
            yield from self._split(batch, member, last_line(error))
            return
        for item, line in zip(batch.items, answer.result(), strict=True):
            yield item, {**line, "worker": member.name}

    def _welcome(self, member: _Member, answer: Future[Any]) -> None:
        """Take a worker that has begun, or has not.

        Raises:
            RtdenoiseError: If no worker can be used.
        """
        error = answer.exception()
        if isinstance(error, Lost):
            self._leave(member)
            self._stillborn += not self._begun
            if self._stillborn >= MOST_LOSSES and not self._begun:
                raise UsageError(
                    f"{self._stillborn} workers ended while they loaded the model ({error})"
                )
            return
        name, fault = answer.result() if error is None else ("", last_line(error))
        if fault is None:
            member.name, self._begun = name, True
            self._idle.append(member)
            self._count()
        else:
            self._members.discard(member)
            text = printable(f"the worker {name or 'of Ray'}: {fault}")
            kind = type(fault) if isinstance(fault, RtdenoiseError) else UsageError
            self._refused[member] = kind(text)
        if self._begun or not self._members:
            self._tell()

    def _tell(self) -> None:
        """Tell which workers cannot be used, a line a reason; without any other this is the end."""
        for fault in self._refused.values():
            if not self._members:
                raise fault
            reason = str(fault).partition(": ")[2]
            if reason not in self._reasons:
                self._reasons.add(reason)
                LOG.warning("left out: %s", fault)

    def _leave(self, member: _Member) -> None:
        """Take a worker out of the crew, and look for the room that the cluster has without it."""
        self._members.discard(member)
        member.hand.end()  # one that does not answer may still run
        self._look_s = 0.0
        self._count()

    def _count(self) -> None:
        self._progress.staff(sum(bool(member.name) for member in self._members))

    def _again(self, batch: _Batch, member: _Member, error: Lost) -> Iterator[tuple[Item, Line]]:
        """Have a lost batch worked on again, unless it has been lost too often."""
        if member.ended and len(batch.items) == 1:
            item, why = batch.items[0], f"took more than {self._timeout_s:g} s"
            yield item, _failed(item, why, member.name, Problem.TIME_OUT)
            return
        batch.losses += not member.ended
        if batch.losses < MOST_LOSSES or len(batch.items) > 1:
            alone = [_Batch([item], batch.losses) for item in batch.items]
            self._ready.extendleft(reversed(alone))
            return
        item, why = batch.items[0], f"its worker was lost {batch.losses} times ({error})"
        yield item, _failed(item, why, member.name)

    def _split(self, batch: _Batch, member: _Member, why: str) -> Iterator[tuple[Item, Line]]:
        """Have the items of a batch that failed worked on one by one."""
        if len(batch.items) == 1:
            yield batch.items[0], _failed(batch.items[0], why, member.name)
            return
        self._ready.extendleft(_Batch([item], batch.losses) for item in reversed(batch.items))

    def _check(self) -> None:
        """Look now and then at what takes too long.

        Raises:
            UsageError: If there has been no worker for `GIVE_UP_S`.
        """
        now_s = time.monotonic()
        if now_s < self._check_s:
            return
        self._check_s = now_s + 1.0
        if any(member.name for member in self._members):
            self._staffed_s, self._told = now_s, False
        elif now_s - self._staffed_s > GIVE_UP_S:
            raise UsageError(f"the cluster has had no worker for {GIVE_UP_S:g} s")
        elif now_s - self._staffed_s > PATIENCE_S and not self._told:
            self._told = True
            LOG.warning("no worker has begun yet: the cluster may have no free CPU")
        for member in list(self._members):
            since_s = now_s - member.since_s
            if member.batch is not None and self._timeout_s is not None:
                if since_s > len(member.batch.items) * self._timeout_s + GRACE_S:
                    member.ended = True
                    member.hand.end()
            elif member in self._idle and not self._ready and since_s > IDLE_S:
                self._idle.remove(member)
                self._leave(member)


def _failed(item: Item, why: str, worker: str, problem: Problem = Problem.NONE) -> Line:
    """Return the line of an item whose worker could not tell what became of it."""
    source = redacted(item.source)
    return {
        "input": source,
        "output": redacted(item.target),
        "below": item.below,
        "status": FAILED,
        "error": printable(f"{source}: {why}"),
        "problem": str(problem),
        "worker": worker,
    }
