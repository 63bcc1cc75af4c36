"""The tap of a run: its last seconds of sound and its calls, in memory that other processes read.

Session.callback -> Tap -> a file in memory -> TapReader, in any process of the same user

The audio thread pays two copies and one record a call. The file holds, after a header: the facts
about the host as JSON, events as lines of JSON, and a `core.tape.Tape`. On Linux it is in /dev/shm,
so that nothing is written to a disk, for which a thread may have to wait. All of it is written once
before the run, so that no page of it is missing in the audio thread.

The host holds a lock on the file, by which others know that it lives, and removes it at its end.
"""

from __future__ import annotations

import json
import mmap
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from weakref import ref

import numpy as np

from ..audio import Samples, levels_db
from ..core import tape
from ..core.blend import Strength
from ..core.counters import Counters
from ..core.stage import Stage
from ..core.switch import Switch
from ..core.tape import Calls, Form, Tape
from ..errors import printable, reason_of
from ..nets.engine import engines
from .tapfile import (
    EVENT_BYTES,
    HEADER,
    HOST_BYTES,
    MAGIC,
    PAGE,
    SUFFIX,
    TAPE_AT,
    VERSION,
    TapError,
    lives,
    lock,
    mapped,
    parsed,
    read_text,
    tap_folder,
    write_text,
)

STATES = 16_384  # values of the states of all nets a channel; larger ones are not kept
LEAST_BLOCK = 64  # samples a call, if the device decides; of smaller ones fewer seconds are kept
Settings = Callable[[], tuple[Strength, bool]]


class Session(Protocol):
    """What a tap knows of a session (live/session.py)."""

    tap: Tap | None
    rows: int
    counters: Counters
    rate: int
    xruns_in: int
    xruns_out: int
    clipped: int
    faults: int
    gaps: int

    @property
    def stage(self) -> Switch:
        """The switch with the stage that runs."""
        ...


