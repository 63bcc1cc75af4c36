"""Steps that add sound: noise, rooms and hum.

The SNR is that of the RMS over the whole excerpt, with its pauses, and over all channels together,
so that it can be measured on the result.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft
import soxr
from numpy.typing import NDArray

from ..errors import AudioError, UsageError, printable, reason_of
from ..sound.formats import SUFFIXES
from ..sound.reader import SoundReader
from .batch import Batch, rms

# A function (samples, rate_hz, rng) -> (1, samples) that makes noise for the program.
Provider = Callable[[int, int, np.random.Generator], NDArray[np.float32]]
COLOURS = {"white": 0.0, "pink": 1.0, "brown": 2.0}  # slope s: the power falls as 1 / f^s
FADE_S = 0.05  # length of the crossfade between two turns of a looped sound


def noise(batch: Batch, draws: list[dict[str, Any]], providers: dict[str, Provider]) -> None:
    """Add noise to every row at an SNR."""
    if not batch.samples:
        return
    reference_rms = rms(batch.reference)
    for row, (d, rng) in enumerate(zip(draws, batch.rngs, strict=True)):
        sound = _noise(batch, d, rng, providers)
        level = float(rms(sound[None])[0, 0, 0])
        if level > 0:
            gain = reference_rms[row, 0, 0] / level * 10 ** (-d["snr_db"] / 20)
            batch.audio[row] += (gain * sound).astype(np.float32)


def check(values: dict[str, Any], providers: dict[str, Provider]) -> None:
    """Refuse noise that does not exist, before any sound is processed.

    Args:
        values: The values of the step by name.
        providers: Functions that make noise, by name.

    Raises:
        UsageError: If a kind of noise is unknown, or a folder has no sound files.
    """
    for folder in values["folder"].words:
        if folder:
            listing(folder)
    if unknown := [k for k in values["kind"].words if k not in COLOURS and k not in providers]:
        kinds = ", ".join([*COLOURS, *providers])
        raise UsageError(f"noise: kind = {unknown[0]!r}; known: {kinds}, or folder=PATH")


def _noise(
    batch: Batch, d: dict[str, Any], rng: np.random.Generator, providers: dict[str, Provider]
) -> NDArray[np.float32]:
    """Return noise (channels or 1, samples) of the kind that was drawn."""
    kind, channels = d["kind"], batch.audio.shape[1]
    if d["folder"]:
        return recorded(d["folder"], batch.samples, batch.rate_hz, rng)
    if kind in providers:
        return providers[kind](batch.samples, batch.rate_hz, rng)
    return coloured(COLOURS[kind], channels, batch.samples, batch.rate_hz, rng)


def coloured(
    slope: float, channels: int, samples: int, rate_hz: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return Gaussian noise (channels, samples) whose power falls as 1 / f^slope above 20 Hz."""
    white = rng.standard_normal((channels, samples), dtype=np.float32)
    if slope == 0:
        return white
    size = int(scipy.fft.next_fast_len(samples, real=True))
    hz = np.maximum(np.arange(size // 2 + 1) * (rate_hz / size), 20)
    spectrum = scipy.fft.rfft(white, size) * (hz ** (-slope / 2)).astype(np.float32)
    return np.asarray(scipy.fft.irfft(spectrum, size)[:, :samples], np.float32)


def recorded(
    folder: str, samples: int, rate_hz: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return a random excerpt (1, samples) of a file in *folder*; a short file is looped."""
    sound = _drawn(folder, rate_hz, rng)
    if len(sound) < samples:
        sound = looped(sound, samples, int(FADE_S * rate_hz))
    at = int(rng.integers(len(sound) - samples + 1))
    return sound[None, at : at + samples]


def _drawn(folder: str, rate_hz: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a file of *folder* (samples,), drawn at random."""
    paths = listing(folder)
    return decoded(paths[int(rng.integers(len(paths)))], rate_hz)


def looped(sound: NDArray[np.float32], samples: int, fade: int) -> NDArray[np.float32]:
    """Return *sound* (n,) repeated to *samples* or more, with crossfades of equal power.

    Args:
        sound: The sound to repeat.
        samples: Samples that are needed.
        fade: Length of a crossfade in samples; at most half of the sound is used.
    """
    fade = min(fade, len(sound) // 2)
    rise = np.sin(np.linspace(0, np.pi / 2, fade, dtype=np.float32))
    body = sound.copy()
    if fade:
        body[:fade] = body[:fade] * rise + sound[-fade:] * rise[::-1]
        body = body[: len(sound) - fade]
    return np.asarray(np.tile(body, samples // len(body) + 1)[: max(samples, 1)], np.float32)


@lru_cache(maxsize=64)
def listing(folder: str) -> tuple[Path, ...]:
    """Return the sound files below *folder*, sorted.

    Raises:
        UsageError: If there are none.
    """
    try:
        paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
    except OSError as error:
        reason = reason_of(error)
        raise UsageError(f"cannot search folder={printable(folder)}: {reason}") from None
    if not paths:
        raise UsageError(f"no sound files in folder={folder}; wanted {', '.join(SUFFIXES)}")
    return tuple(paths)


@lru_cache(maxsize=256)
def decoded(path: Path, rate_hz: int) -> NDArray[np.float32]:
    """Return the first channel of a file at *rate_hz*, (samples,) float32; it is cached.

    Raises:
        AudioError: If the file cannot be read, or is empty.
    """
    with SoundReader(path) as reader:
        blocks = [block[0] for block in reader]
        rate = reader.rate
    if not blocks or not sum(len(b) for b in blocks):
        raise AudioError(f"{path} is empty, wanted a file with sound")
    sound = np.concatenate(blocks)
    if rate != rate_hz:
        sound = soxr.resample(sound, rate, rate_hz, quality="HQ")
    return np.asarray(sound, np.float32)


def hum(batch: Batch, draws: list[dict[str, Any]]) -> None:
    """Add mains hum with its harmonics to every row, at a level relative to the reference's RMS."""
    reference_rms = rms(batch.reference)
    time_s = np.arange(batch.samples) / batch.rate_hz
    for row, (d, rng) in enumerate(zip(draws, batch.rngs, strict=True)):
        sound = np.zeros(batch.samples)
        for k in range(1, 12):
            if k * d["mains_hz"] < batch.rate_hz / 2:
                phase = rng.uniform(0, 2 * np.pi)
                # A saturated transformer makes odd harmonics; even ones are weaker.
                strength = (1.0 if k % 2 else 0.3) / k
                sound += strength * np.sin(2 * np.pi * k * d["mains_hz"] * time_s + phase)
        level = np.sqrt(np.mean(sound**2)) if batch.samples else 0.0
        if level > 0:
            gain = reference_rms[row, 0, 0] / level * 10 ** (d["level_db"] / 20)
            batch.audio[row] += (gain * sound).astype(np.float32)


def rir(batch: Batch, draws: list[dict[str, Any]]) -> None:
    """Put every row into a room; the reference has the direct sound and `early_ms` after it."""
    for row, (d, rng) in enumerate(zip(draws, batch.rngs, strict=True)):
        room = _room(d, batch.rate_hz, rng)
        early = room.copy()
        early[max(1, round(d["early_ms"] * batch.rate_hz / 1000)) :] = 0
        batch.audio[row] = convolved(batch.audio[row], room)
        batch.reference[row] = convolved(batch.reference[row], early)


def convolved(sound: NDArray[np.float32], room: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return *sound* (channels, samples) in a room, without the tail after its last sample.

    Args:
        sound: The dry sound.
        room: Impulse response (n,) of the room.
    """
    samples = sound.shape[1]
    if not samples:
        return sound
    size = int(scipy.fft.next_fast_len(samples + len(room), real=True))
    kernel = scipy.fft.rfft(room.astype(np.float32), size)
    wet = scipy.fft.irfft(scipy.fft.rfft(sound, size, workers=-1) * kernel, size, workers=-1)
    return np.asarray(wet[:, :samples], np.float32)


def _room(d: dict[str, Any], rate_hz: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return an impulse response (n,) that begins with the direct sound, at 1.0."""
    if d["folder"]:
        return _from_peak(_drawn(d["folder"], rate_hz, rng).astype(np.float64), d["folder"])
    if d["method"] == "shoebox":
        return shoebox(d["t60_s"], rate_hz, rng)
    return decay(d["t60_s"], d["drr_db"], rate_hz, rng)


def _from_peak(response: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    """Return *response* (n,) from its peak on, which is the direct sound and becomes 1.0.

    Raises:
        AudioError: If it is silent; *where* says which it is.
    """
    at = int(np.argmax(np.abs(response)))
    if not response[at]:
        raise AudioError(f"{printable(where)} has an impulse response that is silent")
    return np.asarray(response[at:] / response[at])


def decay(
    t60_s: float, drr_db: float, rate_hz: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return an impulse response (n,) of decaying noise (Polack 1988).

    It has the direct sound, a gap of 2 to 20 ms, and noise that falls by 60 dB in *t60_s*. It is a
    thousand times faster to make than mirror images, and as good for training a net to remove
    reverberation, although it has no single early echoes.

    Args:
        t60_s: Time in seconds in which the reverberation falls by 60 dB.
        drr_db: Level of the direct sound relative to the reverberation in dB.
        rate_hz: Sample rate in Hz.
        rng: Random generator of the noise.
    """
    size = max(2, int(1.1 * t60_s * rate_hz))
    time_s = np.arange(size) / rate_hz
    tail = rng.standard_normal(size) * 10 ** (-3 * time_s / t60_s)
    tail[time_s < rng.uniform(0.002, min(0.02, t60_s / 4))] = 0
    energy = np.sqrt((tail**2).sum())
    room = tail * (10 ** (-drr_db / 20) / energy) if energy > 0 else tail
    room[0] = 1.0
    return np.asarray(room)


def shoebox(t60_s: float, rate_hz: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return an impulse response (n,) of a random small room (Allen and Berkley 1979).

    pyroomacoustics computes it by mirror images.

    Args:
        t60_s: Time in seconds in which the reverberation falls by 60 dB.
        rate_hz: Sample rate in Hz.
        rng: Random generator of the room and of the places in it.

    Raises:
        UsageError: If pyroomacoustics is not installed, or no small room has this *t60_s*.
    """
    try:
        import pyroomacoustics as pra
    except ImportError:
        raise UsageError(
            "rir method=shoebox needs pyroomacoustics: pip install pyroomacoustics, "
            "or take method=decay"
        ) from None
    for _ in range(20):  # a room that is too large cannot be so dry: the next may be smaller
        size = rng.uniform((2.5, 2.5, 2.2), (8.0, 8.0, 3.5))
        try:
            absorption, order = pra.inverse_sabine(t60_s, size)
        except ValueError:
            continue
        room = pra.ShoeBox(
            size, fs=rate_hz, materials=pra.Material(absorption), max_order=min(order, 40)
        )
        room.add_source(rng.uniform(0.5, size - 0.5))
        room.add_microphone(rng.uniform(0.5, size - 0.5))
        room.compute_rir()
        response = np.asarray(room.rir[0][0], np.float64)
        return _from_peak(response, "rir method=shoebox")
    raise UsageError(f"rir: no room between 2.5 and 8 m has t60={t60_s:g} s; wanted 0.1 or more")
