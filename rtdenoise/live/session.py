"""The callback that a sound card calls for every block, and its counts.

It is the same for PortAudio's audio thread and for a pump. It does not lock, log, print or raise;
it counts what happens in plain numbers, which the main thread shows.
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
from .channels import Inlet, Rows, first, spread
from .tap import Tap

Frames = NDArray[np.float32]  # (samples, channels), the order of PortAudio
WARM_UP_BLOCKS = 8


def nothing() -> None:
    """Prepare nothing, for threads that need no preparation."""


class Session:
    """A stage between an input and an output of any channel counts, driven by `callback`.

    Args:
        stage: The stage, with as many channels as the end with fewer channels has.
        counters: Where the nets of the stage count.
        rate: Sample rate of both ends in Hz.
        channels: Channel counts of input and output.
        period_s: Time in seconds that a hop may take.
        prepare: Function that is called once in the callback's thread, before its first block.

    Attributes:
        rows: Channel count of the stage.
        frames: Samples per channel so far.
        callbacks: Number of blocks so far.
        faults: Number of blocks that became silence because the stage raised.
        fault: The exception that the stage raised last. None: it has not raised.
        inside: Whether a call of `callback` has begun and not ended.
        inlet: The channels of the input that are used. None: all.
        out_rows: The channels of the output that are used.
        gaps: Number of times that a device was gone.
        skipped: Samples per channel for which a device was gone.
        recording: Ring into which the output is also written. None: there is no recording.
        tap: Memory for other processes that gets input, output and calls. None: there is no tap.
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
        self.outputs = channels[1]
        self.rows = min(channels)
        self.fault: Exception | None = None
        self.inside = False
        self.frames = self.callbacks = self.faults = self.clipped = 0
        self.gaps = self.skipped = 0
        self.xruns_in = self.xruns_out = self.lost_recording = 0
        self.peaks = np.zeros(2, np.float32)
        self.recording: Ring | None = None
        self.tap: Tap | None = None
        self.inlet: Inlet | None = None
        self.out_rows: Rows = first(self.outputs)
        self._prepare_thread = prepare
        self._prepare: Callable[[], None] | None = prepare

    def warm_up(self, block: int) -> None:
        """Push silence, so that nothing is done for the first time in the audio thread.

        Args:
            block: Samples per channel of a push. 0: the size will change from block to block.
        """
        for _ in range(WARM_UP_BLOCKS):
            self.stage.push(np.zeros((self.rows, block or 512), np.float32))
        self.stage.reset()
        self.counters.clear()

    def skip(self, lost: int) -> None:
        """Count a gap of *lost* samples per channel, in which a device was gone."""
        self.gaps, self.skipped = self.gaps + 1, self.skipped + lost

    def restart(self) -> None:
        """Begin again from silence, in another audio thread; the counts go on."""
        self.stage.reset()
        self._prepare = self._prepare_thread

    def callback(
        self, indata: Frames | None, outdata: Frames | None, frames: int, _time: Any, status: Any
    ) -> None:
        """Process a block, as sounddevice calls it; data that is None is silence, or is dropped."""
        self.inside = True
        try:
            if self._prepare is not None:
                prepare, self._prepare = self._prepare, None
                prepare()
            if status:
                self.xruns_in += bool(status.input_overflow or status.input_underflow)
                self.xruns_out += bool(status.output_underflow or status.output_overflow)
            if indata is None:
                incoming = np.zeros((self.rows, frames), np.float32)
            else:
                incoming = indata.T if self.inlet is None else self.inlet.take(indata)
            block = np.ascontiguousarray(fit_channels(incoming, self.rows))
            if self.tap is not None:
                self.tap.begin(block)
            out = self.stage.push(block)
            self._measure(block, out)
            if outdata is not None:
                played = fit_channels(out, self.outputs)
                spread(played, self.out_rows, outdata)
            self._record(out)
        except Exception as fault:  # the audio thread must go on, whatever a stage raises
            self.fault, self.faults = fault, self.faults + 1
            if outdata is not None:
                outdata.fill(0)
            self._record(np.zeros((self.rows, frames), np.float32))
        self.frames += frames
        self.callbacks += 1
        self.inside = False

    def _record(self, out: Samples) -> None:
        """Write what is heard to the tap and the recording, which may have no room for it."""
        if self.tap is not None:
            self.tap.end(out, self)
        if self.recording is not None and not self.recording.write(out):
            self.lost_recording += out.shape[1]

    def _measure(self, block: Samples, out: Samples) -> None:
        """Measure the peaks, and hold the output at full scale, beyond which a card wraps round."""
        if block.size:
            loud = float(np.abs(out).max())
            self.peaks[0] = max(self.peaks[0], np.abs(block).max())
            self.peaks[1] = max(self.peaks[1], loud)
            if loud > 1.0:
                self.clipped += int((np.abs(out) > 1.0).sum())
                np.clip(out, -1.0, 1.0, out=out)

    def status(self) -> dict[str, Any]:
        """Return the numbers of now; the levels are the peaks since the last call."""
        in_db, out_db = (gain_to_db(float(peak)) for peak in self.peaks)
        self.peaks[:] = 0
        p50_s, p99_s = self.counters.hop_percentiles_s(50, 99)
        return {
            "callbacks": self.callbacks,
            "in_db": in_db,
            "out_db": out_db,
            "p50_ms": 1e3 * p50_s,
            "p99_ms": 1e3 * p99_s,
            "load_percent": 100 * self.counters.load_percentiles(99)[0],
            "xruns": self.xruns_in + self.xruns_out,
            "late": self.counters["late"],
        }

    def summary(self) -> dict[str, Any]:
        """Return the counts and times of the whole run."""
        p50_s, p99_s = self.counters.hop_percentiles_s(50, 99)
        return {
            "seconds": round(self.frames / self.rate, 3),
            "rate": self.rate,
            "callbacks": self.callbacks,
            "gaps": self.gaps,
            "gap_seconds": round(self.skipped / self.rate, 3),
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
