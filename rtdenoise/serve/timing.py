"""The time that hops take, by how many are processed at once."""

from __future__ import annotations

SIZES = (1, 2, 4, 8, 16, 32, 64)  # hops of a round whose times are kept
NEW = 0.1  # weight of a new time among the old ones
FORGOTTEN = 0.9995  # what is left of a time after a round of another size: in 15 s a half


class Times:
    """The times of rounds by their hops, as they are measured while the server runs.

    They are times of the processor: if other programs use it as well, a round takes longer by about
    the same, whatever its size is.

    A time that is not measured any more is slowly taken for shorter, so that its size is tried
    again.
    """

    def __init__(self) -> None:
        self._hop_s = dict.fromkeys(SIZES, 0.0)

    def note(self, hops: int, seconds: float) -> None:
        """Learn that a round of *hops* hops took *seconds*."""
        own = max(size for size in SIZES if size <= max(1, hops))
        for size in SIZES:
            self._hop_s[size] *= FORGOTTEN
        before, hop_s = self._hop_s[own], seconds / max(1, hops)
        self._hop_s[own] = hop_s if not before else before + NEW * (hop_s - before)

    def best(self, waiting: int, limit_s: float) -> int:
        """Return how many of the *waiting* hops to process at once.

        It is the number with the least time a hop, among those whose round takes *limit_s* at most;
        if none does, among all, because the server is behind and must catch up.
        """
        sizes = [size for size in SIZES if size <= waiting] or [1]
        fits = [size for size in sizes if size * self._hop_s[size] <= limit_s] or sizes
        chosen = min(fits, key=lambda size: (self._hop_s[size], -size))
        # The time of a hop is nearly the same up to the next size.
        above = next((size for size in SIZES if size > chosen), waiting + 1)
        return max(1, min(waiting, above - 1))
