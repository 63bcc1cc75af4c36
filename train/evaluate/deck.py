"""Which sources the pairs of an evaluation take, and in which order."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from rtdenoise.errors import UsageError


class Deck:
    """Sources in random order: all are dealt once before any is dealt twice.

    Args:
        sources: Names of the sources.
        rng: Random generator of the order.
    """

    def __init__(self, sources: Collection[str], rng: np.random.Generator) -> None:
        self._all, self._rng = sorted(set(sources)), rng
        self._left: list[str] = []

    def deal(self, first: frozenset[str] = frozenset()) -> str:
        """Take the next source, one of *first* if any of them is left in this round."""
        if not self._left:
            self._left = [str(name) for name in self._rng.permutation(self._all)]
        name = next((name for name in self._left if name in first), self._left[0])
        self._left.remove(name)
        return name

    def discard(self, name: str) -> None:
        """Never deal *name* again.

        Raises:
            UsageError: no other source is left.
        """
        self._all.remove(name)
        self._left = [other for other in self._left if other != name]
        if not self._all:
            raise UsageError("no source has such sound: all are too silent, or too noisy")


class OriginDeck:
    """A deck for each origin, which take turns: a data set of many sources counts as one.

    Args:
        origins: Origin of each source by its name.
        rng: Random generator of the order.
    """

    def __init__(self, origins: Mapping[str, str], rng: np.random.Generator) -> None:
        self._origins = origins
        by = {o: [s for s in origins if origins[s] == o] for o in sorted(set(origins.values()))}
        self._decks = {origin: Deck(sources, rng) for origin, sources in by.items()}
        self._turns = Deck(list(by), rng)

    def deal(self, first: frozenset[str] = frozenset()) -> str:
        """Take the next source of the next origin, one of *first* if that origin has any left."""
        return self._decks[self._turns.deal()].deal(first)

    def discard(self, name: str) -> None:
        """Never deal *name* again.

        Raises:
            UsageError: no other source is left.
        """
        origin = self._origins[name]
        try:
            self._decks[origin].discard(name)
        except UsageError:
            self._turns.discard(origin)


@dataclass(frozen=True)
class Choice:
    """Which excerpts become the clean side, and how sources take turns.

    Attributes:
        least_range_db: Least distance of the quiet frames below the loud ones (data/pauses.py). The
            noise of a reference counts as sound to keep, so scores favour whoever keeps noise.
        by_origin: Deal origins first, then their sources.
    """

    least_range_db: float = 0.0
    by_origin: bool = False


ANY = Choice()  # any excerpt, and every source is dealt as often