class Tap:
    """The writer of a tap; `begin` and `end` are called by the audio thread, for every block.

    Args:
        rate: Sample rate in Hz.
        rows: Channels of the stage.
        block: Samples per channel of a call. 0: the number changes.
        seconds: Seconds of sound that are kept.
        settings: Function that returns the dry/wet settings and the bypass of the moment, for
            stages that do not tell which they applied.
        folder: Folder of the file. None: `tap_folder()`.

    Attributes:
        name: The name by which a `TapReader` finds it: the path of its file.

    Raises:
        OSError: If there is no room for the file, or it cannot be mapped.
    """

    def __init__(
        self,
        rate: int,
        rows: int,
        block: int,
        seconds: float = 20.0,
        settings: Settings = lambda: (Strength(), False),
        folder: Path | None = None,
    ) -> None:
        samples = max(1, round(seconds * rate))
        form = Form(rows, samples, samples // (block or LEAST_BLOCK) + 16, STATES * rows)
        name = f"rtdenoise-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        path = (folder or tap_folder()) / name
        self.name, self._settings = str(path), settings
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        self._fd = os.open(path, flags, 0o600)
        try:
            lock(self._fd)
            memory = mapped(self._fd, TAPE_AT + form.bytes)
        except OSError:
            self._remove()
            raise
        self.tape = Tape(form, memory[TAPE_AT:])
        self._host = memory[PAGE : PAGE + HOST_BYTES]
        self._events = memory[PAGE + HOST_BYTES : TAPE_AT]
        began_unix_s, clock_s = time.time(), time.perf_counter()
        memory[: HEADER.itemsize].view(HEADER)[0] = (
            MAGIC, VERSION, os.getpid(), rate, rows, form.samples, form.calls, form.states,
            began_unix_s, clock_s,
        )  # fmt: skip
        self._writing = threading.Lock()  # of the facts and the events
        self._stage: ref[Stage] | None = None
        self._before = (0, 0, 0, 0, 0)
        self._began_s, self._open, self._of = 0.0, False, (100.0, np.nan)
        self._strength: Strength | None = None

    def begin(self, block: Samples) -> None:
        """Keep the dry *block* (rows, n) of a call that begins."""
        self._began_s = time.perf_counter()
        self._open = True
        self.tape.begin(block)

    def end(self, out: Samples, session: Session) -> None:
        """Keep the wet block *out* (rows, n) of the call that began, and what happened in it.

        Without `begin`, the stage was not called, and the dry sound is silence.
        """
        stage, began_s = session.stage, self._began_s
        strength, bypass = getattr(stage.stage, "applied", None) or self._settings()
        if strength is not self._strength:
            limit = np.nan if strength.atten_lim_db is None else strength.atten_lim_db
            self._strength, self._of = strength, (strength.mix, limit)
        flags = tape.BYPASS * bypass | tape.RESIDUAL * strength.residual
        if not self._open:
            flags, began_s = flags | tape.MISSED, time.perf_counter()
        self._open = False
        was, newest = stage.stage if self._stage is None else self._stage(), stage.newest
        flags |= tape.CHANGED * (was is not newest)
        self._stage = ref(newest)  # no more, so that another thread frees the old one
        now = (session.xruns_in, session.xruns_out, session.clipped, session.faults, session.gaps)
        if now != self._before:
            for bit, new, old in zip(OWN_FLAGS, now, self._before, strict=True):
                flags |= bit if new != old else 0
            self._before = now
        if flags & tape.RESTARTED:
            self.tape.index[tape.RESTART] = self.tape.index[tape.WRITTEN]
        n = out.shape[1]
        times_s = began_s, time.perf_counter() - began_s, n / session.rate
        counts = session.counters.counts
        wet = np.asarray(out, np.float32)
        self.tape.end(wet, counts, flags, session.stage.latency, times_s, self._of)
        if self.tape.wants_states:
            self.tape.keep_states([net.state for net in engines(stage)])

    def tell(self, facts: dict[str, Any]) -> None:
        """Keep the facts about the host; a later call replaces them. No audio thread calls it."""
        text = json.dumps(facts).encode()
        with self._writing:
            write_text(self._host, text if len(text) <= HOST_BYTES - 8 else b"{}")

    def note(self, event: dict[str, Any]) -> None:
        """Keep an event with the time and the sample of now. No audio thread calls it.

        When there is no room for more, the older half is forgotten.
        """
        at = {"unix_s": round(time.time(), 3), "sample": self.tape.position}
        line = json.dumps(at | event).encode() + b"\n"
        with self._writing:
            kept = read_text(self._events)
            if len(kept) + len(line) > EVENT_BYTES - 8:
                kept = kept[len(kept) // 2 :].partition(b"\n")[2]
            if len(line) <= EVENT_BYTES // 2:
                write_text(self._events, kept + line)

    def reader(self) -> TapReader:
        """Return a reader of this tap."""
        return TapReader(self.name)

    def close(self) -> None:
        """Remove the file; who reads it keeps what was in it."""
        if self._fd >= 0:
            self._remove()

    def _remove(self) -> None:
        fd, self._fd = self._fd, -1
        with suppress(OSError):  # Windows removes no file that a reader maps
            Path(self.name).unlink()
        os.close(fd)


@contextmanager
def open_tap(
    session: Session, block: int, seconds: float, settings: Settings, tell: Callable[[str], None]
) -> Iterator[Tap | None]:
    """Open a tap on a session while a block runs.

    Args:
        session: The session, which has made no call.
        block: Samples per channel of a call. 0: the number changes.
        seconds: Seconds of sound that are kept. 0: there is no tap.
        settings: Function that returns the dry/wet settings and the bypass of the moment.
        tell: Function that gets the reason if no tap can be made; the run goes on without.
    """
    made: Tap | None = None
    if seconds > 0:
        try:
            made = Tap(session.rate, session.rows, block, seconds, settings)
        except OSError as error:
            tell(f"this run has no flight recorder: {reason_of(error)}")
    session.tap = made
    try:
        yield made
    finally:
        session.tap = None
        if made is not None:
            made.close()


# The bits of the numbers that `Tap.end` compares, in their order.
OWN_FLAGS = (tape.XRUN_IN, tape.XRUN_OUT, tape.CLIPPED, tape.FAULT, tape.RESTARTED)


class TapReader:
    """The reader of a tap: what a host processed in its last seconds.

    Reading never disturbs the host, and goes on after its end with what was there then.

    Args:
        name: The name of the tap, as `Tap.name` and `rtdenoise.Live.tap` give it.

    Attributes:
        pid: Number of the host's process.
        rate: Sample rate in Hz.
        rows: Channels of the dry and the wet sound.
        seconds: Seconds of sound that are kept at most.

    Raises:
        TapError: If there is no such tap, or it belongs to another version of rtdenoise.
    """

    def __init__(self, name: str | Path) -> None:
        try:
            with Path(name).open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise TapError(f"cannot read the tap {printable(name)}: {reason_of(error)}") from None
        self._memory = memory = np.frombuffer(mapped, np.uint8)
        if len(memory) < TAPE_AT or bytes(memory[:8]) != MAGIC:
            raise TapError(f"{printable(name)} is no tap of rtdenoise")
        header = memory[: HEADER.itemsize].view(HEADER)[0]
        self.pid, self.rate, self.rows = (int(header[n]) for n in ("pid", "rate", "rows"))
        form = Form(self.rows, *(int(header[name]) for name in ("samples", "calls", "states")))
        if header["version"] != VERSION or len(memory) < TAPE_AT + form.bytes:
            raise TapError(f"the tap {printable(name)} is that of another version of rtdenoise")
        self.name, self.seconds = str(name), form.samples / self.rate
        self.clock_offset_s = float(header["began_unix_s"] - header["clock_s"])
        self.tape = Tape(form, memory[TAPE_AT:])

    @property
    def alive(self) -> bool:
        """Whether the host is running."""
        return Path(self.name).exists() and lives(Path(self.name))

    @property
    def position(self) -> int:
        """The samples per channel that the host has processed so far."""
        return self.tape.position

    @property
    def latency(self) -> int:
        """The samples by which the wet sound is late."""
        return self.tape.latency

    def last(self, seconds: float, aligned: bool = False) -> tuple[Samples, Samples]:
        """Return the dry and the wet sound of the last seconds, each (rows, n) float32.

        Args:
            seconds: Seconds of sound; fewer come if fewer are there.
            aligned: Whether the dry sound is as late as the wet one, so that both show the same.
                False: both are of the same time, as they came in and went out.
        """
        n, late = round(seconds * self.rate), self.latency if aligned else 0
        first, dry, wet = self.tape.between(self.position - n - late, self.position)
        if first == 0 and late:  # before the start was silence
            dry = np.concatenate((np.zeros((self.rows, late), np.float32), dry), axis=1)
            wet = np.concatenate((np.zeros((self.rows, late), np.float32), wet), axis=1)
        n = max(0, min(n, dry.shape[1] - late))
        end = dry.shape[1] - late
        return dry[:, end - n : end], wet[:, wet.shape[1] - n :]

    def calls(self, since: int = 0) -> Calls:
        """Return the calls from the number *since* on, as far as they are kept.

        Returns:
            A structured array with the fields of `core.tape.CALL`; the bits of its `flags` are
            `core.tape.FLAGS`, and `began_s` plus `clock_offset_s` is the time of day.
        """
        return self.tape.calls(since)

    def levels(self, seconds: float) -> dict[str, float]:
        """Return the levels of the last seconds in dB: `dry_peak`, `dry_rms`, `wet_peak` and so on.

        Silence has -120 dB.
        """
        found = {}
        for name, sound in zip(("dry", "wet"), self.last(seconds), strict=True):
            found[f"{name}_peak"], found[f"{name}_rms"] = levels_db(sound)
        return found

    def host(self) -> dict[str, Any]:
        """Return the facts about the host; empty before it has told them."""
        with suppress(ValueError):
            facts = json.loads(read_text(self._memory[PAGE : PAGE + HOST_BYTES]))
            return facts if isinstance(facts, dict) else {}
        return {}

    def events(self) -> list[dict[str, Any]]:
        """Return the events that are kept, the oldest first."""
        return list(parsed(read_text(self._memory[PAGE + HOST_BYTES : TAPE_AT])))
