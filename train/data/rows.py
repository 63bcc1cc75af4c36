"""Rows of an index that are chosen by a rule, counted and drawn without a list of them.

The rows are taken in blocks of 32. What is kept is how many chosen rows, and how much weight, come
before each block; which rows of one block are chosen, and what they weigh, is computed again when
it is asked for. So a draw is a bisection and 32 rows, and memory is a third of a byte a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .index import Column, Index, Recording

BLOCK = 32  # rows of a block; index.PIECE is a multiple of it
Rule = Callable[[Column | slice], NDArray[np.bool_]]
Weigh = Callable[[Column], NDArray[np.float64]]


class Rows(Sequence[Recording]):
    """The recordings of the rows that a rule chooses, each made when it is asked for.

    Args:
        index: The index.
        rule: Whether rows (of any shape, or a slice) are chosen.
    """

    def __init__(self, index: Index, rule: Rule) -> None:
        self.table, self.rule = index, rule
        counts = [
            np.add.reduceat(rule(rows), np.arange(0, rows.stop - rows.start, BLOCK), dtype="u4")
            for rows in index.pieces()
        ]
        # before[b]: chosen rows before block b; the last entry is the number of all.
        self.before = np.cumsum(np.concatenate([[0], *counts]), dtype="u4")

    def __len__(self) -> int:
        return int(self.before[-1])

    @overload
    def __getitem__(self, at: int) -> Recording: ...
    @overload
    def __getitem__(self, at: slice) -> list[Recording]: ...
    def __getitem__(self, at: int | slice) -> Recording | list[Recording]:
        places = range(len(self))[at]
        if isinstance(places, range):
            return [self.table.recording(row) for row in self.nth(places).tolist()]
        return self.table.recording(int(self.nth(places)))

    def __iter__(self) -> Iterator[Recording]:
        for rows in self.pieces():
            yield from map(self.table.recording, rows.tolist())

    def pieces(self) -> Iterator[Column]:
        """Yield the numbers of the chosen rows in ascending order, piece by piece."""
        for rows in self.table.pieces():
            yield rows.start + np.flatnonzero(self.rule(rows))

    def nth(self, places: ArrayLike) -> Column:
        """Return the rows at *places* of the chosen ones, an array of any shape."""
        places = np.asarray(places, self.before.dtype)  # of another type, all would be converted
        block = np.searchsorted(self.before, places, side="right") - 1
        rows, chosen = self._block(block)
        upto = self.before[block][..., None] + np.cumsum(chosen, -1)
        return self._first(rows, upto > places[..., None])

    def _block(self, block: Column) -> tuple[Column, NDArray[np.bool_]]:
        """Return the rows of blocks, (.., BLOCK), and which of them are chosen."""
        rows = block[..., None] * BLOCK + np.arange(BLOCK)
        there = rows < self.table.rows
        rows = np.minimum(rows, self.table.rows - 1)
        return rows, self.rule(rows) & there

    @staticmethod
    def _first(rows: Column, true: NDArray[np.bool_]) -> Column:
        """Return of each block the first row that is *true*."""
        return np.take_along_axis(rows, true.argmax(-1)[..., None], -1)[..., 0]


class Lot(Rows):
    """The same, drawn by their weights.

    Args:
        index: The index.
        rule: Whether rows are chosen; nothing can be drawn if none is.
        weigh: The weights of rows, which need not add up to one.
    """

    def __init__(self, index: Index, rule: Rule, weigh: Weigh) -> None:
        super().__init__(index, rule)
        self.weigh, at = weigh, 1
        upto = np.zeros(len(self) + 1)  # the weight before each chosen row, and that of all
        for rows in self.pieces():
            upto[at : at + len(rows)] = weigh(rows)
            at += len(rows)
        self.sum = float(upto[1:].sum())
        upto[1:] /= self.sum
        np.cumsum(upto, out=upto)
        # Sums begin with the one before the block, so they are the same, to the last bit, as those
        # over all rows: a seed draws what it drew from a list of sums.
        self.total, self.weight_before = float(upto[-1]), upto[self.before]

    def draw(self, chance: ArrayLike) -> Column:
        """Return a row for each of some numbers in 0..1 (of any shape), each by its weight."""
        wanted = np.asarray(chance) * self.total
        # A product may be rounded up to the total, which is the weight before no row.
        wanted = np.minimum(wanted, np.nextafter(self.total, 0))
        block = np.searchsorted(self.weight_before, wanted, side="right") - 1
        rows, chosen = self._block(block)
        weight = np.where(chosen, self.weigh(rows) / self.sum, 0.0)
        begun = np.concatenate([self.weight_before[block][..., None], weight], -1)
        return self._first(rows, np.cumsum(begun, -1)[..., 1:] > wanted[..., None])
