"""The opening of a run: it opens both ends, negotiates a plan, and chooses what drives the run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

from ..errors import DeviceError, Problem, UsageError, printable
from ..files.ends import Input, open_input
from ..sound.pending import same_file
from ..sound.take import Take
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
from .session import Session
from .supervisor import Event, Supervisor

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
        session: The callback and its counts.
        latency_ms: The parts of the latency in ms; see `negotiate.latency_parts`.
        drive: Function that returns when the run is over; without a device, it also calls the
            callback.
        ends: Names of the input and the output, for people.
        recorder: The recorder of the output. None: it is not recorded.
        inlet: The channels of a device that is the input. None: the input is none.
        ring: Ring between two devices with a clock each, another one when a device came back. None:
            there is one stream.
    """

    session: Session
    latency_ms: dict[str, float | None]
    drive: Callable[[], None]
    ends: tuple[str, str]
    recorder: Recorder | None = None
    inlet: Inlet | None = None
    ring: ClockRing | None = None


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
    player, most = None, None
    if reader is not None:
        player, most = Player(reader), reader.frames + session.stage.latency
        stack.callback(player.close)
    limit_s = setup.wishes.duration_s
    recorder = _recorder(setup, plan, session, most, stack)
    samples = None if limit_s is None else round(limit_s * plan.rate)
    inlet = Inlet(plan.in_rows, plan.in_rate or plan.rate)
    session.inlet = inlet if plan.in_rate is None else None  # or else the ring takes the channels
    session.out_rows = plan.out_rows
    drive = Drive(session, player, recorder, samples, stop)
    stack.enter_context(quiet_interpreter())
    named = (_named(setup.source, mic), _named(setup.sink, speakers))
    pump = partial(drive.pump, plan.block, plan.paced)
    run = Run(session, _parts(plan, session), pump, named, recorder, inlet if mic else None)
    if mic is not None or speakers is not None:
        found = [(mic, speakers)]  # for the first stream; for another one they are found anew

        def opener(callback: Callback) -> tuple[Running, str]:
            devices = found.pop() if found else _found_again(setup, plan)
            stream, name = _open_stream(setup, plan, session, inlet, callback, devices)
            run.ring = stream.ring if isinstance(stream, Pair) else None
            run.latency_ms = _parts(plan, session, stream)
            return stream, name

        tell = setup.tell if setup.wishes.wait_for_device else None
        supervisor = Supervisor(drive, opener, setup.cards.relist, tell)
        stack.callback(supervisor.close)
        run.drive = supervisor.run
    return run


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


def _found_again(setup: Setup, plan: Plan) -> tuple[Device | None, Device | None]:
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
    setup: Setup,
    plan: Plan,
    session: Session,
    inlet: Inlet,
    callback: Callback,
    devices: tuple[Device | None, Device | None],
) -> tuple[Running, str]:
    """Return a stream on *devices*, and their names."""
    speakers = devices[1]
    if speakers is not None:  # the device that took the place of another may have fewer channels
        rows = tuple(tuple(c for c in row if c < speakers.outputs) for row in plan.out_rows)
        plan = replace(plan, out_rows=rows)
        session.out_rows = rows
    stream = open_streams(setup.cards, plan, devices, setup.wishes.latency, inlet, callback)
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
    setup: Setup, plan: Plan, session: Session, most: int | None, stack: ExitStack
) -> Recorder | None:
    """Return the recorder of the output, if it is recorded; *stack* closes its file whole."""
    path = setup.sink.path if isinstance(setup.sink, FileEnd) else setup.wishes.record
    if path is None:
        return None
    played = setup.source.path if isinstance(setup.source, FileEnd) else None
    if played is not None and same_file(played, path):
        text = f"{printable(path)} is the input itself, which is read while it is written"
        raise UsageError(text, Problem.ITSELF)
    take = Take(path, plan.rate, plan.rows, setup.wishes.overwrite, played)
    on_device = isinstance(setup.source, DeviceEnd) or isinstance(setup.sink, DeviceEnd)
    recorder = Recorder(
        take, plan.rows, plan.rate, most,
        overrun=lambda: session.lost_recording,
        # A file that is played waits for a device that is gone, and nothing of it is lost.
        watch=LostTime(plan.rate, plan.block or LARGE_BLOCK) if on_device and not played else None,
    )  # fmt: skip
    session.recording = stack.enter_context(recorder).ring
    file_s = None if most is None else most / plan.rate
    limits = [s for s in (setup.wishes.duration_s, file_s) if s is not None]
    recorder.warn_of_little_room(min(limits, default=None))
    return recorder
