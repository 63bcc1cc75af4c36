"""What a run gives to workers: its items and, of each long one, the pieces and then their join."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from ..errors import Problem, RtdenoiseError
from ..files.results import FAILED, Line
from . import store
from .items import Item
from .section import Section
from .work import CUT


@dataclass
class _Long:
    """A long item whose pieces are being processed.

    Attributes:
        item: The item.
        section: Its pieces, and their join.
        left: Number of its tasks that are not finished.
        took_s: Seconds of work so far.
        over: Whether its line is told.
        useless: Whether no later run can use its pieces, because the net failed.
    """

    item: Item
    section: Section
    left: int
    took_s: float
    over: bool = False
    useless: bool = False


class Flow(Iterator[Item]):
    """The tasks of a run. Those of long items come before the items that follow.

    Once empty, it may have tasks again when a line comes back.

    Args:
        items: The items.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)
        self._tasks: deque[Item] = deque()
        self._long: dict[str, _Long] = {}  # by the name of the output

    def __next__(self) -> Item:
        return self._tasks.popleft() if self._tasks else next(self._items)

    def take(self, task: Item, line: Line) -> Line | None:
        """Take the line that a task gave. Return the line of its item, if the item is finished."""
        if line["status"] == CUT:
            section = Section(line["key"], tuple(line["cuts"]))
            pieces = range(len(section.cuts))
            self._long[task.target] = _Long(task, section, len(pieces), line["took_s"])
            self._tasks.extend(replace(task, section=replace(section, number=n)) for n in pieces)
            return None
        if task.section is None:
            return line
        long, told = self._long[task.target], None
        long.left -= 1
        long.took_s += line.get("took_s", 0.0)
        long.useless |= line.get("problem") == Problem.NET_FAILED
        if not long.over and (line["status"] == FAILED or task.section.number is None):
            long.over, told = True, line | {"took_s": round(long.took_s, 3)}
            self._drop(long)
        if not long.left:
            self._go_on(long)
        return told

    def _drop(self, long: _Long) -> None:
        """Forget the pieces of a long item that nobody works on."""
        kept = [task for task in self._tasks if task.target != long.item.target]
        long.left -= len(self._tasks) - len(kept)
        self._tasks = deque(kept)

    def _go_on(self, long: _Long) -> None:
        """Join a long item whose pieces are there, or forget it if it is over."""
        target = long.item.target
        if not long.over:
            long.left = 1
            self._tasks.append(replace(long.item, section=long.section))
            return
        del self._long[target]
        if long.useless:
            with suppress(RtdenoiseError):  # what matters has been told
                store.remove(long.section.folder(target))
