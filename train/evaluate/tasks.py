"""What a worker does for one pair: look at it, then score systems on it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from rtdenoise.audio import Samples
from rtdenoise.errors import AudioError, RtdenoiseError, UsageError

from ..data.identity import content
from . import checks
from .baselines import BASELINES
from .estimates import lag_of, of_folder, of_model, usable
from .metrics import coherence, measure, silent
from .page import Shown, keep
from .pairs import Pair, load, shifted, sounds
from .tables import INPUT


@dataclass(frozen=True)
class Settings:
    """The systems that an evaluation scores, and how it scores them.

    Attributes:
        models: Name or path of each generator, by its name in the tables. The host runs it and
            compensates its own delay.
        estimates: Folders of other systems' outputs, by name.
        aligned: Whether these outputs have no delay; otherwise their delay is estimated.
        baselines: Names of `baselines.BASELINES`.
        kind: speech or music.
        cutoff_hz: End of the band that a low-pass kept, for super-resolution, or None.
        metrics: Names of `metrics.METRICS`; empty means all that apply.
        force: Whether to score pairs that the checks refuse.
        leave_out: Whether to leave out pairs that the checks refuse.
        jobs: Number of processes that score at the same time, on this machine.
        media: Folder for the report's pictures and sounds, or None without a report.
        shown: Number of pairs in the report; 0 means all.
        on: Where to score, see `fanout.workers`. All nodes of a cluster have to see the same files.
        timeout_s: Time that a system may take for a pair; None: as long as it takes.
        log: File with a line for each system and pair that was scored, which is not scored again;
            or None.
    """

    models: dict[str, str] = field(default_factory=dict)
    estimates: dict[str, Path] = field(default_factory=dict)
    aligned: bool = False
    baselines: tuple[str, ...] = ()
    kind: str = "speech"
    cutoff_hz: float | None = None
    metrics: tuple[str, ...] = ()
    force: bool = False
    leave_out: bool = False
    jobs: int = 1
    media: Path | None = None
    shown: int = 0
    on: str | None = None
    timeout_s: float | None = None
    log: Path | None = None

    @property
    def systems(self) -> tuple[str, ...]:
        """Names of all systems in the order of the tables; the input comes first."""
        return (INPUT, *self.baselines, *self.estimates, *self.models)


@dataclass(frozen=True)
class Look:
    """A pair to look at."""

    pair: Pair
    settings: Settings


@dataclass(frozen=True)
class Looked:
    """What was found out about a pair before it is scored.

    Attributes:
        unreadable: Why the pair cannot be scored; empty if it can.
        faults: Why it should not be.
        digest: Digest of the bytes of both files.
        rate_hz: Sample rate.
        lags: Delay in samples of other systems' outputs, by name; None: it is not known.
        unusable: Why other systems' outputs cannot be scored, by name.
        outputs: Digests of the bytes of other systems' outputs, by name.
    """

    unreadable: str = ""
    faults: tuple[str, ...] = ()
    digest: str = ""
    rate_hz: int = 1
    lags: dict[str, int | None] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)


def look(task: Look) -> Looked:
    """Check every channel of a pair, and what other systems made of it."""
    pair, settings = task.pair, task.settings
    try:
        degraded, clean, rate_hz = load(pair)
    except AudioError as error:
        return Looked(str(error).removeprefix(f"{pair.name}: "))
    found = checks.faults(degraded, clean, rate_hz, pair.origin.made if pair.origin else None)
    if settings.cutoff_hz is not None:
        low_hz = 0.8 * settings.cutoff_hz
        both = zip(degraded.astype(np.float64), clean.astype(np.float64), strict=True)
        share = min(coherence(e, r, rate_hz, low_hz)["coherence_lf"] for e, r in both)
        found += checks.in_band(share, settings.cutoff_hz)
    digest = f"{content(pair.degraded)} {content(pair.clean)}"
    looked = Looked(faults=tuple(found), digest=digest, rate_hz=rate_hz)
    for name, folder in settings.estimates.items():
        try:
            path = sounds(folder).get(pair.name)
            looked.outputs[name] = content(path) if path else ""
            looked.lags[name] = lag_of(folder, pair, settings.aligned)
        except (AudioError, OSError) as error:
            looked.unusable[name] = str(error)
    return looked


@dataclass(frozen=True)
class Score:
    """Systems to score on a pair.

    Attributes:
        pair: The pair.
        settings: The settings of the evaluation.
        systems: Names of the systems.
        late: Delay of each system in samples, by name; 0 where none is given.
        show: Whether the pair is in the report, which needs all systems.
        failed: Why some of the systems are not run, by name: they count as silence.
    """

    pair: Pair
    settings: Settings
    systems: tuple[str, ...]
    late: dict[str, int]
    show: bool
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One pair scored: values by system and metric, failures by system, entry of the report.

    `late` names the systems of `failed` that another run might give more time.
    """

    values: dict[str, dict[str, float]]
    failed: dict[str, str]
    shown: Shown | None
    late: tuple[str, ...] = ()


