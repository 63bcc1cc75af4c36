"""`Live`, the Python API of live sound; the command `rtdenoise live` is one client of it.

    with rtdenoise.Live("mic", "speakers", rtdenoise.Denoise("speech")) as live:
        live.bypass = True          # gives the aligned input, without a click
        live.wait()                 # waits until Ctrl-C, or until the file is over

device, file or null -> Session.callback -> [ stage ] -> device, file or null
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..chain.boardfile import open_board
from ..errors import UsageError, printable
from .channels import Silence
from .console import Console
from .devices import Cards, PortAudio
from .ends import End, FileEnd, parse_end
from .errands import Errands
from .negotiate import STAGE, WishError, Wishes
from .opening import Run, Setup, open_run
from .processing import Processing, is_board
from .supervisor import Event

if TYPE_CHECKING:
    from ..chain.effect import Effect

WAIT_S = 0.5  # longest single wait: on Windows, Ctrl-C cannot interrupt it


class Live(Console):
    """An effect between an input and an output, which runs in the background in its `with` block.

    Entering the block opens the ends and starts the run. Leaving it stops the run and closes every
    file whole. An error of the run (as a full disk) is raised once, by `wait` or on
    leaving.

    Args:
        source: Input: `mic`, an index, part of a device's name, `file:PATH` or `null` (silence).
        sink: Output: `speakers`, an index, part of a device's name, `file:PATH` or `null` (none).
        effect: The effect, a plugin of pedalboard, or the name or path of a model.
        rate: Sample rate of the ends in Hz; an input with a stream of its own may run at another,
            and is resampled. None: that of the input file, or else of the model, or
            else of the devices.
        channels: Channel count of the devices. None: that of the input file, or else one, which is
            played on both speakers.
        block: Samples per channel of a callback. 0: the device decides; None: a hop of the model.
        latency: Latency of the devices: "low" or "high", which they define, or seconds.
        clock: Pace without a device: "real" keeps the pace of the sample rate, "fast" does not
            wait, and has no deadline.
        duration_s: Time in seconds after which the run ends. None: it ends with its file, or never.
        record: Name of a file that records the output. None: there is no recording. Until the end
            it grows beside that name, as NAME.part.wav, and any player opens it.
        overwrite: Whether existing files may be replaced.
        in_channels: Channels of the input: "2" or 2 is channel 2, "1+2" adds two up, "3,4" is
            stereo, "sum" adds all up. None: the first ones.
        out_channels: Channels of the output: "1+2" plays one sound on both. None: the first ones.
        streams: Streams of two devices: "one", "two" with a ring between them that follows both
            clocks, or "auto", which is two unless both surely share a clock.
        wait_for_device: Whether to wait for a device that is gone, until it is back. False: that is
            an error of the run.
        robust: Hops of time (2 to 4) that a worker thread has for the effect, by which the output
            is later; True is the usual number. False: the effect runs in the device's callback.
        ready: Models and board files that are loaded at once, so that `change` to them does not
            pause: no thread runs while torch compiles a model.
        tap_seconds: Seconds of sound and calls that `mark` writes, and other programs of this user
            can read; 20 s of mono at 48 kHz take 7.7 MB. 0: none.
        flight_folder: Folder in which the flight recorder writes.
        flight_on_glitch: Whether it also writes when a call was late, failed, or lost sound: at
            most once a minute, and 10 times or 200 MB in all; and what cut-off runs have left.
        told: Function that gets every event, in the thread in which it happens.
        cards: Object that finds and opens the sound devices. None: PortAudio.

    Attributes:
        events: What happened to the run so far.
        errands: What other threads want done in the main thread, while that is in `wait`.

    Raises:
        UsageError: If a setting is out of range, or the text of an end means no end.
        ModelError: If there is no such model, or it breaks the contract.
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
        in_channels: str | int | None = None,
        out_channels: str | int | None = None,
        streams: str = "auto",
        wait_for_device: bool = True,
        robust: bool | int = False,
        ready: Sequence[str | Path] = (),
        tap_seconds: float = 20.0,
        flight_folder: str | Path = ".",
        flight_on_glitch: bool = False,
        told: Callable[[Event], None] | None = None,
        cards: Cards | None = None,
    ) -> None:
        wishes = Wishes(
            rate, channels, block, latency, clock, duration_s, record, overwrite,
            in_channels, out_channels, streams, wait_for_device, robust, tap_seconds,
            flight_folder, flight_on_glitch,
        )  # fmt: skip
        start = parse_end(source, "input") if isinstance(source, str) else source
        end = parse_end(sink, "output") if isinstance(sink, str) else sink
        if record is not None and isinstance(end, FileEnd):
            raise WishError("record", record, "the sink is a file, which holds the same sound")
        super().__init__(Processing(effect, ready))
        self._setup = Setup(start, end, self._processing, wishes, cards or PortAudio(), self.tell)
        self.events: list[Event] = []
        self._told, self._seen = told, 0
        self.errands = Errands()
        self._stop, self._ended = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._open: Run | None = None
        self._how = "running"
        self._fault: Exception | None = None

    def __enter__(self) -> Self:
        """Open the ends and start the run.

        Raises:
            DeviceError: If a device is missing, or cannot be opened with these settings.
            AudioError: If a file cannot be read or written.
            UsageError: If this `Live` has run before.
        """
        if self._open is not None:
            raise UsageError("a Live runs once: make a new one for the next run")
        with ExitStack() as stack:
            self._open = open_run(self._setup, self._stop, stack)
            work = (self._open, stack.pop_all())
        run = self._run
        self._thread = threading.Thread(target=run, args=work, daemon=True, name="rtdenoise-live")
        self._thread.start()
        atexit.register(self.stop)  # of a program that never leaves the block
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        atexit.unregister(self.stop)
        try:
            self._raise_fault()
        except Exception as fault:
            if error is None:
                raise
            error.add_note(f"The run had failed as well: {fault}")

    def _run(self, run: Run, stack: ExitStack) -> None:
        """Drive until the run is over, then close all; keep an error for `wait` and `__exit__`.

        An error of the drive does not reach *stack*, so that a recording up to then is kept.
        """
        faults = []
        try:
            with stack:
                try:
                    run.drive()
                except Exception as fault:
                    faults.append(fault)
                    if run.flights is not None:
                        run.flights.failed(fault)
                self._how = "stopped" if self._stop.is_set() else "complete"
        except Exception as fault:
            faults.append(fault)
        if faults:
            self._how, self._fault = "failed", faults[0]
            if (recorder := run.recording.last) is not None:
                recorder.note_where()
                run.recording.notes.extend(recorder.notes)
        self._ended.set()

    def tell(self, event: Event) -> None:
        """Keep an event, with the time of the run, and pass it on."""
        if (run := self._open) is not None:
            event = replace(event, at_s=round(run.session.frames / run.session.rate, 3))
        self.events.append(event)
        if run is not None and run.tap is not None:
            run.tap.note({"kind": event.kind, "text": event.text})
        if self._told is not None:
            self._told(event)

    def _raise_fault(self) -> None:
        """Raise the error of the run, once."""
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run is over.

        Args:
            timeout: Longest time to wait in seconds. None: there is no limit.

        Returns:
            Whether the run is over.

        Raises:
            DeviceError: If a device is gone, and `wait_for_device` is False.
            AudioError: If a file could not be read to its end, or could not be written.
        """
        self._begun()
        end_s = None if timeout is None else time.monotonic() + timeout
        while not self._ended.is_set():
            self.errands.run()
            left_s = WAIT_S if end_s is None else min(WAIT_S, end_s - time.monotonic())
            if left_s <= 0:
                return False
            self._ended.wait(left_s)
        self._raise_fault()
        return True

    def stop(self, wait: bool = True) -> None:
        """End the run, and *wait* until all is closed; a second call changes nothing."""
        self._stop.set()
        if wait and self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _begun(self) -> Run:
        """Return the run, or raise if it has not started."""
        if self._open is None:
            raise UsageError("this Live has not started: it runs inside its `with` block")
        return self._open

    def call(self) -> int | None:
        """Return the number of the call of the effect that runs; None: none runs."""
        if self._open is None:
            return -1  # the ends are being opened, and the effect is warmed up
        session = self._open.session
        return session.callbacks if session.inside else None

    def status(self, since: int | None = None) -> dict[str, Any]:
        """Return the numbers of now: peaks in dB, hop times in ms, xruns.

        Args:
            since: The first callback whose peaks count: the `callbacks` of an earlier status, so
                that each reader has its own. None: that of the last call without it.
        """
        run = self._begun()
        numbers = run.session.status(self._seen if since is None else since)
        if since is None:
            self._seen = numbers["callbacks"]
        if run.ring is not None:
            numbers["xruns"] += run.ring.xruns + run.ring.underruns + run.ring.overruns
        return numbers

    def silence(self) -> Silence | None:
        """Return the digital silence that a device as the input gives, once it lasts for 5 s.

        None: there is sound, or the input is no device.
        """
        inlet = self._begun().inlet
        return inlet.silence() if inlet else None

    def summary(self) -> dict[str, Any]:
        """Return the counts and times of the whole run, for people and programs.

        `ended` is "running", "complete", "stopped" (by `stop`, or on leaving) or "failed".
        `recording` is None, or says where the last recording is and where it is silent;
        `recordings` has those that are finished. `clock_ring` has the counts of the ring between
        two devices, and `worker` the hops and the priority of `robust`'s workers; None: no such.
        """
        run = self._begun()
        numbers = run.session.summary()
        if run.ring is not None:
            numbers["xruns_in"] += run.ring.xruns
        return {
            "ended": self._how,
            **numbers,
            "clock_ring": run.ring and run.ring.summary(),
            "worker": run.workers and run.workers.summary(),
            "latency_ms": self.latency_ms,
            "recording": run.recording.summary(),
            "recordings": run.recording.ended,
        }

    def notes(self) -> list[str]:
        """Return the sentences that a user should read at once, each of them one time."""
        run = self._open
        if run is None:
            return []
        return [run.notes.popleft() for _ in range(len(run.notes))] + run.recording.told()

    def mark(self, text: str = "") -> str | None:
        """Mark this moment as an event, and write the last seconds of the run as a flight.

        Args:
            text: What the event and the flight are to say about this moment.

        Returns:
            The name of the flight's folder. None: the run keeps no sound, see `tap_seconds`.

        Raises:
            AudioError: If the flight cannot be written.
        """
        recorder = self._begun().flights
        self.tell(Event("mark", f"mark: {text}" if text else "mark"))
        return None if recorder is None else str(recorder.mark(text))

    @property
    def tap(self) -> str | None:
        """The name by which a `TapReader` finds the last seconds of this run. None: it has none."""
        run = self._begun()
        return None if run.tap is None else run.tap.name

    @property
    def ends(self) -> tuple[str, str]:
        """The names of the input and the output, for people: a device, a file or `null`."""
        return self._begun().ends

    @property
    def latency_ms(self) -> dict[str, float | None]:
        """The parts of the latency in ms, in the order of the sound. None: it is not reported."""
        run = self._begun()
        return run.latency_ms | {STAGE: 1e3 * run.session.stage.latency / run.session.rate}

    @property
    def waiting(self) -> bool:
        """Whether a device is gone, and the run waits until it is back."""
        kinds = [event.kind for event in self.events if event.kind in ("lost", "waiting", "back")]
        return bool(kinds) and kinds[-1] != "back"

    @property
    def form(self) -> dict[str, int]:
        """The rate in Hz, the channels, the samples of a block, and the samples of the delay."""
        run = self._begun()
        return {
            "rate": run.session.rate,
            "channels": run.session.rows,
            "block": run.plan.block,
            "delay_samples": run.session.stage.latency + run.plan.added,
        }

    def change(self, effect: Any) -> bool:
        """See `Console.change`; the change is an event, and so is a rise of the delay."""
        if is_board(effect):
            effect = self.errands.do(partial(open_board, effect))
        run = self._begun()
        switch, before = run.session.stage, run.session.stage.due
        heard = super().change(effect)
        if run.flights is not None:
            run.flights.keep_facts()
        runs = self.model or f"board: {', '.join(self.board or ()) or 'empty'}"
        self.tell(Event("changed", f"{runs} runs{'' if heard else ' when sound comes'}"))
        if more := switch.due - before:
            self.tell(Event("delay", f"the delay is {1e3 * more / run.session.rate:.1f} ms more"))
        return heard

    def record(self, path: str | Path | None, overwrite: bool = False) -> dict[str, Any]:
        """Begin a recording of the output, or end the one that runs, while the sound goes on.

        Args:
            path: Name of the file, as for `Live`. None: the recording that runs ends.
            overwrite: Whether an existing file may be replaced.

        Returns:
            The summary of the recording that begins or has ended.

        Raises:
            UsageError: If one runs already, none runs, or the output is a file anyway.
            AudioError: If the file cannot be written or finished.
            DeviceError: If another run records to it.
        """
        recording = self._begun().recording
        if isinstance(self._setup.sink, FileEnd):
            raise UsageError("the output is a file, which holds all of the sound already")
        summary = recording.end() if path is None else recording.claim(path, overwrite)
        said = "the recording has ended" if path is None else "it is recorded from now on"
        self.tell(Event("record", f"{said}: {printable(summary['file'])}"))
        return summary

    @property
    def recording(self) -> dict[str, Any] | None:
        """The summary of the recording that runs. None: nothing is being recorded."""
        recorder = self._begun().recording.now
        return None if recorder is None else recorder.summary()
