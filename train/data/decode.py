"""Decoding of one recording of a data set, and what is found out about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from rtdenoise.sound.reader import SoundReader

from .bandwidth import measure
from .identity import Identity, array_row, identity
from .layouts import Entry

SHORTEST_S = 0.25
CLIPPED_SHARE = 1e-3  # share of samples at full scale above which a recording counts as clipped
UNREADABLE, CLIPPED = "unreadable", "clipped"  # faults by which they are found again


@dataclass
class Decoded:
    """A file decoded for the cache, or the reason why it cannot be used.

    Attributes:
        audio: Mono samples at the rate of the cache, (samples,).
        twin: Samples of the degraded twin, of equal length; None if there is none.
        rate_hz: Sample rate of the file.
        bandwidth_hz: Measured bandwidth of the samples.
        fault: Why the file cannot be used; empty if it can.
        clipped: Whether too many samples are at full scale.
        identity: The files that were decoded.
    """

    audio: NDArray[np.int16]
    twin: NDArray[np.int16] | None
    rate_hz: int
    identity: Identity
    bandwidth_hz: float = 0.0
    fault: str = ""
    clipped: bool = False


def decode(entry: Entry, rate_hz: int, skip_clipped: bool = False) -> Decoded:
    """Decode a file and its twin, and decide whether they can be used.

    Args:
        entry: The recording.
        rate_hz: Sample rate of the samples.
        skip_clipped: Whether a clipped recording is of no use.
    """
    nothing, own = np.zeros(0, np.int16), identity(entry)
    try:
        audio, own_hz, clipped = samples_of(entry.path, rate_hz)
        twin = samples_of(entry.degraded, rate_hz)[0] if entry.degraded else None
    except (OSError, RuntimeError, ValueError) as error:
        return Decoded(nothing, None, rate_hz, own, fault=f"{UNREADABLE} ({error})")
    fault = ""
    if len(audio) < SHORTEST_S * rate_hz:
        fault = f"shorter than {SHORTEST_S} s"
    elif np.abs(audio).max() < 4:
        fault = "silent"
    elif twin is not None and abs(len(twin) - len(audio)) > 0.1 * rate_hz:
        fault = "its degraded twin has another length"
    if twin is not None and not fault:
        twin = np.pad(twin[: len(audio)], (0, max(0, len(audio) - len(twin))))
    if skip_clipped and clipped and not fault:
        fault = CLIPPED
    return Decoded(audio, twin, own_hz, own, measure(audio, rate_hz), fault, clipped)


def samples_of(path: str, rate_hz: int) -> tuple[NDArray[np.int16], int, bool]:
    """Decode a file.

    Returns:
        Mono int16 samples at *rate_hz*, the file's own rate, and whether the file is clipped.

    Raises:
        ValueError: a sample is NaN or infinite.
    """
    parts, full, total, stream = [], 0, 0, None
    for block, own_hz in _blocks(path):
        if not np.isfinite(block).all():
            raise ValueError("NaN or infinite samples")
        full, total = full + int((np.abs(block) >= 0.9999).sum()), total + block.size
        mono = block.mean(1)
        if own_hz != rate_hz:
            stream = stream or soxr.ResampleStream(own_hz, rate_hz, 1, "float32", "HQ")
            mono = stream.resample_chunk(mono)
        parts.append(_as_int16(mono))
    if stream:
        parts.append(_as_int16(stream.resample_chunk(np.zeros(0, np.float32), last=True)))
    audio = np.concatenate(parts) if parts else np.zeros(0, np.int16)
    return audio, own_hz if parts else rate_hz, full > CLIPPED_SHARE * max(total, 1)


def _blocks(path: str) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Yield blocks (samples, channels) of a file in float32, each with the sample rate."""
    file, row = array_row(path)
    if row is not None:  # 16 kHz
        data = np.load(file, mmap_mode="r")[row]
        scale = 32768.0 if data.dtype.kind == "i" else 1.0
        yield np.asarray(data, np.float32).reshape(-1, 1) / scale, 16_000
        return
    with SoundReader(path) as sound:
        for block in sound:
            yield block.T, sound.rate


def _as_int16(mono: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.asarray((mono * 32767).clip(-32768, 32767), np.int16)
