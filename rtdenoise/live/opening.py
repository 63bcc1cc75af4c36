"""The opening of a run: it opens both ends, negotiates a plan, and chooses what drives the run."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DeviceError, Problem, UsageError, printable
from ..files.ends import Input, open_input
from ..sound.pending import same_file
from ..sound.take import Take
from .blackbox import FlightRecorder
from .channels import Inlet
from .clockring import ClockRing
from .devices import Callback, Cards, Device, Kind, Running
from .drive import Drive, quiet_interpreter
from .ends import DeviceEnd, End, FileEnd
from .lost import LostTime
from .negotiate import Offer, Plan, Wishes, latency_parts, negotiate
from .pairing import Pair, open_streams, share_clock
from .player import Player
from .processing import Processing
from .recorder import Recorder
from .recording import Recording
from .session import Session
from .supervisor import Event, Supervisor
from .tap import Tap, open_tap

if TYPE_CHECKING:
    from .robust import Workers

Devices = tuple[Device | None, Device | None]  # input and output
LARGE_BLOCK = 2048  # samples per callback of a device that chooses


@dataclass(frozen=True)
class Setup:
    """The parts of a run that is not open yet.

    Attributes:
        source: End that is the input.
        sink: End that is the output.
        processing: The effect between the ends.
        wishes: The settings that the user asks for.
        cards: Object that finds and opens the sound devices.
        tell: Function that gets what happens to the devices.
    """

    source: End
    sink: End
    processing: Processing
    wishes: Wishes
    cards: Cards
    tell: Callable[[Event], None]


@dataclass
class Run:
    """A run whose ends are open.

    Attributes:
        plan: The form of the run.
        session: The callback and its counts.
        latency_ms: The parts of the latency in ms; see `negotiate.latency_parts`.
        drive: Function that returns when the run is over; without a device, it also calls the
            callback.
        ends: Names of the input and the output, for people.
        recording: What is recorded of the output.
        inlet: The channels of a device that is the input. None: the input is none.
        ring: Ring between two devices with a clock each, another one when a device came back. None:
            there is one stream.
        workers: The devices, if their streams have workers. None: they have none.
        tap: Memory for other processes with the last seconds of the run. None: there is none.
        flights: Writer of these seconds into a folder. None: there is no tap.
        notes: Sentences that the user should read.
    """

    plan: Plan
    session: Session
    latency_ms: dict[str, float | None]
    drive: Callable[[], None]
    ends: tuple[str, str]
    recording: Recording
    inlet: Inlet | None = None
    ring: ClockRing | None = None
    workers: Workers | None = None
    tap: Tap | None = None
    flights: FlightRecorder | None = None
    notes: deque[str] = field(default_factory=deque)


def open_run(setup: Setup, stop: threading.Event, stack: ExitStack) -> Run:
    """Open both ends and all between them; a device begins to call at once.

    Args:
        setup: The parts of the run.
        stop: Event that ends the run when it is set.
        stack: Stack that closes what is open, in the right order.

    Raises:
        DeviceError: If a device is missing, or cannot be opened with these settings.
        AudioError: If a file cannot be read or written.
        UsageError: If the ends cannot meet the user's wishes.
    """
    reader = None
    if isinstance(setup.source, FileEnd):
        reader = stack.enter_context(open_input(setup.source.path))
    mic, speakers = _device(setup, setup.source, "input"), _device(setup, setup.sink, "output")
    source, sink = _offer(setup, mic, "input", reader), _offer(setup, speakers, "output")
    shared = mic is None or speakers is None or share_clock(mic, speakers)
    plan = negotiate(source, sink, setup.processing.pace, setup.wishes, shared)
    session = setup.processing.session(plan)
    player = None
    if reader is not None:
        player = Player(reader)
        stack.callback(player.close)
    limit_s = setup.wishes.duration_s
    recording = stack.enter_context(
        Recording(session, partial(_recorder, setup, plan, session, reader))
    )
    path = setup.sink.path if isinstance(setup.sink, FileEnd) else setup.wishes.record
    if path is not None:
        recording.begin(path, setup.wishes.overwrite)
    samples = None if limit_s is None else round(limit_s * plan.rate)
    inlet = Inlet(plan.in_rows, plan.in_rate or plan.rate)
    session.inlet = inlet if plan.in_rate is None else None  # or else the ring takes the channels
    session.out_rows = plan.out_rows
    drive = Drive(session, player, recording, samples, stop, behind=plan.added)
    stack.enter_context(quiet_interpreter())
    named = (_named(setup.source, mic), _named(setup.sink, speakers))
    pump = partial(drive.pump, plan.block, plan.paced)
    run = Run(plan, session, _parts(plan, session), pump, named, recording, inlet if mic else None)
    if plan.hops:
        run.workers = _workers(setup.cards, plan)
    _open_tap(setup, run, stack)
    if mic is not None or speakers is not None:
        supervisor = _supervisor(setup, run, drive, inlet, (mic, speakers))
        stack.callback(supervisor.close)
        run.drive = supervisor.run
    if run.flights is not None:
        run.flights.start()
        stack.callback(run.flights.stop)
    return run


def _supervisor(setup: Setup, run: Run, drive: Drive, inlet: Inlet, devices: Devices) -> Supervisor:
    """Return what opens the *devices* of a run, and opens them again."""
    found = [devices]  # for the first stream; for another one they are found anew

    def opener(callback: Callback) -> tuple[Running, str]:
        now = found.pop() if found else _found_again(setup, run.plan)
        stream, name = _open_stream(setup, run, inlet, callback, now)
        run.ring = stream.ring if isinstance(stream, Pair) else None
        run.latency_ms = _parts(run.plan, run.session, stream)
        return stream, name

    tell = setup.tell if setup.wishes.wait_for_device else None
    return Supervisor(drive, opener, setup.cards.relist, tell)


def _open_tap(setup: Setup, run: Run, stack: ExitStack) -> None:
    """Open the tap and the flight recorder of a run, if it has them."""
    wishes, plan, settings = setup.wishes, run.plan, setup.processing.settings
    tap = open_tap(run.session, plan.block, wishes.tap_seconds, settings, run.notes.append)
    run.tap = stack.enter_context(tap)

    def facts() -> dict[str, Any]:
        return {
            **setup.processing.facts(),
            "ends": run.ends,
            "block": plan.block,
            "paced": plan.paced,
            "period_s": plan.period_s,
            "latency_ms": run.latency_ms,
        }

    if run.tap is not None:
        folder, on_glitch = wishes.flight_folder, wishes.flight_on_glitch
        run.flights = FlightRecorder(run.tap, facts, folder, on_glitch, run.notes.append)


def _named(end: End, device: Device | None) -> str:
    """Return the name of an end for people: its device or file, or `null`."""
    if isinstance(end, FileEnd):
        return printable(end.path)
    return "null" if device is None else str(device)


def _parts(plan: Plan, session: Session, stream: Running | None = None) -> dict[str, float | None]:
    """Return the parts of the latency in ms, with those of the devices of *stream*."""
    devices_ms = (0.0, 0.0) if stream is None else stream.latency_ms()
    ring_ms = stream.ring.latency_ms if isinstance(stream, Pair) else None
    return latency_parts(plan, session.stage.latency, devices_ms, ring_ms)


def _workers(cards: Cards, plan: Plan) -> Workers:
    """Return *cards* whose streams have workers; other runs need not load what they are made of."""
    from .robust import Workers

    return Workers(cards, plan)


def _found_again(setup: Setup, plan: Plan) -> Devices:
    """Return the devices that the user means in the list of now.

    Raises:
        DeviceError: If a device is missing, or does not take the rate of the run.
    """
    mic, speakers = _device(setup, setup.source, "input"), _device(setup, setup.sink, "output")
    for device, kind, rate in (
        (mic, "input", plan.in_rate or plan.rate),
        (speakers, "output", plan.rate),
    ):
        offer = _offer(setup, device, "input" if kind == "input" else "output")
        if not offer.takes(rate):
            raise DeviceError(f"{offer.name} does not take {rate} Hz, the rate of this run")
    return mic, speakers


def _open_stream(
    setup: Setup, run: Run, inlet: Inlet, callback: Callback, devices: Devices
) -> tuple[Running, str]:
    """Return a stream on *devices*, and their names."""
    plan, session = run.plan, run.session
    speakers = devices[1]
    if speakers is not None:  # the device that took the place of another may have fewer channels
        rows = tuple(tuple(c for c in row if c < speakers.outputs) for row in plan.out_rows)
        plan = replace(plan, out_rows=rows)
        session.out_rows = rows
    latency = setup.wishes.latency
    stream = open_streams(run.workers or setup.cards, plan, devices, latency, inlet, callback)
    return stream, " or ".join(str(device) for device in devices if device)


def _device(setup: Setup, end: End, kind: Kind) -> Device | None:
    """Return the device of *end*, or None if it is no device."""
    return setup.cards.find(end.query, kind) if isinstance(end, DeviceEnd) else None


def _offer(setup: Setup, device: Device | None, kind: Kind, reader: Input | None = None) -> Offer:
    """Return the offer of an end: a file that is played, a device, or else `null`."""
    if reader is not None:
        return Offer(reader.name, reader.channels, reader.rate, is_file=True)
    if device is None:
        return Offer()
    most = device.inputs if kind == "input" else device.outputs
    takes = partial(setup.cards.takes, device, kind)
    return Offer(str(device), most, device.rate, takes, is_device=True)


def _recorder(
    setup: Setup,
    plan: Plan,
    session: Session,
    reader: Input | None,
    path: str | Path,
    overwrite: bool,
) -> Recorder:
    """Return a recorder of the output to *path*, from the next block on."""
    played = setup.source.path if isinstance(setup.source, FileEnd) else None
    if played is not None and same_file(played, path):
        text = f"{printable(path)} is the input itself, which is read while it is written"
        raise UsageError(text, Problem.ITSELF)
    take = Take(path, plan.rate, plan.rows, overwrite, played)
    on_device = isinstance(setup.source, DeviceEnd) or isinstance(setup.sink, DeviceEnd)
    late, lost = session.stage.latency, session.lost_recording
    most = None if reader is None else reader.frames + late - session.frames
    recorder = Recorder(
        take, plan.rows, plan.rate, most,
        late=lambda: session.stage.latency - late,
        overrun=lambda: session.lost_recording - lost,
        # A file that is played waits for a device that is gone, and nothing of it is lost.
        watch=LostTime(plan.rate, plan.block or LARGE_BLOCK) if on_device and not played else None,
    )  # fmt: skip
    file_s = None if most is None else most / plan.rate
    limits = [s for s in (setup.wishes.duration_s, file_s) if s is not None]
    recorder.warn_of_little_room(min(limits, default=None))
    return recorder
