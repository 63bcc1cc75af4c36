"""The line of processing that microphone, file and effect share.

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
    """A stage that runs a net on a stream of any rate, and mixes it with the aligned input.

    Args:
        net: The net, which runs at its own rate.
        stream: The stream. At the net's own rate, a promise of a block size lowers the latency.
        strength: The dry/wet settings, which may be set while it runs. None: only the wet sound.
        counters: Where hops are counted; several lines may share them. None: in counters of its
            own.
        clock: Function that returns the time in seconds, for hop times and the deadline.

    Raises:
        AudioError: If the stream's rate cannot be converted to the net's.
    """

    def __init__(
        self,
        net: Net,
        stream: Stream,
        strength: Strength | None = None,
        counters: Counters | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        counters, net = Counters() if counters is None else counters, net.begin(stream)
        self.engine = Engine(net, stream.at(net.card.sample_rate), counters, clock)
        same = stream.rate == net.card.sample_rate
        wet: Stage = self.engine if same else Resampled(self.engine, stream)
        super().__init__(wet, strength, counters)
