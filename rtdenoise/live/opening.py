"""From two ends to a run: opens what is needed, agrees on a plan, and says who drives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from ..files.sound import SoundReader, SoundWriter
from .devices import Cards, Device, Kind, Wiring
from .drive import Drive, quiet_interpreter
from .ends import DeviceEnd, End, FileEnd
from .negotiate import Offer, Plan, Wishes, latency_parts, negotiate
from .player import Player
from .processing import Processing
from .recorder import Recorder
from .session import Session


@dataclass(frozen=True)
class Setup:
    """The ends, and what stands between them.

    Attributes:
        source: The input.
        sink: The output.
        processing: The effect.
        wishes: What the user asks for.
        cards: Who knows the sound devices.
    """

    source: End
    sink: End
    processing: Processing
    wishes: Wishes
    cards: Cards


@dataclass(frozen=True)
class Run:
    """A setup that is open.

    Attributes:
        session: Its callback, with what was counted.
        latency_ms: The parts of its delay; see `negotiate.latency_parts`.
        drive: Call it to wait until the run is over; without a device it does the work as well.
    """

    session: Session
    latency_ms: dict[str, float | None]
    drive: Callable[[], None]


def open_run(setup: Setup, stop: threading.Event, stack: ExitStack) -> Run:
    """Open both ends and all between them; a device begins to call at once.

    Args:
        setup: What to open.
        stop: Set it to end the run.
        stack: Gets what is open, in the order in which it must be closed.

    Raises:
        DeviceError: a device is not there, or cannot be opened as wanted.
        AudioError: a file cannot be read or written.
        UsageError: wishes that the ends cannot fulfil.
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
    devices_ms: tuple[float | None, float | None] = (0.0, 0.0)
    work = partial(drive.pump, plan.block, plan.paced)
    if mic is not None or speakers is not None:
        channels = (plan.inputs, plan.outputs)
        wiring = Wiring(mic, speakers, plan.rate, plan.block, channels, setup.wishes.latency)
        stream = setup.cards.open(wiring, drive.called)
        stack.callback(stream.close)
        work = partial(drive.watch, stream, " or ".join(map(str, wiring.devices)))
        devices_ms = stream.latency_ms()
    return Run(session, latency_parts(plan, session.stage.latency, devices_ms), work)


def _device(setup: Setup, end: End, kind: Kind) -> Device | None:
    return setup.cards.find(end.wanted, kind) if isinstance(end, DeviceEnd) else None


def _offer(
    setup: Setup, device: Device | None, kind: Kind, reader: SoundReader | None = None
) -> Offer:
    """What an end can do: a file that is played, a device, or else anything."""
    if reader is not None:
        return Offer(reader.name, reader.channels, reader.rate, is_file=True)
    if device is None:
        return Offer()
    most = device.inputs if kind == "input" else device.outputs
    takes = partial(setup.cards.takes, device, kind)
    return Offer(str(device), most, device.rate, takes, is_device=True)


def _recorder(setup: Setup, plan: Plan, most: int | None, stack: ExitStack) -> Recorder | None:
    """The file for what is heard, if one is wanted; it is whole when *stack* is left."""
    path = setup.sink.path if isinstance(setup.sink, FileEnd) else setup.wishes.record
    if path is None:
        return None
    writer = SoundWriter(path, plan.rate, plan.rows, overwrite=setup.wishes.overwrite)
    recorder = Recorder(stack.enter_context(writer), plan.rows, plan.rate, most)
    stack.callback(recorder.close)
    return recorder
