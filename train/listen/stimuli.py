"""The stimuli of a listening test: systems, hidden reference and anchors, at equal loudness."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile as sf
from scipy.signal import firwin, oaconvolve

from rtdenoise.audio import Samples
from rtdenoise.errors import AudioError, UsageError

from ..errors import ArgumentError
from ..evaluate.checks import link
from ..evaluate.pairs import MAX_APART_S, read, shifted, sounds
from ..extras import needed

REFERENCE = "reference"
LOUDNESS_LUFS = -23.0  # EBU R 128
LATE_S = 0.01  # delay from which a warning is given


@dataclass(frozen=True)
class Test:
    """The sounds of a listening test.

    Attributes:
        items: Names of the files that are rated.
        systems: Names of the stimuli of an item: the systems, the hidden reference, anchors.
        wavs: Contents of WAV files by (item, system).
        digest: SHA-256 of all WAV files, which keeps ratings of different sounds apart.
        warnings: Messages for the person who sets up the test.
    """

    items: tuple[str, ...]
    systems: tuple[str, ...]
    wavs: Mapping[tuple[str, str], bytes]
    digest: str
    warnings: list[str] = field(default_factory=list)


def prepare(
    reference: Path, folders: Mapping[str, Path], items: int, anchors_hz: tuple[float, ...] = ()
) -> Test:
    """Read and check all files, align their loudness and encode them.

    Args:
        reference: Folder of the clean files.
        folders: Folder of each system's outputs, which have the same file names.
        items: Number of files, chosen evenly over the sorted names.
        anchors_hz: Cut-offs of the low-passed references that serve as anchors.

    Raises:
        UsageError: a folder or file is missing, or a file is silent or has another rate or length.
    """
    if not reference.is_dir():
        raise ArgumentError(f"there is no folder {reference} of clean files", "reference")
    clean = sounds(reference)
    theirs = {name: sounds(f) if f.is_dir() else {} for name, f in folders.items()}
    for name, files in theirs.items():
        if missing := sorted(clean.keys() - files.keys()):
            raise UsageError(
                f"system {name}: there is no {missing[0]} in {folders[name]} ({len(missing)} of "
                f"{len(clean)} are missing); wanted a file for each in {reference}"
            )
    if not clean or items < 1:
        raise UsageError(
            f"{reference} has {len(clean)} sound files; {items} of them are nothing to rate"
        )
    at = np.linspace(0, len(clean) - 1, min(items, len(clean))).round().astype(int)
    chosen = [sorted(clean)[i] for i in at]
    warnings: list[str] = []
    wavs: dict[tuple[str, str], bytes] = {}
    systems: list[str] = []
    for item in chosen:
        signals, rate_hz = _signals(item, clean[item], theirs, warnings)
        for hz in anchors_hz:
            if hz < 0.45 * rate_hz:
                signals[f"anchor {hz / 1000:g} kHz"] = lowpass(signals[REFERENCE], rate_hz, hz)
        systems = systems or list(signals)
        if list(signals) != systems:
            raise UsageError(f"{item} is at {rate_hz} Hz: its anchors differ from other items'")
        for name, audio in equally_loud(item, signals, rate_hz).items():
            wavs[item, name] = encode(audio, rate_hz)
    digest = hashlib.sha256(b"".join(hashlib.sha256(w).digest() for w in wavs.values())).hexdigest()
    return Test(tuple(chosen), tuple(systems), wavs, digest, warnings)


def _signals(
    item: str, clean: Path, theirs: Mapping[str, Mapping[str, Path]], warnings: list[str]
) -> tuple[dict[str, Samples], int]:
    try:
        reference, rate_hz = read(clean)
        outputs = {name: read(files[item]) for name, files in theirs.items()}
    except AudioError as error:
        raise UsageError(str(error)) from None
    signals = {REFERENCE: reference}
    for name, (audio, hz) in outputs.items():
        apart = abs(audio.shape[1] - reference.shape[1])
        if hz != rate_hz or audio.shape[0] != reference.shape[0] or apart > MAX_APART_S * rate_hz:
            raise UsageError(
                f"{item} of {name} has {hz} Hz, {audio.shape[0]} channels, {audio.shape[1]} "
                f"samples; the reference has {rate_hz} Hz, {reference.shape[0]}, "
                f"{reference.shape[1]}"
            )
        signals[name] = fitted = shifted(audio, 0, reference.shape[1])
        late = link(fitted[0], reference[0], rate_hz)
        if late.correlation > 0.3 and abs(late.lag) > LATE_S * rate_hz:
            warnings.append(
                f"{item} of {name} comes {1e3 * late.lag / rate_hz:.0f} ms late: switching between "
                "stimuli will skip"
            )
    return signals, rate_hz


def lowpass(audio: Samples, rate_hz: int, cutoff_hz: float) -> Samples:
    """Low-pass *audio* with linear phase and no delay: an anchor of MUSHRA (ITU-R BS.1534-3)."""
    taps = firwin(1023, cutoff_hz, fs=rate_hz)
    return np.asarray(oaconvolve(audio, taps[None], mode="same", axes=1), np.float32)


def equally_loud(item: str, signals: Mapping[str, Samples], rate_hz: int) -> dict[str, Samples]:
    """Bring all signals to -23 LUFS (ITU-R BS.1770), or equally lower to keep peaks below 1.

    Raises:
        UsageError: a signal is silent, holds NaN, or is too short to have a loudness.
    """
    meter = needed("pyloudnorm").Meter(rate_hz)
    out = {}
    for name, audio in signals.items():
        try:
            lufs = meter.integrated_loudness(audio.T.astype(np.float64))
        except ValueError:
            raise UsageError(f"{item} is shorter than the 0.4 s of a loudness block") from None
        if not np.isfinite(lufs) or not np.isfinite(audio).all():
            raise UsageError(f"{item} of {name} is silent, or holds NaN")
        out[name] = audio * np.float32(10 ** ((LOUDNESS_LUFS - lufs) / 20))
    peak = max(float(np.abs(audio).max()) for audio in out.values())
    return {name: np.asarray(audio / max(1.0, peak / 0.99)) for name, audio in out.items()}


def encode(audio: Samples, rate_hz: int) -> bytes:
    """Encode *audio* as a 16-bit WAV file, which every browser plays."""
    data = io.BytesIO()
    sf.write(data, audio.T, rate_hz, "PCM_16", format="WAV")
    return data.getvalue()
