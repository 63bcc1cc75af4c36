"""The outputs that systems give for a pair: files of another program, baselines, models.

A system that gives no usable output for a pair has failed there. It is scored as silence, which
has the worst score of every metric, and the failure is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from rtdenoise.audio import Samples
from rtdenoise.core.counters import Counters
from rtdenoise.core.stage import process
from rtdenoise.core.stream import Stream
from rtdenoise.errors import AudioError, UsageError
from rtdenoise.nets.box import find
from rtdenoise.nets.line import Line
from rtdenoise.nets.net import Net

from . import checks
from .metrics import silent
from .pairs import MAX_APART_S, Pair, read, shifted, sounds

NEAR_S = 1e-3  # largest difference of a file's delay to its folder's median at which it is used
APART_S = checks.MAX_LAG_S + MAX_APART_S  # largest difference in length of estimate and pair


@cache
def net(name: str) -> Net:
    """Return a model, ready to run in this process."""
    found = find(name)
    found.prepare_thread()
    return found


def of_model(name: str, degraded: Samples, rate_hz: int) -> Samples:
    """Return the output of a model in the host, (channels, samples), its delay compensated.

    Raises:
        AudioError: the net raised or gave NaN. The host would give the input in its place, which
            must not be scored as if it were the net's.
    """
    counters = Counters()
    out = process(Line(net(name), Stream(rate_hz, len(degraded)), counters=counters), degraded)
    if failed := counters["failed"]:
        raise AudioError(f"the net failed on {failed} of {counters['hops']} hops: {counters.why()}")
    return out


def of_folder(folder: Path, pair: Pair) -> Samples:
    """Read another system's output for a pair.

    Raises:
        AudioError: the file is missing or damaged, holds NaN, or has another rate, number of
            channels or length than the pair.
    """
    path = sounds(folder).get(pair.name)
    if path is None:
        raise AudioError("there is no such file")
    audio, rate_hz = read(path)
    clean, clean_hz = read(pair.clean)
    if (rate_hz, len(audio)) != (clean_hz, len(clean)):
        raise AudioError(
            f"it has {rate_hz} Hz and {len(audio)} channels, the pair {clean_hz} Hz and "
            f"{len(clean)}"
        )
    apart = audio.shape[1] - clean.shape[1]
    if abs(apart) > APART_S * rate_hz:
        raise AudioError(f"it is {abs(apart)} samples too {'long' if apart > 0 else 'short'}")
    return usable(audio)


def usable(audio: Samples) -> Samples:
    """Return *audio* if it can be scored.

    Raises:
        AudioError: it holds NaN or infinity.
    """
    if not np.isfinite(audio).all():
        raise AudioError("it holds NaN or infinity")
    return audio


def lag_of(folder: Path, pair: Pair, aligned: bool) -> int | None:
    """Estimate the delay in samples of an output, as the median over its channels.

    Returns:
        The delay, 0 if the outputs are *aligned*; None if the output is silent.

    Raises:
        AudioError: the output cannot be scored.
    """
    audio = of_folder(folder, pair)
    clean, rate_hz = read(pair.clean)
    moved = shifted(audio, 0, clean.shape[1])
    both = [(e, r) for e, r in zip(moved, clean, strict=True) if r.any() and not silent(e)]
    found = [0] if aligned else [checks.link(e, r, rate_hz).lag for e, r in both]
    return int(np.median(found)) if found else None


def settled(
    folder: Path, own: Mapping[str, int | None], names: Sequence[str], rate_hz: int, why: str
) -> dict[str, int]:
    """Settle on a delay in samples for each output of a folder, by the name of its pair.

    A delay that differs by more than 1 ms from the folder's median is replaced by the median, and
    so is that of an output that is silent or cannot be scored.

    Args:
        folder: The folder.
        own: The delays of the outputs that can be scored; None: it is silent.
        names: Names of all pairs.
        rate_hz: Sample rate of the pairs.
        why: Why the first of the others cannot be scored.

    Raises:
        UsageError: nothing in the folder can be scored.
    """
    if not own:
        raise UsageError(f"{folder}: wanted a file for each of the pairs; {why}")
    known = [lag for lag in own.values() if lag is not None]
    middle = int(np.median(known)) if known else 0
    chosen = {name: middle if lag is None else lag for name, lag in own.items()}
    near = NEAR_S * rate_hz
    return {
        name: lag if abs((lag := chosen.get(name, middle)) - middle) <= near else middle
        for name in names
    }
