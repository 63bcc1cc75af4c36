"""Sound files for tests: noise, written and read in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from rtdenoise.sound.reader import SoundReader
from rtdenoise.sound.writer import SoundWriter

LOSSLESS = [
    (form, subtype)
    for form in ("WAV", "WAVEX", "W64", "RF64", "AIFF", "AU", "CAF", "FLAC")
    for subtype in ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE", "ALAC_16")
    if subtype in soundfile.available_subtypes(form)
]


def noise(rng, channels, count, level=0.3):
    """White, (channels, count), short of full scale."""
    return np.clip(rng.standard_normal((channels, count)) * level, -0.98, 0.98).astype(np.float32)


def notes(rate, seconds=10.0, seed=3):
    """Chords of eight harmonics each that change twice a second."""
    random, parts = np.random.default_rng(seed), []
    places = np.arange(rate // 2) / rate
    for _ in range(round(2 * seconds)):
        pitches_hz = 220 * 2 ** (random.choice(24, 3, replace=False) / 12)
        parts.append(
            sum(
                np.sin(2 * np.pi * hz * k * places) / k * np.exp(-2 * places)
                for hz in pitches_hz
                for k in range(1, 9)
            )
        )
    return (0.05 * np.concatenate(parts)[None]).astype(np.float32)


def write(path, audio, rate=48_000, form="WAV", subtype="FLOAT", **more):
    """Write *audio*; returns the writer, which has counted."""
    with SoundWriter(path, rate, audio.shape[0], form, subtype, overwrite=True, **more) as writer:
        writer.write(audio)
    return writer


def read(path, block=1000):
    """All of a file, (channels, samples)."""
    with SoundReader(path, block) as reader:
        parts = [np.zeros((reader.channels, 0), np.float32), *reader]
        return np.concatenate(parts, axis=1)


def lag(late, early):
    """Samples by which *late* is behind *early*, both (n,), by correlation."""
    size = 1 << (len(late) + len(early)).bit_length()
    both = np.fft.irfft(np.fft.rfft(late, size) * np.conj(np.fft.rfft(early, size)))
    at = int(np.argmax(both))
    return at - size if at > size // 2 else at


def tell_files(folder):
    """Names in a folder, hidden ones included."""
    return sorted(p.name for p in Path(folder).iterdir())
