"""A flight: the last seconds of a run as a folder, from which the same samples can be made again.

dry.wav, wet.wav     the sound as float32, the very samples
calls.csv            each call of the stage: its samples, its times, what happened in it
events.jsonl         what happened to the run, a line each
states.npz           the states of the nets, now and then
host.json            the machine, the effect, the form of the run, and why the flight was written
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples, check_channels, check_rate
from ..core.tape import CALL, FLAGS, UNENDED, Calls
from ..errors import AudioError, printable
from ..sound.pending import explain
from ..sound.reader import SoundReader
from ..sound.writer import SoundWriter
from .tap import TapReader

PREFIX = "rtdenoise-flight-"
SCHEMA = 1
MOST_SECONDS = 3600.0
WHOLE_NUMBERS = ("number", "first", "frames", "hops", "dry", "failed")
DAMAGE = (OSError, ValueError, TypeError, KeyError, RecursionError, csv.Error, BadZipFile)
REALS = ("began_s", "seconds", "deadline_s", "mix", "atten_lim_db")


class FlightError(AudioError):
    """An error about a flight that is not there, is damaged, or cannot be written."""


@dataclass
class Flight:
    """The last seconds of a run, from the begin of a call to the end of one.

    Attributes:
        host: Facts about the host, its effect and the run; `flight` in it says why it was written.
        dry: What went into the stage (rows, n) float32.
        wet: What came out, as long.
        calls: The calls, as in `core.tape.CALL`; the first one begins at the first sample.
        events: What happened to the run.
        states: The states of all nets, joined, by the number of the call after which they are.
    """

    host: dict[str, Any]
    dry: Samples
    wet: Samples
    calls: Calls
    events: list[dict[str, Any]]
    states: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def rate(self) -> int:
        """The sample rate in Hz."""
        return int(self.host["rate"])

    @property
    def first(self) -> int:
        """The number of the first sample since the start of the run."""
        return int(self.calls["first"][0]) if len(self.calls) else 0


def taken(reader: TapReader, reason: str, text: str = "", ended: bool = False) -> Flight:
    """Return the flight of a host, as its tap holds it now.

    Args:
        reader: The reader of the tap.
        reason: Why it is taken: "mark", "glitch", "crash" and so on.
        text: What somebody says about it.
        ended: Whether the host is dead; a call that never ended is then part of the flight.
    """
    states, calls = reader.tape.states(), reader.calls()
    first, dry, wet = reader.tape.between(0, reader.position)
    last = first + dry.shape[1]
    ends = calls["first"] + calls["frames"]
    calls = calls[(calls["first"] >= first) & (ends <= last)].copy()
    begin = int(calls["first"][0]) if len(calls) else last
    end = int(calls["first"][-1] + calls["frames"][-1]) if len(calls) else last
    dry, wet = dry[:, begin - first : end - first], wet[:, begin - first : end - first]
    rest = reader.tape.unended() if ended else dry[:, :0]
    if rest.size:
        calls = np.concatenate((calls, _unended(calls, end, rest.shape[1], reader.rate)))
        dry = np.concatenate((dry, rest), axis=1)
        wet = np.concatenate((wet, np.zeros_like(rest)), axis=1)
    restart = reader.tape.restart
    flight = {
        "reason": reason,
        "text": text,
        "unix_s": round(time.time(), 3),
        "first_sample": begin,
        "samples": dry.shape[1],
        "calls": len(calls),
        # Samples since the stage was as new. None: that is not known.
        "since_start": begin - restart if restart <= begin else None,
    }
    host = {"schema": SCHEMA, **reader.host(), "pid": reader.pid, "rate": reader.rate}
    host |= {"channels": reader.rows, "latency_samples": reader.latency, "flight": flight}
    kept = {n: state for n, state in states.items() if n in calls["number"]}
    return Flight(host, dry, wet, calls, reader.events(), kept)


def _unended(calls: Calls, first: int, frames: int, rate: int) -> Calls:
    """Return the record of the call after *calls*, in which the host died."""
    call = np.zeros(1, CALL)
    if len(calls):
        call[:] = calls[-1:]
        call["number"] += 1
        call["began_s"] += call["seconds"]
    call["first"], call["frames"], call["flags"] = first, frames, UNENDED
    call["hops"] = call["dry"] = call["failed"] = 0
    call["seconds"], call["deadline_s"] = 0, frames / rate
    return call


def write(flight: Flight, path: Path) -> Path:
    """Write a flight as a folder, which appears when it is whole, or never.

    Args:
        flight: The flight.
        path: Name of the folder; if there is one, a number follows it.

    Returns:
        The name of the folder.

    Raises:
        FlightError: If it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.mkdir(mode=0o700, parents=True)
        for name, sound in (("dry", flight.dry), ("wet", flight.wet)):
            with SoundWriter(
                part / f"{name}.wav", flight.rate, sound.shape[0], "WAV", "FLOAT"
            ) as w:
                w.write(sound)
        _write_calls(part / "calls.csv", flight.calls)
        _write_states(part / "states.npz", flight.states)
        lines = [json.dumps(event, ensure_ascii=False) + "\n" for event in flight.events]
        (part / "events.jsonl").write_text("".join(lines), encoding="utf-8")
        text = json.dumps(flight.host, indent=1, ensure_ascii=False)
        (part / "host.json").write_text(text + "\n", encoding="utf-8")
        return _named(part, path)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise FlightError(f"no flight was written: {explain(error, path.parent)}") from None
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _named(part: Path, path: Path) -> Path:
    """Give the whole folder *part* its name, or that with a number if there is such a folder."""
    for number in range(1, 1000):
        target = path if number == 1 else path.with_name(f"{path.name}-{number}")
        with suppress(FileExistsError):
            if not target.exists():  # POSIX would replace an empty folder
                return part.rename(target)
    raise FileExistsError(f"{path} exists")


