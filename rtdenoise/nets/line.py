"""The one line of processing that microphone, file and effect share.

samples -> clean -> [ resample -> ] window -> net -> overlap-add [ -> resample ] -> blend
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ..core.blend import Blend, Strength
from ..core.counters import Counters
from ..core.resample import Resampled
from ..core.stage import Stage
from ..core.stream import Stream
from .engine import Engine
from .net import Net


class Line(Blend):
    """A net on a stream of any rate, mixed with its aligned input.

    Args:
        net: It runs at its own rate.
        stream: What it is made for. A promise of blocks lowers the delay at the net's own rate.
        strength: How much of the processing is heard; it may be set while running.
        counters: Where to count, for several lines that count together. None: in its own.
        clock: Gives seconds, for hop times and the deadline.

    Raises:
        AudioError: a rate that cannot be converted to the net's.
    """

    def __init__(
        self,
        net: Net,
        stream: Stream,
        strength: Strength | None = None,
        counters: Counters | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        counters = Counters() if counters is None else counters
        self.engine = Engine(net, stream.at(net.card.sample_rate), counters, clock)
        same = stream.rate == net.card.sample_rate
        wet: Stage = self.engine if same else Resampled(self.engine, stream)
        super().__init__(wet, strength, counters)
