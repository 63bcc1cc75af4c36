"""The versions of a recording: what each model or board makes of it, with scores, speed and delay.

`compare_page.py` makes a page of them. The input is one of the versions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from ..audio import Samples, db_to_gain, fit_channels
from ..chain.effect import Effect
from ..core.counters import Counters
from ..core.kernels import all_finite, clean
from ..core.loudness import integrated
from ..core.stream import Stream
from ..errors import AudioError, ModelError, Problem, UsageError
from ..files.ends import open_input
from ..live.processing import Processing
from .bench import paced
from .quality import RATE_HZ, dnsmos, installed
from .timing import Timing, timing

INPUT = "input"
PACED_S = 2.0  # of blocks at their times, which take as long
LOUDNESS_LUFS = -23.0  # EBU R 128
HEARD = 2  # channels that a browser plays as they are; more of them are mixed to one


@dataclass(frozen=True)
class Part:
    """A part of a recording.

    Attributes:
        name: Name of the recording, for people.
        audio: Its samples, (channels, samples), finite.
        rate: Sample rate in Hz.
        start_s: Where the part begins in the recording, in seconds.
        whole_s: Length of the recording in seconds.
        warnings: Sentences about what could not be read as it is.
    """

    name: str
    audio: Samples
    rate: int
    start_s: float
    whole_s: float
    warnings: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """The length of the part in seconds."""
        return int(self.audio.shape[1]) / self.rate


@dataclass(frozen=True)
class Candidate:
    """What a version is made by.

    Attributes:
        name: Name of the model or of the board.
        kind: "model" or "board".
        make: Function that makes the effect; it is called once for files and once for live sound.
    """

    name: str
    kind: str
    make: Callable[[], Effect]


@dataclass(frozen=True)
class Version:
    """A part as it was recorded, or as a model or a board gives it.

    Attributes:
        name: Name of the model or of the board, or `INPUT`.
        kind: "model", "board" or `INPUT`.
        audio: The samples that are heard, (1 or 2 channels, samples).
        lufs: Their loudness; -inf if they are silent.
        scores: DNSMOS at equal loudness by name; empty if it is not installed or all is silent.
        speed_x: Seconds of sound that a second of work on one core makes. None: it is the input.
        hops: Times of paced blocks of a hop. None: it is the input, or cannot run live.
        delay_ms: What it adds to the delay of the devices in live sound, in ms. None: likewise.
    """

    name: str
    kind: str
    audio: Samples
    lufs: float
    scores: dict[str, float] = field(default_factory=dict)
    speed_x: float | None = None
    hops: Timing | None = None
    delay_ms: float | None = None

    @property
    def gain_db(self) -> float | None:
        """The gain in dB that brings it to `LOUDNESS_LUFS`. None: it is silent."""
        return LOUDNESS_LUFS - self.lufs if math.isfinite(self.lufs) else None

    def as_dict(self) -> dict[str, Any]:
        """Return all but the samples, for JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "lufs": self.lufs if math.isfinite(self.lufs) else None,
            "dnsmos": self.scores or None,
            "speed_x": self.speed_x,
            "hops": self.hops.as_dict() | {"held_up": self.hops.held_up} if self.hops else None,
            "delay_ms": self.delay_ms,
        }


def read_part(path: str | Path, start_s: float, seconds: float) -> Part:
    """Read a part of a recording; `-` is stdin.

    Raises:
        AudioError: If it cannot be read.
        UsageError: If the part begins after the end.
    """
    with open_input(path) as reader:
        rate, blocks, at, warnings = reader.rate, list[Samples](), 0, list(reader.warnings)
        first = round(start_s * rate)
        last = first + max(1, round(seconds * rate))
        try:
            for block in reader:
                blocks.append(block[:, max(0, first - at) : max(0, last - at)].copy())
                at += block.shape[1]
                if at >= last:
                    break
        except AudioError as error:
            if error.problem is not Problem.PARTIAL:
                raise
            warnings.append(str(error))
        audio = np.concatenate([np.zeros((reader.channels, 0), np.float32), *blocks], axis=1)
        if not audio.shape[1]:
            raise UsageError(
                f"the part begins at {start_s:g} s, and {reader.name} has {at / rate:.2f} s"
            )
        if bad := clean(audio, audio):
            warnings.append(f"{bad} NaN or infinite samples were replaced by silence")
        return Part(
            reader.name, audio, rate, start_s, max(at / rate, reader.seconds), tuple(warnings)
        )


def as_recorded(part: Part) -> Version:
    """Return the version that is the input itself."""
    audio = _heard(part.audio)
    lufs = integrated(audio, part.rate)
    return Version(INPUT, INPUT, audio, lufs, _scores(audio, lufs, part.rate))


def processed(part: Part, candidate: Candidate) -> Version:
    """Return the version that *candidate* makes of *part*.

    Raises:
        ModelError: If a net failed.
        AudioError: If the effects give NaN, or cannot process these channels or this rate.
    """
    effect, channels = candidate.make(), part.audio.shape[0]
    stream, counters = Stream(part.rate, channels), Counters()
    with effect.one_thread():
        effect.warm_up(channels)
        start = time.perf_counter()
        out = np.concatenate(list(effect.render([part.audio], stream, counters)), axis=1)
        elapsed_s = time.perf_counter() - start
    if counters["failed"] or not all_finite(out[None]):
        raise (AudioError if isinstance(counters.fault, AudioError) else ModelError)(
            f"{candidate.name} failed on {part.name} ({counters.why()})", Problem.NET_FAILED
        )
    audio = _heard(out)
    lufs = integrated(audio, part.rate)
    scores = _scores(audio, lufs, part.rate)
    speed_x = part.seconds / max(elapsed_s, 1e-9)
    return Version(
        candidate.name, candidate.kind, audio, lufs, scores, speed_x, *_live(part, candidate)
    )


def _heard(audio: Samples) -> Samples:
    """Return the channels that are played: all, or their mean if a browser has no place for all."""
    return fit_channels(audio, 1) if audio.shape[0] > HEARD else audio


def _scores(audio: Samples, lufs: float, rate: int) -> dict[str, float]:
    """Return the mean of DNSMOS over the channels of *audio* at equal loudness."""
    if not (installed() and math.isfinite(lufs)):
        return {}
    level = audio * np.float32(db_to_gain(LOUDNESS_LUFS - lufs))
    rows = [dnsmos(soxr.resample(row, rate, RATE_HZ)) for row in level]
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _live(part: Part, candidate: Candidate) -> tuple[Timing | None, float | None]:
    """Return the times of hops at their pace, and the delay in ms; None if it cannot run live."""
    processing, channels = Processing(candidate.make()), part.audio.shape[0]
    block = round(processing.pace.period_s * part.rate)
    try:
        stage = processing.effect.stage(Stream(part.rate, channels, block))
    except UsageError:
        return None, None

    def prepare() -> None:
        processing.effect.prepare_thread()
        processing.effect.warm_up(channels)

    repeated = np.tile(part.audio, 2 + 2 * block // part.audio.shape[1])
    times_s = paced(stage, repeated[:, : 10 * part.rate + 2 * block], PACED_S, prepare)
    return (
        timing(candidate.name, times_s, block / part.rate),
        1e3 * (block + stage.latency) / part.rate,
    )
