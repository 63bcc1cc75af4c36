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
from ..core.switch import Switch, nothing
from .channels import Inlet, Rows, first, spread
from .tap import Tap

Frames = NDArray[np.float32]  # (samples, channels), the order of PortAudio
WARM_UP_BLOCKS = 8
LEVELS = 4096  # blocks whose peaks are kept: 44 s of blocks of 512 samples at 48 kHz


def lost_before(status: Any) -> int:
    """Return how many samples a worker left out before the call that has this *status*."""
    return getattr(status, "lost", 0)


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
        stage: The stage, behind a `Switch`.
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
        silent_blocks: Number of blocks with silence in them, because a worker was late.
        silent: Samples per channel of that silence.
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
        self.stage, self.counters = Switch(stage), counters
        self.rate, self.period_s = rate, period_s
        self.outputs = channels[1]
        self.rows = min(channels)
        self.fault: Exception | None = None
        self.inside = False
        self.frames = self.callbacks = self.faults = self.clipped = 0
        self.gaps = self.skipped = 0
        self.xruns_in = self.xruns_out = self.lost_recording = 0
        self.silent_blocks = self.silent = 0
        self._levels = np.zeros((LEVELS, 2), np.float32)  # peaks of input and output by block
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
        self._warm_up(self.stage, block)
        self.counters.clear()

    def _warm_up(self, stage: Stage, block: int) -> None:
        """Push silence into *stage*, and reset it."""
        for _ in range(WARM_UP_BLOCKS):
            stage.push(np.zeros((self.rows, block or 512), np.float32))
        stage.reset()

    def change(
        self,
        stage: Stage,
        counters: Counters,
        period_s: float,
        prepare: Callable[[], None],
        block: int,
    ) -> None:
        """Change to another stage while the callback runs; see `Switch`. The counts go on.

        Args:
            stage: The new stage, for the same stream.
            counters: Where its nets count.
            period_s: Time in seconds that a hop of it may take.
            prepare: Function that is called once in the callback's thread, before its first block.
            block: Samples per channel of a callback; see `warm_up`.
        """
        self._warm_up(stage, block)
        counters.clear()

        def heard() -> None:
            counters.follow(self.counters)
            self.counters, self.period_s = counters, period_s

        self.stage.change(stage, prepare, heard)

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
        self._levels[self.callbacks % LEVELS] = 0
        try:
            if self._prepare is not None:
                prepare, self._prepare = self._prepare, None
                prepare()
            if status:
                self._count(status)
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

    def _count(self, status: Any) -> None:
        """Count what sounddevice reports of a call, or a worker of several."""
        self.xruns_in += int(status.input_overflow or status.input_underflow)
        self.xruns_out += int(status.output_underflow or status.output_overflow)
        self.silent_blocks += getattr(status, "silent_blocks", 0)
        self.silent += getattr(status, "silent", 0)

    def miss(self, lost: int) -> None:
        """Count *lost* samples per channel that a worker left out; what was heard was silence."""
        if lost:
            self.frames += lost
            self._record(np.zeros((self.rows, lost), np.float32))

    def _record(self, out: Samples) -> None:
        """Write what is heard to the tap and the recording, which may have no room for it."""
        if self.tap is not None:
            self.tap.end(out, self)
        ring = self.recording  # another thread may take it away
        if ring is not None and not ring.write(out):
            self.lost_recording += out.shape[1]

    def _measure(self, block: Samples, out: Samples) -> None:
        """Measure the peaks, and hold the output at full scale, beyond which a card wraps round."""
        if block.size:
            loud = float(np.abs(out).max())
            self._levels[self.callbacks % LEVELS] = np.abs(block).max(), loud
            if loud > 1.0:
                self.clipped += int((np.abs(out) > 1.0).sum())
                np.clip(out, -1.0, 1.0, out=out)

    def status(self, since: int = 0) -> dict[str, Any]:
        """Return the numbers of now.

        Args:
            since: The first block whose peaks count, so that each reader has its own; at most
                `LEVELS` blocks count.
        """
        until = self.callbacks
        heard = np.arange(max(since, until - LEVELS + 1), until) % LEVELS
        peaks = self._levels[heard].max(axis=0, initial=0)
        in_db, out_db = (gain_to_db(float(peak)) for peak in peaks)
        p50_s, p99_s = self.counters.hop_percentiles_s(50, 99)
        return {
            "callbacks": until,
            "in_db": in_db,
            "out_db": out_db,
            "p50_ms": 1e3 * p50_s,
            "p99_ms": 1e3 * p99_s,
            "load_percent": 100 * self.counters.load_percentiles(99)[0],
            "xruns": self.xruns_in + self.xruns_out + self.silent_blocks,
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
            "silent_blocks": self.silent_blocks,
            "silent_seconds": round(self.silent / self.rate, 3),
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
