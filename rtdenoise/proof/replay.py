"""A flight again: the same blocks through the same effect, and what is different.

The recorded flags decide which hops are dry, and not the clock, so that a machine of another speed
gives the same samples. The state of the stage at the begin of a flight is known only if that is the
begin of the run. An effect that the run changed to began as new with the call that is marked so,
and is compared from where it was heard alone. Otherwise silence brings the stage to the same place
in its hops and resamplers, and its nets get the states that the flight kept of them as soon as
there is one. The comparison begins then, or when effects without a net should have forgotten what
was before.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from math import gcd, inf, lcm
from typing import Any

import numpy as np

from ..audio import Samples
from ..chain.board import Board
from ..chain.effect import Blended, Denoise, DryWet, Effect
from ..core import tape
from ..core.blend import Strength
from ..core.counters import Counters
from ..core.stage import Delayed
from ..core.stream import Stream
from ..core.switch import FADE_S, WARM_S
from ..live.flight import Flight
from ..live.session import Session
from ..nets.engine import Engine, engines
from .clicks import Glitch, glitches

SAME = 1e-4  # of full scale; a difference that nobody hears
FORGOTTEN_S = 5.0  # after this time effects should remember nothing from before the flight
SETTLED_S = 0.1  # windows, overlaps and resamplers are full after this time and the latency
LONGEST_LEAD_S = 60.0


@dataclass
class Replayed:
    """What a replay found.

    Attributes:
        same: Whether no difference after `compared_from` is more than `SAME`.
        exact: Whether the flight begins where the stage was as new, so that all can be compared.
        compared_from: First sample of the flight that is compared.
        largest: The largest difference from there on, of full scale.
        first_difference: First sample from there on that differs by more than `SAME`. None: none.
        call: Number of the call that this sample is in.
        calls: Calls of the flight.
        uncertain: Calls whose dry or failed hops were others than those of the flight.
        seconds: Length of the flight.
        recorded_ms: 50th and 99th percentile and maximum of what the calls took in the run.
        replayed_ms: The same in the replay.
        glitches: What is wrong with the sound of the flight.
        wet: What came out of the replay (rows, n).
    """

    same: bool
    exact: bool
    compared_from: int
    largest: float
    first_difference: int | None
    call: int | None
    calls: int
    uncertain: int
    seconds: float
    recorded_ms: list[float]
    replayed_ms: list[float]
    glitches: list[Glitch]
    wet: Samples = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return all but the sound, for JSON."""
        numbers = asdict(self)
        del numbers["wet"]
        return numbers


def replay(flight: Flight, effect: Any, timing: bool = False) -> Replayed:
    """Process a flight again and compare what comes out with what came out.

    Args:
        flight: The flight.
        effect: The effect, or a plugin of pedalboard.
        timing: Whether the calls are made at the times at which they were made in the run.

    Raises:
        AudioError: If the effect cannot process this rate or channel count.
    """
    blended = effect if isinstance(effect, Blended) else DryWet(_effect(effect))
    with ThreadPoolExecutor(1) as thread:  # the thread is prepared for the net for good
        wet, took_s, uncertain = thread.submit(_run, flight, blended, timing).result()
    changed = np.flatnonzero(flight.calls["flags"] & tape.CHANGED)
    exact = flight.host.get("flight", {}).get("since_start") == 0 and not len(changed)
    if len(changed):
        begin = _alone(flight, int(flight.calls["first"][changed[-1]]) - flight.first)
    else:
        begin = 0 if exact else _comparable(flight, blended)
    unended = (flight.calls["flags"] & tape.UNENDED) != 0
    end = flight.dry.shape[1] - int(flight.calls["frames"][unended].sum())
    apart = np.abs(wet[:, begin:end] - flight.wet[:, begin:end]).max(axis=0, initial=0.0)
    apart[~np.isfinite(apart)] = inf
    far = np.flatnonzero(apart > SAME)
    first = None if not len(far) else begin + int(far[0])
    starts = flight.calls["first"] - flight.first
    call = None if first is None else int(np.searchsorted(starts, first, "right")) - 1
    return Replayed(
        same=first is None and end > begin,
        exact=exact,
        compared_from=begin,
        largest=float(apart.max(initial=0.0)),
        first_difference=first,
        call=None if call is None else int(flight.calls["number"][call]),
        calls=len(flight.calls),
        uncertain=uncertain,
        seconds=flight.dry.shape[1] / flight.rate,
        recorded_ms=_percentiles_ms(flight.calls["seconds"][~unended]),
        replayed_ms=_percentiles_ms(took_s),
        glitches=list(glitches(flight)),
        wet=wet,
    )


def _effect(effect: Any) -> Effect:
    return effect if isinstance(effect, Effect) else Board([effect])


def _percentiles_ms(seconds: Any) -> list[float]:
    """Return median, 99th percentile and maximum in ms."""
    if not len(seconds):
        return [0.0] * 3
    return [round(1e3 * float(value), 3) for value in np.percentile(seconds, [50, 99, 100])]


def _alone(flight: Flight, change: int) -> int:
    """Return the first sample at which only the effect is heard whose change began at *change*."""
    length = flight.dry.shape[1]
    end = change + _latency(flight) + round(WARM_S * flight.rate) + round(FADE_S * flight.rate)
    ends = flight.calls["first"] + flight.calls["frames"] - flight.first
    return int(min(ends[np.searchsorted(ends, end)], length)) if end < length else length


