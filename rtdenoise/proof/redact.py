"""A flight without its words: noise in place of the sound, and no names.

The noise has the level and the spectrum of the sound, in frames that are longer than a word: with
frames of 20 ms, noise of the same spectra is a whisper that people understand (STOI 0.8 on the
clips of examples/audio, where frames of 1 s have 0.4, and white noise 0.4 as well). What breaks
nets stays where it was: digital silence, NaN, and samples beyond full scale.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples
from ..live.flight import Flight
from .replay import replay

FRAME_S = 1.0  # of the spectrum; two of them overlap
LEVEL_S = 0.5  # of the level
BANDS_AN_OCTAVE = 3
LOWEST_HZ = 50.0
SILENT_RUN = 32  # zeros in a row that are digital silence
FULL = 0.999
KEPT_EVENTS = ("kind", "sample", "unix_s", "gap_s")


def redacted(flight: Flight, effect: Any | None) -> Flight:
    """Return a flight that tells what happened, and nothing of what was said and by whom.

    Args:
        flight: The flight.
        effect: The effect, which processes the noise. None: it cannot be made here, and the wet
            sound is replaced by noise as well.
    """
    host = _nameless(flight.host)
    told = {"text": "", "since_start": 0, "redacted": True}
    host["flight"] = {**host.get("flight", {}), **told}
    events = [{k: v for k, v in event.items() if k in KEPT_EVENTS} for event in flight.events]
    dry = noise_like(flight.dry, flight.rate)
    made = replace(flight, host=host, dry=dry, wet=noise_like(flight.wet, flight.rate))
    made.events, made.states = events, {}  # a state is of the sound
    if effect is not None:
        made.wet = replay(made, effect).wet
        host["flight"]["wet_of_replay"] = True
    return made


def noise_like(sound: Samples, rate: int) -> Samples:
    """Return noise (rows, n) with the level and the spectrum of *sound*, and nothing else of it."""
    rng = np.random.default_rng(secrets.randbits(128))
    finite = np.nan_to_num(sound, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float64)
    rows = [_noise(np.clip(row, -8.0, 8.0), rate, rng) for row in finite]
    noise = np.stack(rows).astype(np.float32)
    noise[_in_runs(sound == 0, SILENT_RUN)] = 0
    broken, loud = ~np.isfinite(sound), np.abs(sound) > FULL
    noise = np.clip(noise, -FULL, FULL)
    noise[broken | loud] = sound[broken | loud]
    return noise


def _noise(row: NDArray[np.float64], rate: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return noise with the spectrum of *row* in frames of `FRAME_S` and its level in others."""
    half = max(16, round(FRAME_S * rate / 2))
    frame = 2 * half
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(frame) + 0.5) / frame))
    padded = np.pad(row, (half, half + (-len(row)) % half))
    out = np.zeros_like(padded)
    edges = _edges(frame, rate)
    widths = np.diff([*edges, half + 1])
    for at in range(0, len(padded) - frame + 1, half):
        power = np.abs(np.fft.rfft(window * padded[at : at + frame])) ** 2
        means = np.add.reduceat(power, edges) / widths
        magnitudes = np.sqrt(np.repeat(means, widths))
        white = np.fft.rfft(rng.standard_normal(frame)) / np.sqrt(frame)
        out[at : at + frame] += window * np.fft.irfft(magnitudes * white, frame)
    noise = out[half : half + len(row)]
    return noise * _gain(row, noise, rate)


def _gain(row: NDArray[np.float64], noise: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """Return the gain, sample by sample, that gives *noise* the level of *row* in each frame."""
    step = max(16, round(LEVEL_S * rate))
    starts = np.arange(0, max(1, len(row)), step)
    if not len(row):
        return row
    levels = [np.sqrt(np.add.reduceat(sound**2, starts)) for sound in (row, noise)]
    gains = levels[0] / np.maximum(levels[1], 1e-12)
    return np.interp(np.arange(len(row)), starts + step / 2, gains)


def _edges(frame: int, rate: int) -> NDArray[np.int64]:
    """Return the first bins of the bands in which a spectrum of *frame* samples is smoothed."""
    octaves = np.log2(max(2.0, rate / 2 / LOWEST_HZ))
    hz = LOWEST_HZ * 2 ** np.arange(0, octaves, 1 / BANDS_AN_OCTAVE)
    return np.unique([0, *np.round(hz * frame / rate).astype(int)])


def _in_runs(zero: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """Return which samples of each row are in a run of at least *least* that are true."""
    found = np.zeros_like(zero)
    for row, out in zip(zero, found, strict=True):
        borders = np.flatnonzero(np.diff(np.concatenate(([0], row.astype(np.int8), [0]))))
        for start, end in borders.reshape(-1, 2):
            if end - start >= least:
                out[start:end] = True
    return found


def _nameless(host: dict[str, Any]) -> dict[str, Any]:
    """Return the facts about a host without the names of devices, files and processes."""
    kept = {key: value for key, value in host.items() if key not in ("ends", "pid")}
    if host.get("effect") is not None:
        kept["effect"] = _without_paths(host["effect"])
    return kept


def _without_paths(value: Any) -> Any:
    """Return *value* with the suffix of a file in place of each path."""
    if isinstance(value, dict):
        return {key: _without_paths(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_paths(part) for part in value]
    if isinstance(value, str) and ("/" in value or "\\" in value):
        return "file" + PurePath(value).suffix
    return value
