"""The opening of a run: it opens both ends, negotiates a plan, and chooses what drives the run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from ..errors import DeviceError, Problem, UsageError, printable
from ..sound.pending import same_file
from ..sound.reader import SoundReader
from ..sound.writer import SoundWriter
from .devices import Callback, Cards, Device, Kind, Running, Wiring
from .drive import Drive, quiet_interpreter
from .ends import DeviceEnd, End, FileEnd
from .negotiate import Offer, Plan, Wishes, latency_parts, negotiate
from .player import Player
from .processing import Processing
from .recorder import Recorder
from .session import Session
from .supervisor import Event, Supervisor


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


@dataclass(frozen=True)
class Run:
    """A run whose ends are open.

    Attributes:
        session: The callback and its counts.
        latency_ms: The parts of the latency in ms; see `negotiate.latency_parts`.
        drive: Function that returns when the run is over; without a device, it also calls the
            callback.
    """

    session: Session
    latency_ms: dict[str, float | None]
    drive: Callable[[], None]


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
        reader = stack.enter_context(SoundReader(setup.source.path))
    mic, speakers = _device(setup, setup.source, "input"), _device(setup, setup.sink, "output")
    source, sink = _offer(setup, mic, "input", reader), _offer(setup, speakers, "output")
    plan = negotiate(source, sink, setup.processing.pace, setup.wishes)
    session = setup.processing.session(plan)
    player, most = None, None
    if reader is not None:
        player, most = Player(reader), reader.frames + session.stage.latency
        stack.callback(player.close)
    recorder = _recorder(setup, plan, most, stack)
    session.recording = recorder.ring if recorder else None
    limit_s = setup.wishes.duration_s
    samples = None if limit_s is None else round(limit_s * plan.rate)
    drive = Drive(session, player, recorder, samples, stop)
    stack.enter_context(quiet_interpreter())
    parts = _parts(plan, session)
    work: Callable[[], None] = partial(drive.pump, plan.block, plan.paced)
    if mic is not None or speakers is not None:

        def opener(callback: Callback) -> tuple[Running, str]:
            stream, name = _open_stream(setup, plan, callback)
            parts.update(_parts(plan, session, stream))
            return stream, name

        tell = setup.tell if setup.wishes.wait_for_device else None
        supervisor = Supervisor(drive, opener, setup.cards.relist, tell)
        stack.callback(supervisor.close)
        work = supervisor.run
    return Run(session, parts, work)


def _parts(plan: Plan, session: Session, stream: Running | None = None) -> dict[str, float | None]:
    """Return the parts of the latency in ms, with those of the devices of *stream*."""
    devices_ms = (0.0, 0.0) if stream is None else stream.latency_ms()
    return latency_parts(plan, session.stage.latency, devices_ms)


def _open_stream(setup: Setup, plan: Plan, callback: Callback) -> tuple[Running, str]:
    """Return a stream on the devices that the user means, and their names.

    Raises:
        DeviceError: If a device is missing, or does not take the rate of the run.
    """
    mic, speakers = _device(setup, setup.source, "input"), _device(setup, setup.sink, "output")
    for offer in (_offer(setup, mic, "input"), _offer(setup, speakers, "output")):
        if not offer.takes(plan.rate):
            raise DeviceError(f"{offer.name} does not take {plan.rate} Hz, the rate of this run")
    channels = (
        plan.inputs if mic is None else min(plan.inputs, mic.inputs),
        plan.outputs if speakers is None else min(plan.outputs, speakers.outputs),
    )
    wiring = Wiring(mic, speakers, plan.rate, plan.block, channels, setup.wishes.latency)
    return setup.cards.open(wiring, callback), " or ".join(map(str, wiring.devices))


def _device(setup: Setup, end: End, kind: Kind) -> Device | None:
    """Return the device of *end*, or None if it is no device."""
    return setup.cards.find(end.query, kind) if isinstance(end, DeviceEnd) else None


def _offer(
    setup: Setup, device: Device | None, kind: Kind, reader: SoundReader | None = None
) -> Offer:
    """Return the offer of an end: a file that is played, a device, or else `null`."""
    if reader is not None:
        return Offer(reader.name, reader.channels, reader.rate, is_file=True)
    if device is None:
        return Offer()
    most = device.inputs if kind == "input" else device.outputs
    takes = partial(setup.cards.takes, device, kind)
    return Offer(str(device), most, device.rate, takes, is_device=True)


def _recorder(setup: Setup, plan: Plan, most: int | None, stack: ExitStack) -> Recorder | None:
    """Return the recorder of the output, if it is recorded; *stack* closes its file whole."""
    path = setup.sink.path if isinstance(setup.sink, FileEnd) else setup.wishes.record
    if path is None:
        return None
    played = setup.source.path if isinstance(setup.source, FileEnd) else None
    if played is not None and same_file(played, path):
        text = f"{printable(path)} is the input itself, which is read while it is written"
        raise UsageError(text, Problem.ITSELF)
    writer = SoundWriter(path, plan.rate, plan.rows, overwrite=setup.wishes.overwrite, like=played)
    recorder = Recorder(stack.enter_context(writer), plan.rows, plan.rate, most)
    stack.callback(recorder.close)
    return recorder
