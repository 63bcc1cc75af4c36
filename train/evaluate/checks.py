"""Checks that have to pass before a score means anything: same channel, same gain, same time.

The student project that this one redoes reported an SNR of 27.42 dB that its nets brought "down to
1.65". Its nets had processed the left channel and were scored against a mono mix; its noisy files
were half as loud as the clean ones. The estimates below show either, so they come before any score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rtdenoise.audio import Samples
from rtdenoise.core.stage import Stage, process
from rtdenoise.core.stream import Stream
from rtdenoise.errors import UsageError
from rtdenoise.nets.line import Line
from rtdenoise.nets.net import Net
from rtdenoise.nets.torchscript import Generator

MAX_LAG_S = 0.1
GAIN_DB, LAG, CORRELATED = 1.0, 1, 0.15  # limits of gain and lag, and least correlation
BANDS = 24


@dataclass(frozen=True)
class Link:
    """The relation of an estimate to a reference, both (samples,).

    Attributes:
        lag: Delay of the estimate in samples.
        gain_db: Gain of the estimate in the part that both have in common.
        polarity: 1, or -1 if the polarity is reversed.
        correlation: Correlation 0..1 at that lag: 0.7 with noise at 0 dB SNR, below 0.1 between
            different recordings.
    """

    lag: int
    gain_db: float
    polarity: int
    correlation: float


def impulse_response(e: NDArray[np.float64], r: NDArray[np.float64]) -> NDArray[np.float64]:
    """Estimate the circular impulse response from r to e: E R* / (|R|^2 + 0.01 mean |R|^2).

    The division by the reference's spectrum makes the direct sound of a room the largest sample; a
    cross-correlation could have its maximum at the echoes of the loudest vowel.
    """
    size = 2 ** int(np.ceil(np.log2(2 * len(r))))
    E, R = np.fft.rfft(e, size), np.fft.rfft(r, size)
    square = np.abs(R) ** 2
    return np.fft.irfft(E * R.conj() / (square + 0.01 * square.mean() + 1e-30), size)


def link(estimate: NDArray[Any], reference: NDArray[Any], rate_hz: int) -> Link:
    """Estimate lag, gain, polarity and correlation of one channel, both (samples,).

    The gain is a median over bands of the least-squares factor, weighted by coherence. Bands that
    a low-pass removed are incoherent and have no weight; noise and echoes are independent of the
    sound and average out.
    """
    e, r = estimate.astype(np.float64), reference.astype(np.float64)
    reach = min(round(MAX_LAG_S * rate_hz), len(r) - 1)
    h = impulse_response(e, r)
    h = np.concatenate((h[-reach:], h[: reach + 1])) if reach else h[:1]
    lag = int(np.abs(h).argmax()) - reach
    e, r = (e[lag:], r[: len(r) - lag]) if lag >= 0 else (e[:lag], r[-lag:])
    together = float(e @ r)
    correlation = abs(together) / max(float(np.sqrt((e @ e) * (r @ r))), 1e-30)
    return Link(lag, _gain_db(e, r), 1 if together >= 0 else -1, correlation)


def _gain_db(e: NDArray[np.float64], r: NDArray[np.float64]) -> float:
    size = min(1024, 2 ** int(np.log2(max(2, len(r)))))
    view = np.lib.stride_tricks.sliding_window_view
    E, R = (np.fft.rfft(view(x, size)[:: size // 2] * np.hanning(size)) for x in (e, r))
    cross, ee, rr = (E * R.conj()).sum(0), (np.abs(E) ** 2).sum(0), (np.abs(R) ** 2).sum(0)
    edges = np.unique(np.geomspace(1, size // 2 + 1, BANDS + 1).astype(int))[:-1]
    cross, ee, rr = (np.add.reduceat(x, edges) for x in (cross, ee, rr))
    share = np.abs(cross) ** 2 / np.maximum(ee * rr, 1e-300)
    gain_db = 20 * np.log10(np.abs(cross) / np.maximum(rr, 1e-300) + 1e-12)
    # The weight is the squared coherence; bands 60 dB below the loudest hold rounding errors only.
    weight = share**2 * (rr > 1e-6 * rr.max())
    order = np.argsort(gain_db)
    middle = np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)
    return float(gain_db[order][min(middle, len(order) - 1)])


def channel_of(estimate: NDArray[Any], reference: Samples) -> str:
    """Say which of the reference's channels, or their mix, a mono estimate resembles most."""
    sides = {f"channel {n}": row for n, row in enumerate(reference)} | {"mix": reference.mean(0)}
    e = estimate.astype(np.float64)
    size = 2 ** int(np.ceil(np.log2(2 * len(e))))
    E = np.fft.rfft(e, size)

    def alike(row: NDArray[Any]) -> float:
        R = np.fft.rfft(row.astype(np.float64), size)
        norm = float(np.linalg.norm(e) * np.linalg.norm(row)) + 1e-30
        return float(np.abs(np.fft.irfft(E * R.conj(), size)).max() / norm)

    alikes = {name: alike(row) for name, row in sides.items()}
    best = max(alikes, key=lambda name: alikes[name])
    return f"{best} (" + ", ".join(f"{name} {value:.2f}" for name, value in alikes.items()) + ")"