def _write_states(path: Path, states: dict[int, NDArray[np.float32]]) -> None:
    """Write the states of the nets."""
    np.savez(path, **{str(number): state for number, state in states.items()})  # type: ignore[arg-type]


def _read_states(path: Path, calls: Calls) -> dict[int, NDArray[np.float32]]:
    """Return the states of the nets after some of *calls*."""
    with np.load(path, allow_pickle=False) as file:
        states = {int(name): np.asarray(file[name], np.float32).ravel() for name in file.files}
    return {n: states[n] for n in sorted(states) if n in calls["number"]}


def _write_calls(path: Path, calls: Calls) -> None:
    """Write the calls as CSV; times are in seconds since the first one began."""
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow([*WHOLE_NUMBERS, *REALS, "flags"])
        start_s = calls["began_s"][0] if len(calls) else 0.0
        for call in calls:
            flags = [name for name, bit in FLAGS.items() if call["flags"] & bit]
            limit = "" if np.isnan(call["atten_lim_db"]) else repr(float(call["atten_lim_db"]))
            lines.writerow(
                [int(call[name]) for name in WHOLE_NUMBERS]
                + [f"{call['began_s'] - start_s:.6f}", f"{call['seconds']:.6f}"]
                + [f"{call['deadline_s']:.6f}", repr(float(call["mix"])), limit, " ".join(flags)]
            )


def read(path: str | Path) -> Flight:
    """Read a flight, which may come from a stranger.

    Raises:
        FlightError: If it is not there, or is damaged.
    """
    folder = Path(path)
    try:
        host = json.loads((folder / "host.json").read_text(encoding="utf-8"))
        lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
        events = [json.loads(line) for line in lines]
        calls = _read_calls(folder / "calls.csv")
        if not isinstance(host, dict) or host.get("schema") != SCHEMA:
            raise ValueError(f"wanted host.json of schema {SCHEMA}")
        rate, rows = check_rate(host["rate"]), check_channels(host["channels"])
        sounds = [_read_sound(folder / f"{name}.wav", rate, rows) for name in ("dry", "wet")]
        _check(calls, *sounds)
        states = _read_states(folder / "states.npz", calls)
    except FileNotFoundError as error:
        name = printable(error.filename or path)
        raise FlightError(f"{printable(path)} is no flight: {name} is not there") from None
    except DAMAGE as error:
        reason = printable(str(error)[:200])
        raise FlightError(f"the flight {printable(path)} is damaged: {reason}") from None
    events = [event for event in events if isinstance(event, dict)]
    return Flight(host, sounds[0], sounds[1], calls, events, states)


def _read_calls(path: Path) -> Calls:
    """Return the calls in a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    calls = np.zeros(len(rows), CALL)
    for call, row in zip(calls, rows, strict=True):
        for name in WHOLE_NUMBERS:
            call[name] = int(row[name])
        for name in REALS:
            call[name] = float(row[name] or "nan")
        call["flags"] = sum(FLAGS[name] for name in row["flags"].split())
    return calls


def _read_sound(path: Path, rate: int, rows: int) -> Samples:
    """Return the samples (rows, n) of a file of the flight."""
    with SoundReader(path) as reader:
        if (reader.rate, reader.channels) != (rate, rows):
            raise ValueError(f"{path.name} has {reader.channels} channels at {reader.rate} Hz")
        if reader.frames > MOST_SECONDS * rate:
            raise ValueError(f"{path.name} is longer than an hour")
        return np.concatenate([np.zeros((rows, 0), np.float32), *reader], axis=1)


def _check(calls: Calls, dry: Samples, wet: Samples) -> None:
    """Refuse calls that are not the cut of the sound."""
    frames = calls["frames"]
    if (frames < 0).any() or dry.shape != wet.shape or frames.sum() != dry.shape[1]:
        raise ValueError("the calls do not add up to the sound")
    if len(calls) and (np.diff(calls["number"]) != 1).any():
        raise ValueError("the numbers of the calls have holes")
    if len(calls) and (np.diff(calls["first"]) != frames[:-1]).any():
        raise ValueError("the calls do not follow each other")
    if not (np.isfinite(calls["began_s"]) & (np.abs(calls["began_s"]) < 1e6)).all():
        raise ValueError("the times of the calls are none")