def _latency(flight: Flight) -> int:
    """Return the latency of the run in samples, which may be more than that of its effect."""
    told = flight.host.get("latency_samples")
    return told if isinstance(told, int) else 0


def _comparable(flight: Flight, effect: Blended) -> int:
    """Return the first sample before which an unknown state may be heard."""
    length, rate = flight.dry.shape[1], flight.rate
    stage = effect.stage(_stream(flight))
    calls, begin, start = flight.calls, stage.latency + round(SETTLED_S * rate), 0
    known = [n for n in flight.states if len(calls) and n >= calls["number"][0]]
    if known and any(engines(stage)):
        call = calls[int(known[0] - calls["number"][0])]
        start = max(start, int(call["first"] + call["frames"]) - flight.first)
    if not (known and isinstance(effect, Denoise)):
        begin += min(round(FORGOTTEN_S * rate), max(0, length - start - begin) // 2)
    return int(min(start + begin, length))


def _stream(flight: Flight) -> Stream:
    """Return the stream of the run, without a deadline."""
    block = flight.host.get("block")
    promised = block if isinstance(block, int) and block > 0 else None
    return Stream(flight.rate, flight.dry.shape[0], promised)


def _run(flight: Flight, effect: Blended, timing: bool) -> tuple[Samples, list[float], int]:
    """Return the wet sound of a replay, the time of each call, and the calls that went elsewise."""
    stream, counters, calls = _stream(flight), Counters(), flight.calls
    if len(calls):
        _settle(effect, calls[0])
    effect.warm_up(stream.channels)
    own = effect.stage(stream, counters)
    stage = Delayed(own, max(own.latency, _latency(flight)))
    rows = stream.channels
    session = Session(stage, counters, stream.rate, (rows, rows), 1.0)
    session.warm_up(stream.block or 0)
    nets = list(engines(stage))
    effect.prepare_thread()
    lead = _lead(flight, nets)
    step = stream.block if stream.block and lead % stream.block == 0 else max(lead, 1)
    for _ in range(lead // step):
        stage.push(np.zeros((rows, step), np.float32))
    counters.clear()
    out = np.zeros((flight.dry.shape[1], rows), np.float32)
    took_s, uncertain, begin_s = [], 0, time.perf_counter()
    for call in calls:
        _settle(effect, call)
        at = int(call["first"]) - flight.first
        span = slice(at, at + int(call["frames"]))
        if call["flags"] & tape.MISSED:
            continue
        if call["flags"] & (tape.RESTARTED | tape.CHANGED):
            stage.reset()
        if timing:
            late_s = time.perf_counter() - begin_s
            time.sleep(max(0.0, float(call["began_s"] - calls["began_s"][0]) - late_s))
        before = counters.counts.copy()
        owing = inf if call["dry"] > call["failed"] else 0.0
        for net in nets:
            net.owed_s = owing
        start_s = time.perf_counter()
        block = np.ascontiguousarray(flight.dry[:, span].T)
        session.callback(block, out[span], block.shape[0], None, None)
        took_s.append(time.perf_counter() - start_s)
        did = dict(zip(Counters.NAMES, counters.counts - before, strict=True))
        if (state := flight.states.get(int(call["number"]))) is not None:
            _remember(nets, state)
        uncertain += int(did["dry"] != call["dry"] or did["failed"] != call["failed"])
    return np.ascontiguousarray(out.T), took_s, uncertain


def _remember(nets: list[Engine], values: Samples) -> None:
    """Give *nets* the states that a flight kept, if they are those of such nets."""
    sizes = [net.state.size for net in nets]
    if nets and sum(sizes) == len(values):
        for net, part in zip(nets, np.split(values, np.cumsum(sizes)[:-1]), strict=True):
            net.state = part.reshape(net.state.shape).copy()


def _settle(effect: Blended, call: Any) -> None:
    """Give *effect* the dry/wet settings of a call."""
    limit = None if np.isnan(call["atten_lim_db"]) else float(call["atten_lim_db"])
    strength = Strength(float(call["mix"]), limit, bool(call["flags"] & tape.RESIDUAL))
    if strength != effect.strength:
        effect.strength = strength
    if bool(call["flags"] & tape.BYPASS) != effect.bypass:
        effect.bypass = bool(call["flags"] & tape.BYPASS)


def _lead(flight: Flight, nets: list[Engine]) -> int:
    """Return the samples of silence that bring the stage to its place in hops and resamplers."""
    since = flight.host.get("flight", {}).get("since_start")
    if not isinstance(since, int) or since <= 0:
        return 0
    block, rate = flight.host.get("block") or 1, flight.rate
    period = lcm(block, *(_period(net, rate) for net in nets))
    if period > LONGEST_LEAD_S * rate:
        period = block
    return since % period


def _period(net: Engine, rate: int) -> int:
    """Return the samples of a stream at *rate* Hz after which its resamplers and hops are in step.

    Hops of H samples at the net's rate last H rate / net_rate samples of the stream; the resamplers
    are in step after rate / gcd of them.
    """
    hops = Fraction(net.hop * rate, net.stream.rate).numerator
    return lcm(hops, rate // gcd(rate, net.stream.rate))