def faults(degraded: Samples, clean: Samples, rate_hz: int, made: Link | None = None) -> list[str]:
    """List what is wrong with a pair, both (channels, samples): every channel is checked.

    Args:
        degraded: The degraded sound.
        clean: The clean sound.
        rate_hz: Sample rate of both.
        made: Link of the pair when it was made, where the damage itself changes level or timing;
            None means that it changes neither.
    """
    crossed = swaps(degraded, clean, rate_hz)
    found = [f"channels {one} and {other} are swapped" for one, other in crossed]
    for row, (e, r) in enumerate(zip(degraded, clean, strict=True)):
        if not any(row in both for both in crossed):
            where = f"channel {row}: " if len(clean) > 1 else ""
            wrong = _wrong(link(e, r, rate_hz), made or Link(0, 0.0, 1, 1.0), rate_hz)
            found += [where + fault for fault in wrong]
    return found


def _wrong(one: Link, made: Link, rate_hz: int) -> list[str]:
    """List what is wrong with a channel that has the link *one* and should have *made*."""
    if one.correlation < min(CORRELATED, made.correlation / 2):
        return [f"the correlation is {one.correlation:.2f}; these are two different recordings"]
    found, lag = [], one.lag - made.lag
    if abs(one.gain_db - made.gain_db) > GAIN_DB:
        fault = f"the degraded sound is at {one.gain_db:+.1f} dB re the clean one"
        if made.gain_db:
            fault += f"; its damage alone gives {made.gain_db:+.1f} dB"
        elif abs(one.gain_db + 6.02) < 0.5:
            fault += "; mixing by `sox -m` halves both inputs"
        found.append(fault)
    if abs(lag) > LAG:
        found.append(f"it comes {lag} samples ({1e3 * lag / rate_hz:.1f} ms) late")
    if one.polarity != made.polarity:
        found.append("its polarity is reversed")
    return found


def swaps(degraded: Samples, clean: Samples, rate_hz: int) -> list[tuple[int, int]]:
    """List the channels that are exchanged, of sounds (channels, samples).

    An exchange reverses the difference of two channels and keeps their sum. That shows even where
    the two resemble each other, as in most stereo; where they are equal there is nothing to see.
    """
    found = []
    for one in range(len(clean)):
        for other in range(one + 1, len(clean)):
            signs = []
            for sign in (-1.0, 1.0):
                e, r = (x[one] + sign * x[other] for x in (degraded, clean))
                both = link(e, r, rate_hz)
                signs.append(both.polarity if both.correlation >= CORRELATED else 0)
            if signs[0] * signs[1] < 0:
                found.append((one, other))
    return found


def in_band(share: float, cutoff_hz: float) -> list[str]:
    """List what is wrong with a low-passed pair, given its coherence below the cut-off."""
    if share >= 0.9:
        return []
    return [
        f"the coherence below {0.8 * cutoff_hz:g} Hz is {share:.2f}, wanted 0.9 to 1: the degraded "
        "sound is of another channel (left against a mono mix?) or of another take"
    ]


class Unchanged:
    """A net that returns its windows unchanged."""

    def initial_state(self, channels: int) -> torch.Tensor:
        """Return an empty state, (C, 0)."""
        return torch.zeros(channels, 0)

    def __call__(
        self, windows: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the same windows and state."""
        return windows, state


def identity_run(
    generator: Net,
    audio: Samples,
    rate_hz: int,
    through: Callable[[Stage, Samples], Samples] = process,
) -> None:
    """Check that the host returns *audio* unchanged with an identity net in place of *generator*.

    Args:
        generator: The net whose card says how the host cuts windows.
        audio: Sound to process, (channels, samples).
        rate_hz: Sample rate of that sound.
        through: Function that runs sound through a stage of the host.

    Raises:
        UsageError: the host changes the sound, so that no score would mean anything.
    """
    unchanged = Generator(Unchanged(), replace(generator.card, lookahead=0))
    out = through(Line(unchanged, Stream(rate_hz, audio.shape[0])), audio)
    if rate_hz == generator.card.sample_rate:
        if (off := float(np.abs(out - audio).max())) > 1e-5:
            raise UsageError(f"the identity run is off by {off:.2g}: the host changes the sound")
        return
    for row, (e, r) in enumerate(zip(out, audio, strict=True)):
        if not r.any():
            continue
        one = link(e, r, rate_hz)
        if abs(one.lag) > LAG or abs(one.gain_db) > 0.2 or one.polarity < 0:
            raise UsageError(f"the identity run changes channel {row}: {one}")
