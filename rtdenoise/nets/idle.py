"""Digital silence, in which a net that has come to rest is not called.

The memory of a net goes on in silence, and some memories creep for a quarter of an hour. When the
net has answered a second of silence by silence, and its state has changed by less than `SLOW` a
hop, it sleeps: the output is silence, and the state is kept. The first window that is not silence
wakes it, and is processed as any other.

So the sound after a long silence is that after a shorter one, and nothing else differs. The rule
looks at samples and states alone, after every second of silence. A stream and a file therefore
fall asleep at the same window, however they are cut.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples
from .card import Card
from .net import Windows

LOOK_S = 1.0  # time of silence between two looks at the net
SLOW = 1e-3  # change of the state a hop; memories of gated units have values between -1 and 1


class Idle:
    """The sleep of the net of one stream.

    Args:
        card: The facts about the net.
    """

    def __init__(self, card: Card) -> None:
        seconds = LOOK_S + card.lookahead / card.sample_rate
        self._span = max(1, round(seconds * card.sample_rate / card.hop))
        self.reset()

    def reset(self) -> None:
        """Begin a new stream: the net is awake."""
        self._run, self._asleep, self._quiet = 0, False, True
        self._kept: Samples | None = None

    def part(self, silent: NDArray[np.bool_]) -> tuple[int, bool]:
        """Return how many of the next windows belong together, and whether the net sleeps there.

        Args:
            silent: Whether each of the next windows (T,) is silence.
        """
        if not silent[0]:
            self.reset()
            return int(silent.argmax()) or len(silent), False
        length = len(silent) if silent.all() else int(silent.argmin())
        if self._asleep:
            return length, True
        return min(length, self._span - self._run % self._span), False

    def heard(self, out: Windows, state: Samples) -> None:
        """Learn from the answer *out* (C, T, N) to T windows of silence, and the *state* then."""
        self._run += out.shape[1]
        self._quiet = self._quiet and not out.any()
        if self._run % self._span:
            return
        if self._kept is not None and self._quiet:
            change = np.abs(state - self._kept).max(initial=0.0)
            self._asleep = bool(change <= SLOW * self._span)
        self._kept, self._quiet = state.copy(), True
