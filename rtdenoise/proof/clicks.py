"""Where the sound of a flight is broken: what its calls tell, and what can be heard in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..core.tape import CHANGED, FLAGS, RESTARTED
from ..live.flight import Flight

AROUND_S = 0.005  # time on each side of a border in which the usual steps are looked for
CLICK = 8.0  # times the largest usual step
LEAST_STEP = 0.01  # of full scale
AUDIBLE = 0.003  # -50 dB: an input above this should not be followed by digital silence
TOLD = ("late", "dry", "failed", "nonfinite", "xrun_in", "xrun_out", "clipped", "fault", "missed",
        "unended", "restarted", "changed")  # fmt: skip


@dataclass(frozen=True)
class Glitch:
    """Something that is wrong with the sound of a flight.

    Attributes:
        kind: A flag of a call, or "click" (a step between two calls), or "silence".
        sample: First sample of the flight that it concerns.
        seconds: The same as time.
        call: Number of the call.
    """

    kind: str
    sample: int
    seconds: float
    call: int


def glitches(flight: Flight) -> Iterator[Glitch]:
    """Yield what is wrong with the sound of a flight, in the order of time."""
    rate, late = flight.rate, int(flight.host.get("latency_samples") or 0)
    quiet_before = True
    for call in flight.calls:
        at, frames = int(call["first"]) - flight.first, int(call["frames"])
        kinds = [name for name in TOLD if call["flags"] & FLAGS[name]]
        expected = call["flags"] & (CHANGED | RESTARTED)
        if at and frames and not expected and _click(flight, at):
            kinds.append("click")
        block = flight.wet[:, at : at + frames]
        given = flight.dry[:, max(0, at - late) : max(0, at - late + frames)]
        silent = frames > 0 and not block.any()
        loud = bool(given.size) and float(np.nan_to_num(np.abs(given)).max()) > AUDIBLE
        if silent and loud and not quiet_before:
            kinds.append("silence")
        quiet_before = silent if frames else quiet_before
        for kind in kinds:
            yield Glitch(kind, at, round(at / rate, 6), int(call["number"]))


def _click(flight: Flight, at: int) -> bool:
    """Return whether the step of the wet sound to the sample *at* is none of the sound around."""
    n = max(4, round(AROUND_S * flight.rate))
    around = np.nan_to_num(flight.wet[:, max(0, at - n) : at + n])
    steps = np.abs(np.diff(around, axis=1))
    here = min(n, at) - 1
    step = steps[:, here].copy()
    steps[:, here] = 0
    usual = steps.max(axis=1, initial=0.0)
    return bool((step > np.maximum(LEAST_STEP, CLICK * usual)).any())
