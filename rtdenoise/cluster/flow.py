"""What a run gives to workers: its items and, of each long one, the pieces and then their join."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ..files.results import FAILED, Line
from .items import Item
from .section import Section
from .work import CUT


@dataclass
class _Long:
    """A long item whose pieces are being processed.

    Attributes:
        item: The item.
        section: Its pieces, and their join.
        left: Number of pieces that are not finished.
        took_s: Seconds of work so far.
    """

    item: Item
    section: Section
    left: int
    took_s: float


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
        long = self._long.get(task.target)
        if long is None:  # another piece of it has failed
            return None
        long.took_s += line.get("took_s", 0.0)
        if line["status"] == FAILED or task.section.number is None:
            self._forget(task)
            return line | {"took_s": round(long.took_s, 3)}
        long.left -= 1
        if not long.left:
            self._tasks.append(replace(long.item, section=long.section))
        return None

    def _forget(self, task: Item) -> None:
        """Forget a long item that is finished, and the pieces of it that nobody works on."""
        del self._long[task.target]
        kept = (each for each in self._tasks if each.target != task.target)
        self._tasks = deque(kept)
