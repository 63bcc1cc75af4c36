"""Digital silence: the windows that a quiet net need not hear at once, or not at all.

A net with memory goes on while it hears silence, so that what it does afterwards depends on how
long the silence was. The windows are therefore not left out. Most of the time of a hop goes into
fetching the weights, and eight windows in one call take about twice the time of one. So a net that
has answered silence by silence for a while is owed the windows: the output is silence at once, and
the net hears them in one call, at the latest together with the next window that is not silent.

If the net answers a window of silence by silence and its state does not change, it is at rest. It
would give the same for ever, and is not called again before something else than silence comes.

The samples are those of a net that was called for every window, with one exception. A net that
begins to sound by itself after `QUIET_S` of silence loses the hops that it was owed, once: it is
never owed any again.
"""

from __future__ import annotations

import numpy as np

from ..audio import Samples
from .card import Card
from .net import Windows

QUIET_S = 1.0  # time for which a net must have answered silence by silence
MOST_OWED = 7  # windows: with the next one, 8 in one call


class Idle:
    """The hops of silence that the net of one stream is owed.

    Args:
        card: The facts about the net.
        deadline_s: Time in seconds that a hop may take. None: nobody waits, and nothing is owed.

    Attributes:
        owed: Number of windows of silence that the net has not heard.
    """

    def __init__(self, card: Card, deadline_s: float | None) -> None:
        self._deadline_s = deadline_s
        tail_s = QUIET_S + card.lookahead / card.sample_rate
        self._tail = 1 + round(tail_s * card.sample_rate / card.hop)
        self._trusted = True
        self.reset()

    def reset(self) -> None:
        """Forget what was owed, with the stream."""
        self.owed = self._quiet = self._most = 0
        self._rest = False

    def postpones(self, count: int) -> bool:
        """Return whether the answer to *count* windows of silence is silence, whenever heard."""
        if self._rest:
            return True
        if self._quiet < self._tail or self.owed + count > self._most or not self._trusted:
            return False
        self.owed += count
        return True

    def heard(
        self, out: Windows, silent: bool, before: Samples, after: Samples, hop_s: float
    ) -> None:
        """Learn from the answer of a net that has heard all it was owed.

        Args:
            out: The answer (C, T, N) to T windows, first to those of silence that were owed.
            silent: Whether the other windows are silence as well.
            before: The state before the answer.
            after: The state after the answer.
            hop_s: Time in seconds that the answer took.
        """
        owed, self.owed = self.owed, 0
        self._rest = False
        if out[:, :owed].any():
            self._trusted = False
        if not silent or out.any():
            self._quiet = 0
            return
        self._quiet += out.shape[1] - owed
        settled = np.array_equal(before, after)
        self._rest = settled and out.shape[1] == 1
        if self._deadline_s is None or settled:
            self._most = 0  # one window alone must show whether the net is at rest
        elif hop_s < self._deadline_s / 4 and owed == self._most:
            self._most = min(MOST_OWED, 2 * self._most + 1)
        elif hop_s > self._deadline_s / 2:
            self._most //= 2