def score(task: Score) -> Row:
    """Score systems on one pair."""
    pair, settings = task.pair, task.settings
    degraded, clean, rate_hz = load(pair)
    estimates: dict[str, Samples] = {}
    failed, late = dict[str, str](), list[str]()
    for name in task.systems:
        try:
            with _at_most(settings.timeout_s):
                if name in task.failed:
                    raise AudioError(task.failed[name])
                audio = usable(_system(name, pair, settings, degraded, rate_hz)())
            estimates[name] = shifted(audio, task.late.get(name, 0), clean.shape[1])
        except UsageError:  # a package is missing: that is no fault of the system
            raise
        except (RtdenoiseError, _TooSlowError) as error:
            estimates[name], failed[name] = np.zeros_like(clean), str(error)
            if isinstance(error, _TooSlowError) or name in task.failed:
                late.append(name)
            continue
        if quiet := [row for row, e in enumerate(estimates[name]) if silent(e)]:
            where = f" in channel {quiet[0]}" if len(quiet) < len(clean) else ""
            failed[name] = f"it is silent{where}"
    values = {
        name: _links(estimate, clean, rate_hz)
        | {"delay_ms": 1e3 * task.late.get(name, 0) / rate_hz, "failed": float(name in failed)}
        | measure(estimate, clean, rate_hz, settings.kind, settings.cutoff_hz, settings.metrics)
        for name, estimate in estimates.items()
    }
    shown = None
    if task.show and settings.media is not None:
        shown = keep(settings.media, pair.name, estimates | {"clean": clean}, rate_hz)
    return Row(values, failed, shown, tuple(late))


def _system(
    name: str, pair: Pair, settings: Settings, degraded: Samples, rate_hz: int
) -> Callable[[], Samples]:
    """Return the function that gives the output of a system."""
    if name == INPUT:
        return lambda: degraded
    if name in settings.baselines:
        return partial(BASELINES[name], degraded, rate_hz, settings.cutoff_hz or 0.0)
    if name in settings.estimates:
        return partial(of_folder, settings.estimates[name], pair)
    return partial(of_model, settings.models[name], degraded, rate_hz)


class _TooSlowError(BaseException):
    """A system took too long. It is no Exception: the host would take one for a net's own."""


@contextmanager
def _at_most(seconds: float | None) -> Iterator[None]:
    """End a block that takes too long, where the system can do that (not on Windows)."""
    if (
        seconds is None
        or not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def end(number: int, frame: object) -> None:
        raise _TooSlowError(f"it took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _links(estimate: Samples, clean: Samples, rate_hz: int) -> dict[str, float]:
    """Return the gain that is furthest from 0 dB and the worst polarity of all channels."""
    links = [
        checks.link(e, r, rate_hz) for e, r in zip(estimate, clean, strict=True) if not silent(e)
    ]
    if not links:
        return {"gain_db": np.nan, "polarity": np.nan}
    return {
        "gain_db": max((one.gain_db for one in links), key=abs),
        "polarity": float(min(one.polarity for one in links)),
    }
