"""The watch over native plugins: finite samples go in, and what comes out is looked at."""

from __future__ import annotations

import numpy as np

from ..audio import Samples
from ..core.counters import Counters
from ..core.kernels import all_finite, clean
from ..errors import AudioError


class Guard:
    """The watch over what goes into plugins and what comes out: only finite samples.

    Args:
        names: The names of the plugins, for the error message.
        counters: Where NaN and infinite samples and failures are counted. None: nowhere.
        loudest: Amplitude at which samples that go in are held. None: there is none.
    """

    def __init__(
        self, names: str, counters: Counters | None = None, loudest: float | None = None
    ) -> None:
        self._names, self._loudest = names, loudest
        self._counters = Counters() if counters is None else counters

    def clean(self, block: Samples) -> Samples:
        """Return a copy of *block* with silence in place of NaN and infinity, which are counted."""
        finite = np.empty(block.shape, np.float32)
        if bad := clean(block, finite):
            self._counters.add("nonfinite", bad)
        if self._loudest is not None:
            np.clip(finite, -self._loudest, self._loudest, out=finite)
        return finite

    def passes(self, out: Samples) -> bool:
        """Return whether *out* is finite; otherwise count a failure, which says who failed."""
        if all_finite(out[None]):
            return True
        self._counters.fault = AudioError(
            f"{self._names} gave NaN or infinity for finite sound: check the parameters"
        )
        self._counters.add("failed")
        return False
