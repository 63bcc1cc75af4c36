"""The live end: what drives the callback, and a watch over it.

device, file or null -> Session.callback -> [ stage ] -> device, file or null
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.ring import Ring
from ..errors import DeviceError
from ..files.sound import SoundReader, SoundWriter
from .devices import Device, DeviceStream
from .session import Frames, Session

RECORD_S = 5.0  # of ring between the callback and the disk
DEAD_S = 1.0  # without a callback: the device is gone
SWITCH_S = 0.0005  # Python's default of 5 ms lets any busy thread hold up every hop


@dataclass(frozen=True)
class End:
    """One end of the line: a device, a file (`path`), or null (neither)."""

    channels: int
    device: Device | None = None
    path: str | None = None


class Player:
    """A file as an input: read ahead by its own thread, so that no disk is met in the callback.

    Args:
        reader: The file, open.
    """

    def __init__(self, reader: SoundReader) -> None:
        self._blocks = iter(reader)
        self._channels = reader.channels
        self._ring = Ring(reader.channels, max(10 * reader.rate, 4 * 65_536))
        self._ended, self.taken = threading.Event(), 0
        self.missed = 0
        self._stop = threading.Event()
        self.fault: Exception | None = None
        self._thread = threading.Thread(target=self._fill, daemon=True, name="rtdenoise-read")
        self._thread.start()

    def _fill(self) -> None:
        try:
            for block in self._blocks:
                while not self._stop.is_set() and not self._ring.write(block):
                    self._stop.wait(0.02)
                if self._stop.is_set():
                    return
        except Exception as fault:  # what was read is still played, then the run says why it ended
            self.fault = fault
        self._ended.set()

    def read(self, frames: int, wait: bool) -> Frames:
        """The next (frames, channels); silence after the end. *wait*: the reader may be slower."""
        out = np.zeros((self._channels, frames), np.float32)
        while wait and not self._ended.is_set() and self._ring.available < frames:
            time.sleep(0.0005)
        there = min(frames, self._ring.available)
        self._ring.read(out[:, :there])
        self.taken += there
        self.missed += 0 if self._ended.is_set() else frames - there
        return out.T

    @property
    def over(self) -> bool:
        """Whether all of the file was given."""
        return self._ended.is_set() and self._ring.available == 0

    def close(self) -> None:
        """End the reading thread; the file may be closed after, and not before.

        libsndfile crashes the process when one thread closes what another is reading.
        """
        self._stop.set()
        self._thread.join()
        if self.fault is not None:
            raise self.fault


class Recorder:
    """What the callback gives, on disk: a ring, and a thread that empties it into a file.

    Args:
        writer: The file, open.
        rows: Channels of the blocks.
        rate: Hz.
        most: Samples to write; the rest of the last block is left out. None: all.
    """

    def __init__(self, writer: SoundWriter, rows: int, rate: int, most: int | None = None) -> None:
        self.ring = Ring(rows, int(RECORD_S * rate) + 65_536)
        self._writer, self._stop, self._most = writer, threading.Event(), most
        self.fault: Exception | None = None
        self._thread = threading.Thread(target=self._drain, name="rtdenoise-write")
        self._thread.start()

    def _drain(self) -> None:
        while True:
            last = self._stop.is_set()
            block = np.empty((self.ring.data.shape[0], self.ring.available), np.float32)
            self.ring.read(block)
            if self._most is not None:
                block = block[:, : self._most]
                self._most -= block.shape[1]
            try:
                if block.size and self.fault is None:
                    self._writer.write(block)
            except Exception as fault:  # a full disk must not end the stream
                self.fault = fault
            if last:
                return
            self._stop.wait(0.02)

    def room(self, frames: int) -> None:
        """Wait until *frames* fit; for pumps, never in an audio thread."""
        while self.ring.capacity - self.ring.available < frames:
            time.sleep(0.0005)

    def close(self) -> None:
        """Write the rest."""
        self._stop.set()
        self._thread.join()
        if self.fault is not None:
            raise self.fault


def run(
    session: Session,
    source: End,
    sink: End,
    block: int,
    *,
    latency: str | float = "low",
    clock: str = "real",
    duration_s: float | None = None,
    record: Path | None = None,
    overwrite: bool = False,
    stop: threading.Event | None = None,
    started: Callable[[tuple[float | None, float | None]], None] = lambda _: None,
    watch: Callable[[], None] = lambda: None,
) -> None:
    """Run *session* between two ends until a file is over, the time is up, or *stop* is set.

    Args:
        session: The callback.
        source: Input.
        sink: Output.
        block: Samples a callback; 0: whatever the device likes.
        latency: For devices: "low", "high" or seconds.
        clock: "real" or "fast", for runs without a device.
        duration_s: Stop after so much audio.
        record: File for the processed sound; it appears when the run ends.
        overwrite: Replace files that are there.
        stop: Set it to end the run.
        started: Told the devices' latencies in ms when the stream runs.
        watch: Called ten times a second by the main thread.

    Raises:
        DeviceError: a device cannot be opened, or it went away.
        AudioError: a file cannot be read or written.
    """
    stop = stop or threading.Event()
    with ExitStack() as stack:
        player = recorder = most = None
        if source.path is not None:
            reader = stack.enter_context(SoundReader(source.path))
            player, most = Player(reader), reader.frames + session.stage.latency
            stack.callback(player.close)
        path = sink.path if sink.path is not None else record
        if path is not None:
            writer = SoundWriter(
                path, session.rate, session.rows, subtype=None, overwrite=overwrite
            )
            recorder = Recorder(stack.enter_context(writer), session.rows, session.rate, most)
            stack.callback(recorder.close)
            session.recording = recorder.ring
        drive = Drive(session, source, sink, player, recorder, duration_s, stop)
        stack.enter_context(quiet_interpreter())
        if source.device is None and sink.device is None:
            started((0.0, 0.0))
            drive.pump(block or 512, clock, watch)
        else:
            drive.stream(block, latency, started, watch)


class quiet_interpreter:  # noqa: N801 - used as a function
    """No garbage collection of what is there, and short turns for other threads, while it runs."""

    def __enter__(self) -> None:
        self._before = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        gc.collect()
        gc.freeze()

    def __exit__(self, *_: object) -> None:
        sys.setswitchinterval(self._before)
        gc.unfreeze()


class Drive:
    """Who calls the callback: a device's thread, or a pump in this one."""

    def __init__(
        self,
        session: Session,
        source: End,
        sink: End,
        player: Player | None,
        recorder: Recorder | None,
        duration_s: float | None,
        stop: threading.Event,
    ) -> None:
        self.session, self.source, self.sink = session, source, sink
        self.player, self.recorder, self.stop = player, recorder, stop
        self.most = None if duration_s is None else round(duration_s * session.rate)

    def over(self) -> bool:
        """Whether all is done: what went in has come out."""
        if self.stop.is_set() or (self.most is not None and self.session.frames >= self.most):
            return True
        if self.player is None or not self.player.over:
            return False
        return self.session.frames >= self.player.taken + self.session.stage.latency

    def pump(self, block: int, clock: str, watch: Callable[[], None]) -> None:
        """Call the callback from here: at the pace of the samples, or as fast as it goes."""
        begin, shown_s = time.monotonic(), 0.0
        out = np.empty((block, self.session.outputs), np.float32)
        while not self.over():
            heard = self.player.read(block, wait=True) if self.player else None
            if self.recorder:
                self.recorder.room(block)
            self.session.callback(heard, out, block, None, None)
            now_s = time.monotonic() - begin
            if clock == "real":
                ahead_s = self.session.frames / self.session.rate - now_s
                if ahead_s > 0:
                    self.stop.wait(ahead_s)
            if now_s - shown_s >= 0.1:
                shown_s = now_s
                watch()

    def stream(
        self,
        block: int,
        latency: str | float,
        started: Callable[[tuple[float | None, float | None]], None],
        watch: Callable[[], None],
    ) -> None:
        """Open the devices and watch them: a device that is gone does not say so itself."""
        stream = DeviceStream(
            self.source.device,
            self.sink.device,
            self.session.rate,
            block,
            (self.session.inputs, self.session.outputs),
            latency,
            self._called,
        )
        try:
            started(stream.latency_ms())
            calls, alive_s = 0, time.monotonic()
            while not self.over():
                self.stop.wait(0.1)
                now_s = time.monotonic()
                if self.session.callbacks != calls:
                    calls, alive_s = self.session.callbacks, now_s
                elif now_s - alive_s > DEAD_S or not stream.active:
                    ends = [str(e.device) for e in (self.source, self.sink) if e.device]
                    raise DeviceError(f"the sound device is gone: {' or '.join(ends)} stopped")
                watch()
        finally:
            stream.close()

    def _called(
        self, indata: Frames | None, outdata: Frames | None, frames: int, when: Any, status: Any
    ) -> None:
        """From PortAudio: a file takes the place of a missing input."""
        if indata is None and self.player is not None:
            indata = self.player.read(frames, wait=False)
        self.session.callback(indata, outdata, frames, when, status)
