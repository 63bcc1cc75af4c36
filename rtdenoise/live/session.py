"""The callback: what a sound card calls for every block, and what it counts.

The same whoever calls it: PortAudio's audio thread, or a pump for files. It does not lock, log,
print or raise; what happens is counted in plain numbers and told from the main thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples, fit_channels, gain_to_db
from ..core.counters import Counters
from ..core.ring import Ring
from ..core.stage import Stage

Frames = NDArray[np.float32]  # (samples, channels): PortAudio's order
WARM_UP_BLOCKS = 8


def nothing() -> None:
    """A thread that needs no preparation."""


class Session:
    """A stage between an input and an output of any channel counts, driven by `callback`.

    Args:
        stage: What processes, with as many rows as the narrower side has channels.
        counters: Where the nets of the stage count.
        rate: Hz.
        channels: Of input and output.
        period_s: Seconds that a hop may take.
        prepare: Called once in the thread that calls back, before its first block.

    Attributes:
        rows: Channels that the stage has.
        frames: Samples so far.
        callbacks: Blocks so far.
        faults: Blocks that became silence because the stage raised.
        fault: What it raised last.
        recording: Where what is heard is put as well. None: nowhere.
    """

    def __init__(
        self,
        stage: Stage,
        counters: Counters,
        rate: int,
        channels: tuple[int, int],
        period_s: float,
        prepare: Callable[[], None] = nothing,
    ) -> None:
        self.stage, self.counters, self.rate, self.period_s = stage, counters, rate, period_s
        self.inputs, self.outputs = channels
        self.rows = min(channels)
        self.fault: Exception | None = None
        self.frames = self.callbacks = self.faults = self.clipped = 0
        self.xruns_in = self.xruns_out = self.lost_recording = 0
        self.peaks = np.zeros(2, np.float32)
        self.recording: Ring | None = None
        self._prepare: Callable[[], None] | None = prepare

    def warm_up(self, block: int) -> None:
        """Push silence, so that nothing is done for the first time in the audio thread.

        Args:
            block: Samples a push; 0: any number will come.
        """
        for _ in range(WARM_UP_BLOCKS):
            self.stage.push(np.zeros((self.rows, block or 512), np.float32))
        self.stage.reset()
        self.counters.clear()

    def callback(
        self, indata: Frames | None, outdata: Frames | None, frames: int, _time: Any, status: Any
    ) -> None:
        """Process a block, as sounddevice asks for it; a missing side is silence, or nowhere."""
        try:
            if self._prepare is not None:
                prepare, self._prepare = self._prepare, None
                prepare()
            if status:
                self.xruns_in += bool(status.input_overflow or status.input_underflow)
                self.xruns_out += bool(status.output_underflow or status.output_overflow)
            heard = np.zeros((self.inputs, frames), np.float32) if indata is None else indata.T
            block = np.ascontiguousarray(fit_channels(heard, self.rows))
            out = self.stage.push(block)
            self._measure(block, out)
            if outdata is not None:
                outdata[:] = fit_channels(out, self.outputs).T
            if self.recording is not None and not self.recording.write(out):
                self.lost_recording += frames
        except Exception as fault:  # whatever it is, the audio thread lives on
            self.fault, self.faults = fault, self.faults + 1
            if outdata is not None:
                outdata.fill(0)
        self.frames += frames
        self.callbacks += 1

    def _measure(self, block: Samples, out: Samples) -> None:
        """Levels, and what a sound card cannot play: it would wrap round, so it is held at 1."""
        if block.size:
            loud = float(np.abs(out).max())
            self.peaks[0] = max(self.peaks[0], np.abs(block).max())
            self.peaks[1] = max(self.peaks[1], loud)
            if loud > 1.0:
                self.clipped += int((np.abs(out) > 1.0).sum())
                np.clip(out, -1.0, 1.0, out=out)

    def status(self) -> dict[str, Any]:
        """What to show now; levels are the peaks since the last call."""
        in_db, out_db = (gain_to_db(float(peak)) for peak in self.peaks)
        self.peaks[:] = 0
        p50_s, p99_s = self.counters.hop_percentiles_s(50, 99)
        return {
            "in_db": in_db,
            "out_db": out_db,
            "p50_ms": 1e3 * p50_s,
            "p99_ms": 1e3 * p99_s,
            "load_percent": 100 * self.counters.load_percentiles(99)[0],
            "xruns": self.xruns_in + self.xruns_out,
            "late": self.counters["late"],
        }

    def summary(self) -> dict[str, Any]:
        """What happened, for people at the end of the run and for machines."""
        p50_s, p99_s = self.counters.hop_percentiles_s(50, 99)
        return {
            "seconds": round(self.frames / self.rate, 3),
            "rate": self.rate,
            "callbacks": self.callbacks,
            "xruns_in": self.xruns_in,
            "xruns_out": self.xruns_out,
            **{name: self.counters[name] for name in Counters.NAMES},
            "hop_p50_ms": round(1e3 * p50_s, 3),
            "hop_p99_ms": round(1e3 * p99_s, 3),
            "hop_max_ms": round(1e3 * self.counters.max_hop_s, 3),
            "deadline_ms": round(1e3 * self.period_s, 3),
            "clipped": self.clipped,
            "faults": self.faults,
            "fault": None if self.fault is None else str(self.fault),
            "lost_recording": self.lost_recording,
        }
