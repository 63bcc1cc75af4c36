"""What a machine and its settings mean for live sound: devices, rights, the processor, its load.

A `Finding` states a fact. What to type about it is known to the command line.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

from ..errors import DeviceError
from ..live.devices import Cards, Device, DeviceNameError, Kind
from ..live.ends import DeviceEnd, End
from ..live.negotiate import USUAL_RATES_HZ

BUSY = 0.7  # processes that want to run, for each core
RTKIT = "usr/share/dbus-1/system-services/org.freedesktop.RealtimeKit1.service"
GOVERNORS = "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor"


class Topic(StrEnum):
    """What a finding is about."""

    PORTAUDIO = "PortAudio"
    DEVICES = "devices"
    INPUT = "input"
    OUTPUT = "output"
    CARDS = "sound cards"
    PERMISSION = "permission"
    GOVERNOR = "CPU governor"
    PRIORITY = "real-time rights"
    LOAD = "load"
    MICROPHONE = "microphone"


@dataclass(frozen=True)
class Finding:
    """A fact about this machine.

    Attributes:
        topic: What it is about.
        state: "ok"; "note" if it may disturb live sound; "bad" if there is none with it.
        found: The fact.
    """

    topic: Topic
    state: Literal["ok", "note", "bad"]
    found: str


class Driver(Protocol):
    """The part of `PortAudio` that says what there is."""

    def version(self) -> tuple[str, list[str]]:
        """Return PortAudio's version and the names of its host APIs."""
        ...

    def devices(self) -> list[Device]:
        """Return every device."""
        ...


def driver_findings(driver: Driver) -> Iterator[Finding]:
    """Yield what PortAudio is and sees; nothing follows a finding that is bad."""
    try:
        version, hosts = driver.version()
        devices = driver.devices()
    except DeviceError as error:
        yield Finding(Topic.PORTAUDIO, "bad", str(error))
        return
    yield Finding(Topic.PORTAUDIO, "ok", f"{version} with {', '.join(hosts) or 'no host API'}")
    inputs, outputs = [d for d in devices if d.inputs], [d for d in devices if d.outputs]
    defaults = []
    for kind in ("input", "output"):
        names = [f"[{d.index}] {d.name}" for d in devices if kind in d.default.split()]
        defaults.append(f"default {kind} {names[0] if names else 'none'}")
    yield Finding(
        Topic.DEVICES,
        "ok" if inputs and outputs else "note",
        f"{len(inputs)} with inputs, {len(outputs)} with outputs; {', '.join(defaults)}",
    )


def end_finding(end: End, kind: Kind, cards: Cards, option: str) -> Finding:
    """Return which device an end means, and the rates that it takes.

    Args:
        end: The end, a device or null.
        kind: Whether it is the input or the output.
        cards: Object that finds the sound devices.
        option: The user's name of the end, for a device that is not there.
    """
    topic = Topic.INPUT if kind == "input" else Topic.OUTPUT
    if not isinstance(end, DeviceEnd):
        return Finding(topic, "ok", "null: no device")
    try:
        device = cards.find(end.query, kind)
    except DeviceNameError as error:
        return Finding(topic, "bad", error.worded(option))
    except DeviceError as error:
        return Finding(topic, "bad", str(error))
    rates = [str(rate) for rate in USUAL_RATES_HZ if cards.takes(device, kind, rate)]
    return Finding(
        topic,
        "ok" if rates else "note",
        f"{device}, takes {', '.join(rates) or 'none of the usual rates'} Hz",
    )


def machine_findings(root: Path = Path("/")) -> Iterator[Finding]:
    """Yield what the system allows and how busy it is.

    Args:
        root: Folder in which Linux's files are looked for.
    """
    yield permission(root)
    yield governor(root)
    yield priority(root)
    yield load()


def _may_use(node: Path) -> bool:
    return os.access(node, os.R_OK | os.W_OK)


def permission(root: Path = Path("/"), may_use: Callable[[Path], bool] = _may_use) -> Finding:
    """Return whether this user may use the sound cards.

    Args:
        root: Folder in which Linux's files are looked for.
        may_use: Function that returns whether this user may read and write a file.
    """
    if sys.platform != "linux":
        found = "the system tells it nobody: a microphone without permission gives digital silence"
        return Finding(Topic.PERMISSION, "note", found)
    nodes = sorted((root / "dev/snd").glob("pcm*"))
    if not nodes:
        found = "Linux knows no sound card (/dev/snd has none); a sound server may have its own"
        return Finding(Topic.CARDS, "note", found)
    denied = [node.name for node in nodes if not may_use(node)]
    if denied:
        found = f"this user may not use {', '.join(denied)} in /dev/snd, which group audio may"
        return Finding(Topic.PERMISSION, "bad" if len(denied) == len(nodes) else "note", found)
    return Finding(Topic.PERMISSION, "ok", f"this user may use all {len(nodes)} of /dev/snd/pcm*")


def governor(root: Path = Path("/")) -> Finding:
    """Return how the clock of the processor is governed: a slow one takes time to speed up."""
    found = [file.read_text().strip() for file in sorted(root.glob(GOVERNORS))]
    if not found:
        return Finding(Topic.GOVERNOR, "ok", "the system does not show one")
    told = ", ".join(f"{each} on {found.count(each)} cores" for each in sorted(set(found)))
    return Finding(Topic.GOVERNOR, "ok" if set(found) == {"performance"} else "note", told)


def _may_hurry() -> bool:
    """Return whether a thread of this process gets real-time priority."""
    allowed = []

    def hurry() -> None:
        if sys.platform == "linux":
            try:
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            except OSError:
                return
            allowed.append(True)

    thread = threading.Thread(target=hurry, name="rtdenoise-priority")  # it ends with its priority
    thread.start()
    thread.join()
    return bool(allowed)


def priority(root: Path = Path("/"), may_hurry: Callable[[], bool] = _may_hurry) -> Finding:
    """Return whether audio threads can have real-time priority.

    Args:
        root: Folder in which Linux's files are looked for.
        may_hurry: Function that returns whether a thread of this process gets it.
    """
    if sys.platform != "linux":
        return Finding(Topic.PRIORITY, "ok", "the system gives them to audio threads")
    allowed = may_hurry()
    own = "this user has them" if allowed else "this user has none"
    if (root / RTKIT).exists():
        return Finding(Topic.PRIORITY, "ok", f"{own}; rtkit gives them to PipeWire and PulseAudio")
    return Finding(Topic.PRIORITY, "ok" if allowed else "note", f"{own}, and there is no rtkit")


def load(cores: int | None = None, waiting: float | None = None) -> Finding:
    """Return how many programs want the processor.

    Args:
        cores: Number of cores. None: that of this machine.
        waiting: Processes that wanted to run in the last minute, on average. None: what the system
            says.
    """
    cores = cores or os.cpu_count() or 1
    if waiting is None:
        if not hasattr(os, "getloadavg"):
            return Finding(Topic.LOAD, "ok", "the system does not show it")
        waiting = os.getloadavg()[0]
    told = f"{waiting:.1f} processes want to run on {cores} cores"
    return Finding(Topic.LOAD, "ok" if waiting <= BUSY * cores else "note", told)
