"""A rehearsal: live sound for a few seconds, as `Live` opens it, with a model, and without noise.

The model gets a test voice instead of the microphone, so that it works as hard in a quiet room as
in a loud one. The speakers get a short chirp instead of what the model gives, so that nothing
howls. The microphone is recorded, and searched for the chirp.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..audio import Samples, gain_to_db
from ..chain.effect import Effect
from ..core.counters import Counters
from ..core.stage import Stage
from ..core.stream import Stream
from ..live.devices import Cards
from ..live.ends import DeviceEnd, End
from ..live.live import Live
from .loop import chirp, find
from .timing import Timing, Verdict
from .verify import voice

SETTLE_S = (
    0.5  # of sound, until the driver has filled its buffers; what is lost then is not counted
)
LOOK_S = 0.02  # time between two looks at the run
PATIENCE_S = 10.0  # beyond the length of the sound, until a device that is too slow is given up
VOICE_S = 2.0
SLOW = 0.9  # of real time: a device that takes less sound than this is starved


@dataclass(frozen=True)
class Setting:
    """The ends of a rehearsal, and how they are opened.

    Attributes:
        source: End that is the input.
        sink: End that is the output.
        rate: Sample rate in Hz. None: that of the model, or else of the devices.
        channels: Channel count of the devices. None: one, which is played on both speakers.
        block: Samples per channel of a callback. 0: the device decides; None: a hop of the model.
        latency: Latency of the devices: "low" or "high", which they define, or seconds.
        robust: Hops of time that a worker has for the effect; see `Live`.
    """

    source: End
    sink: End
    rate: int | None = None
    channels: int | None = None
    block: int | None = None
    latency: str | float = "low"
    robust: bool | int = False


@dataclass(frozen=True)
class Trial:
    """The result of a rehearsal.

    Attributes:
        model: Name or path of the model.
        setting: How the ends were opened.
        rate: Sample rate of the run in Hz.
        seconds: Length of the sound in seconds.
        pace: Seconds of sound that went through in a second; a sound card has 1.
        hops: Times of the hops against their deadline.
        late: Hops that took longer than their deadline.
        failed: Hops where the model raised or gave NaN.
        lost_in: Blocks with an overflow or underflow of the input, as the driver reports it.
        lost_out: The same of the output.
        silent: Blocks with silence in them, because a worker was late.
        silent_s: Length of that silence in seconds.
        latency_ms: The parts of the latency in ms; None where the driver does not know.
        model_ms: Latency in ms of the model with its window and resamplers.
        input_db: Highest level of the input in dBFS. None: it is digital silence.
        chirp: Whether a chirp was played from one device to another.
        loop: Samples from the output back to the input. None: there is no loop.
        fault: What went wrong in the run. None: nothing did.
    """

    model: str
    setting: Setting
    rate: int
    seconds: float
    pace: float
    hops: Timing
    late: int
    failed: int
    lost_in: int
    lost_out: int
    silent: int
    silent_s: float
    latency_ms: dict[str, float | None]
    model_ms: float
    input_db: float | None
    chirp: bool
    loop: int | None
    fault: str | None

    @property
    def reported_ms(self) -> float | None:
        """The latency in ms of both devices, as the driver reports it. None: it does not."""
        ends = (self.latency_ms.get("device in"), self.latency_ms.get("device out"))
        return None if None in ends else sum(ms for ms in ends if ms is not None)

    @property
    def loop_ms(self) -> float | None:
        """The measured latency of both devices in ms. None: there is no loop."""
        return None if self.loop is None else 1e3 * self.loop / self.rate

    @property
    def total_ms(self) -> float | None:
        """The measured delay in ms from microphone to speakers, with the model; None: no loop."""
        return None if self.loop_ms is None else self.loop_ms + self.model_ms

    @property
    def verdict(self) -> Verdict:
        """Whether this works: "barely" leaves no room for other programs."""
        return "no" if self.reasons else self.hops.verdict or "no"

    @property
    def starved(self) -> bool:
        """Whether sound was lost although the model is fast enough."""
        return self.hops.verdict != "no" and (
            self.lost_in + self.lost_out + self.silent > 0 or self.pace < SLOW
        )

    @property
    def reasons(self) -> list[str]:
        """Why it does not work; empty if it does."""
        reasons = [self.fault] if self.fault else []
        if self.hops.verdict == "no":
            cause = "something holds up the model" if self.hops.held_up else "the model is too slow"
            reasons.append(
                f"{cause}: of 100 hops, one takes {self.hops.p99_ms:.1f} ms or more, and has "
                f"{self.hops.deadline_ms:.1f} ms"
            )
        if self.failed:
            reasons.append(f"the model failed in {self.failed} hops")
        if lost := self.lost_in + self.lost_out:
            reasons.append(
                f"the driver lost {self.lost_in} blocks of the input and {self.lost_out} of the "
                f"output in {self.seconds:.1f} s: {'it crackles' if lost > 1 else 'a click'}"
            )
        if self.silent:
            reasons.append(f"{self.silent} blocks had silence, because the model was late")
        if self.pace < SLOW:
            reasons.append(f"only {100 * self.pace:.0f} % of the sound went through in its time")
        return reasons


@lru_cache
def _voice(rate: int, channels: int) -> Samples:
    """Return the test voice, which takes half a second to make."""
    return voice(rate, VOICE_S, channels)


class Part:
    """The stage of a rehearsal: the model gets the voice, and the output is the chirp.

    Args:
        inner: The stage of the model.
        length: Samples of the input to keep.
        quiet: Whether no chirp is played.
        clock: Function that returns the time in seconds.

    Attributes:
        quiet: Whether no chirp is played.
        times: Sample and time in seconds of the first block after `SETTLE_S`, and of the last one.
        heard: The input, (channels, length).
        begin: Sample at which the chirp begins.
        sent: The chirp.
    """

    def __init__(self, inner: Stage, length: int, quiet: bool, clock: Callable[[], float]) -> None:
        self.inner, self.stream, self.latency = inner, inner.stream, inner.latency
        self._clock = clock
        rate, rows = self.stream.rate, self.stream.channels
        self.quiet = quiet
        self.sent, self.begin = chirp(rate), round(SETTLE_S * rate)
        self._voice = _voice(rate, rows)
        self._out = np.zeros(length, np.float32)
        room = self._out[self.begin : self.begin + len(self.sent)]
        room[:] = 0 if quiet else self.sent[: len(room)]
        self.heard = np.zeros((rows, length), np.float32)
        self._begin()

    def _begin(self) -> None:
        """Begin a run: nothing was heard yet."""
        self.heard[:] = 0
        self.at, self.times = 0, [(0, 0.0), (0, 0.0)]

    def push(self, block: Samples) -> Samples:
        """See `Stage.push`; it allocates no more than a stage does."""
        count, at = block.shape[1], self.at
        self.times[1] = (at, self._clock())
        if at < self.begin:
            self.times[0] = self.times[1]
        kept = self.heard[:, at : at + count]
        kept[:] = block[:, : kept.shape[1]]
        for done in range(0, count, self._voice.shape[1] // 2):
            self._speak(min(count - done, self._voice.shape[1] // 2), at + done)
        out = np.zeros(block.shape, np.float32)
        played = self._out[at : at + count]
        out[:, : len(played)] = played
        self.at += count
        return out

    def _speak(self, count: int, at: int) -> None:
        """Give the model the next *count* samples of the voice."""
        start = at % (self._voice.shape[1] - count)
        self.inner.push(self._voice[:, start : start + count])

    def reset(self) -> None:
        """See `Stage.reset`."""
        self.inner.reset()
        self._begin()


class Rehearsal(Effect):
    """An effect that runs another one on a test voice, and plays a chirp.

    Args:
        effect: The effect to rehearse.
        seconds: Length of the rehearsal in seconds.
        quiet: Whether no chirp is played.
        clock: Function that returns the time in seconds.

    Attributes:
        part: The stage that was made last.
    """

    part: Part

    def __init__(
        self, effect: Effect, seconds: float, quiet: bool, clock: Callable[[], float]
    ) -> None:
        self.effect, self.inner, self.seconds = effect, (effect,), seconds
        self.quiet, self._clock = quiet, clock
        self.own_rate, self.own_hop = effect.own_rate, effect.own_hop

    def stage(self, stream: Stream, counters: Counters | None = None) -> Part:
        """See `Effect.stage`."""
        length = round(self.seconds * stream.rate)
        inner = self.effect.stage(stream, counters)
        self.part = Part(inner, length, self.quiet, self._clock)
        return self.part

    def warm_up(self, channels: int) -> None:
        """See `Effect.warm_up`."""
        self.effect.warm_up(channels)

    def prepare_thread(self) -> None:
        """See `Effect.prepare_thread`."""
        self.effect.prepare_thread()

    def one_thread(self) -> AbstractContextManager[None]:
        """See `Effect.one_thread`."""
        return self.effect.one_thread()


def rehearse(
    model: str,
    effect: Effect,
    setting: Setting,
    seconds: float,
    cards: Cards,
    quiet: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Trial:
    """Run *effect* between the ends for some seconds, and return what happened.

    Args:
        model: Name or path of the model.
        effect: The effect that runs it.
        setting: The ends, and how to open them.
        seconds: Length of what is measured, in seconds of sound.
        cards: Object that finds and opens the sound devices.
        quiet: Whether no chirp is played, so that no loop is found.
        clock: Function that returns the time in seconds, for the pace of the devices.

    Raises:
        DeviceError: If a device is missing, refuses these settings, or stops.
        UsageError: If the ends cannot meet the setting.
    """
    length_s = SETTLE_S + seconds
    rehearsal = Rehearsal(effect, length_s, quiet, clock)
    live = Live(
        setting.source,
        setting.sink,
        rehearsal,
        rate=setting.rate,
        channels=setting.channels,
        block=setting.block,
        latency=setting.latency,
        robust=setting.robust,
        duration_s=length_s,
        cards=cards,
        wait_for_device=False,
    )
    give_up_s = time.monotonic() + 2 * length_s + PATIENCE_S
    with live:
        while live.summary()["seconds"] < SETTLE_S and time.monotonic() < give_up_s:
            live.wait(LOOK_S)
        before = live.summary()
        while not live.wait(LOOK_S) and time.monotonic() < give_up_s:
            pass
    return _trial(model, setting, before, live.summary(), rehearsal.part)


def _trial(
    model: str,
    setting: Setting,
    before: dict[str, Any],
    after: dict[str, Any],
    part: Part,
) -> Trial:
    """Return the result of a run, from its numbers *before* and *after* what is measured."""
    (first, first_s), (last, last_s) = part.times
    seconds = (last - first) / after["rate"]
    times_ms = (after["hop_p50_ms"], after["hop_p99_ms"], after["hop_max_ms"])
    heard = part.heard[:, : part.at]
    ends = (setting.source, setting.sink)
    chirped = not part.quiet and all(isinstance(end, DeviceEnd) for end in ends)
    return Trial(
        model=model,
        setting=setting,
        rate=after["rate"],
        seconds=seconds,
        pace=seconds / (last_s - first_s) if last_s > first_s else 0.0,
        hops=Timing("hop", *times_ms, after["deadline_ms"]),
        late=after["late"] - before["late"],
        failed=after["failed"],
        lost_in=after["xruns_in"] - before["xruns_in"],
        lost_out=after["xruns_out"] - before["xruns_out"],
        silent=after["silent_blocks"] - before["silent_blocks"],
        silent_s=after["silent_seconds"] - before["silent_seconds"],
        latency_ms=after["latency_ms"],
        model_ms=1e3 * part.latency / after["rate"],
        input_db=gain_to_db(float(np.abs(heard).max())) if heard.any() else None,
        chirp=chirped,
        loop=None if not chirped else find(heard, part.sent, part.begin),
        fault=after["fault"],
    )
