"""Sound while it happens, from Python: `Live`. `rtdenoise live` is one client of it.

    with rtdenoise.Live("mic", "speakers", rtdenoise.Denoise("speech")) as live:
        live.bypass = True          # the aligned input, without a click
        live.wait()                 # until Ctrl-C, or the file is over

device, file or null -> Session.callback -> [ stage ] -> device, file or null
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..errors import UsageError
from .devices import Cards, PortAudio
from .ends import End, FileEnd, parse_end
from .negotiate import WishError, Wishes
from .opening import Run, Setup, open_run
from .processing import Processing

if TYPE_CHECKING:
    from ..chain.effect import Effect
    from ..core.blend import Strength

WAIT_S = 0.5  # of waiting in one go: on Windows Ctrl-C is not heard meanwhile


class Live:
    """An effect between an input and an output, running in the background inside its `with` block.

    Entering opens the ends and starts; leaving stops, and every file is whole. What goes wrong in
    the run (the device is gone, the disk is full) is raised once: by `wait`, else on leaving.

    Args:
        source: `mic`, an index, part of a device's name, `file:PATH` or `null` (silence).
        sink: `speakers`, an index, part of a device's name, `file:PATH` or `null` (nowhere).
        effect: What processes: an effect (a plugin of pedalboard is one), or the name or path of
            a model.
        rate: Hz of the ends. None: the file's, else the model's own, else the devices'.
        channels: Of the devices. None: the file's, else one, which goes to both ears.
        block: Samples a callback. 0: as many as the device likes; None: a hop of the model.
        latency: Of the devices: "low" or "high" (what they suggest), or seconds.
        clock: Without a device: "real", at the pace of the samples, or "fast", without a deadline.
        duration_s: Seconds after which it ends. None: when its file is over, or never.
        record: File for what is heard. None: none.
        overwrite: Replace files that are there.
        cards: Who knows the sound devices. None: PortAudio.

    Raises:
        UsageError: a setting out of range, or an end that is none.
        ModelError: no such model, or it breaks the contract.
    """

    def __init__(
        self,
        source: str | End = "mic",
        sink: str | End = "speakers",
        effect: str | Path | Effect = "speech",
        *,
        rate: int | None = None,
        channels: int | None = None,
        block: int | None = None,
        latency: str | float = "low",
        clock: str = "real",
        duration_s: float | None = None,
        record: str | Path | None = None,
        overwrite: bool = False,
        cards: Cards | None = None,
    ) -> None:
        wishes = Wishes(rate, channels, block, latency, clock, duration_s, record, overwrite)
        start = parse_end(source, "input") if isinstance(source, str) else source
        end = parse_end(sink, "output") if isinstance(sink, str) else sink
        if record is not None and isinstance(end, FileEnd):
            raise WishError("record", record, "the sink is a file, which holds the same sound")
        self._processing = Processing(effect)
        self._setup = Setup(start, end, self._processing, wishes, cards or PortAudio())
        self._stop, self._ended = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._open: Run | None = None
        self._how = "running"
        self._fault: Exception | None = None

    def __enter__(self) -> Self:
        """Open the ends and start.

        Raises:
            DeviceError: a device is not there, or cannot be opened as wanted.
            AudioError: a file cannot be read or written.
            UsageError: it has run before.
        """
        if self._open is not None:
            raise UsageError("a Live runs once: make a new one for the next run")
        with ExitStack() as stack:
            self._open = open_run(self._setup, self._stop, stack)
            work = (self._open, stack.pop_all())
        self._thread = threading.Thread(
            target=self._run, args=work, daemon=True, name="rtdenoise-live"
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        try:
            self._raise_fault()
        except Exception as fault:
            if error is None:
                raise
            error.add_note(f"The run had failed as well: {fault}")

    def _run(self, run: Run, stack: ExitStack) -> None:
        """The thread: drive until it is over, then close all. A fault waits until it is asked for.

        A fault of the drive does not reach *stack*: what was heard until then is kept.
        """
        faults = []
        try:
            with stack:
                try:
                    run.drive()
                except Exception as fault:
                    faults.append(fault)
                self._how = "stopped" if self._stop.is_set() else "complete"
        except Exception as fault:
            faults.append(fault)
        if faults:
            self._how, self._fault = "failed", faults[0]
        self._ended.set()

    def _raise_fault(self) -> None:
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run is over.

        Args:
            timeout: Seconds to wait. None: as long as it takes.

        Returns:
            Whether it is over.

        Raises:
            DeviceError: the device is gone.
            AudioError: a file could not be read to its end, or not be written.
        """
        self._begun()
        end_s = None if timeout is None else time.monotonic() + timeout
        while not self._ended.is_set():
            left_s = WAIT_S if end_s is None else min(WAIT_S, end_s - time.monotonic())
            if left_s <= 0:
                return False
            self._ended.wait(left_s)
        self._raise_fault()
        return True

    def stop(self) -> None:
        """End the run and close everything; a second call changes nothing."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _begun(self) -> Run:
        if self._open is None:
            raise UsageError("this Live has not started: it runs inside its `with` block")
        return self._open

    def status(self) -> dict[str, Any]:
        """What to show now: levels in dB since the last call, hop times in ms, xruns, late hops."""
        return self._begun().session.status()

    def summary(self) -> dict[str, Any]:
        """What happened so far, as numbers for people and machines.

        `ended` is "running", "complete", "stopped" (by `stop`, or on leaving) or "failed".
        """
        numbers = self._begun().session.summary()
        return {"ended": self._how, **numbers, "latency_ms": self.latency_ms}

    @property
    def latency_ms(self) -> dict[str, float | None]:
        """The parts of the delay in the order of the sound. None: the driver does not know it."""
        return dict(self._begun().latency_ms)

    @property
    def strength(self) -> Strength:
        """How much of the processing is heard; it may be set at any time, and glides."""
        return self._processing.effect.strength

    @strength.setter
    def strength(self, value: Strength) -> None:
        self._processing.effect.strength = value

    @property
    def bypass(self) -> bool:
        """Whether the input is heard, as late as the processed sound; it glides."""
        return self._processing.effect.bypass

    @bypass.setter
    def bypass(self, value: bool) -> None:
        self._processing.effect.bypass = value
