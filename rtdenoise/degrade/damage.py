"""Steps that lose something (codecs, clipping, lost packets, quantising), gain, users' steps."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import scipy.fft
import soundfile
import soxr
from numpy.typing import NDArray

from ..audio import db_to_gain
from ..chain.native import gsm
from ..core.named import find_named
from ..errors import UsageError, last_line
from .batch import Batch

CODEC_RATES_HZ = {"gsm": (8000,), "mp3": (16_000, 48_000), "opus": (8000, 16_000, 24_000, 48_000)}
PAD_S = 0.2  # length of the padding; the codecs delay by less


def codec(batch: Batch, draws: list[dict[str, Any]]) -> None:
    """Encode and decode every row; the delay of the codec is measured and compensated."""
    for row, d in enumerate(draws):
        if batch.samples:
            batch.audio[row] = _coded(batch.audio[row], batch.rate_hz, d["codec"], d["kbps"])


def _coded(sound: NDArray[np.float32], rate_hz: int, name: str, kbps: float) -> NDArray[np.float32]:
    """Return *sound* (channels, samples) after a codec, as long as before and aligned with it."""
    rates = CODEC_RATES_HZ[name]
    inner_hz = min((r for r in rates if r >= rate_hz), default=rates[-1])
    padded = np.pad(sound, ((0, 0), (0, round(PAD_S * rate_hz))))
    inside = _at(padded, rate_hz, inner_hz)
    coded = gsm(inside, inner_hz) if name == "gsm" else transcoded(inside, inner_hz, name, kbps)
    back = _at(coded, inner_hz, rate_hz)
    lag = delay(back[0], sound[0], round(PAD_S * rate_hz))
    back = np.pad(back, ((0, 0), (max(0, -lag), sound.shape[1])))[:, max(0, lag) :]
    return np.ascontiguousarray(back[:, : sound.shape[1]])


def transcoded(
    sound: NDArray[np.float32], rate_hz: int, name: str, kbps: float
) -> NDArray[np.float32]:
    """Return *sound* (channels, samples) after mp3 or opus of libsndfile, late by the codec.

    Args:
        sound: The sound, float32, full scale 1.0.
        rate_hz: Sample rate of the sound in Hz.
        name: Name of the codec, "mp3" or "opus".
        kbps: Bit rate in kbit/s, as near as libsndfile can set it.
    """
    channels = sound.shape[0]
    # libsndfile maps a level of 0 to 1 to the bit rates of the codec; 1 is the lowest rate.
    low, high = (32.0, 320.0) if name == "mp3" else (6.0 * channels, 256.0 * channels)
    if name == "mp3" and rate_hz < 32_000:
        low, high = 8.0, 160.0
    level = min(0.99, max(0.0, (high - kbps) / (high - low)))  # mp3 refuses 1.0
    how: dict[str, Any] = {"compression_level": level}
    how |= {"format": "OGG", "subtype": "OPUS"}
    if name == "mp3":
        how |= {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT"}
    data = io.BytesIO()
    with soundfile.SoundFile(data, "w", rate_hz, channels, **how) as out:
        out.write(sound.T)
    data.seek(0)
    return np.ascontiguousarray(soundfile.read(data, dtype="float32", always_2d=True)[0].T)


def _at(sound: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """Return *sound* (channels, samples) at another sample rate."""
    if from_hz == to_hz:
        return sound
    return np.ascontiguousarray(soxr.resample(sound.T, from_hz, to_hz, quality="HQ").T)


def delay(late: NDArray[np.float32], early: NDArray[np.float32], most: int) -> int:
    """Return the samples by which *late* (n,) follows *early* (m,), by their correlation.

    Args:
        late: The later sound.
        early: The earlier sound.
        most: Largest delay that is looked for, in either direction.
    """
    size = int(scipy.fft.next_fast_len(len(late) + len(early), real=True))
    spectrum = scipy.fft.rfft(late, size) * np.conj(scipy.fft.rfft(early, size))
    correlation = scipy.fft.irfft(spectrum, size)
    lags = np.concatenate((correlation[-most:], correlation[: most + 1]))
    return int(np.argmax(lags)) - most if np.any(lags) else 0


def clip(batch: Batch, draws: list[dict[str, Any]]) -> None:
    """Clip every row at a level relative to its peak."""
    for row, d in enumerate(draws):
        peak = float(np.abs(batch.audio[row]).max(initial=0.0)) * db_to_gain(d["level_db"])
        batch.audio[row] = batch.audio[row].clip(-peak, peak)


def packetloss(batch: Batch, draws: list[dict[str, Any]]) -> None:
    """Lose packets in bursts (Gilbert 1960): half or more of those after a lost one are lost."""
    for row, (d, rng) in enumerate(zip(draws, batch.rngs, strict=True)):
        size = max(1, round(d["packet_ms"] * batch.rate_hz / 1000))
        share = d["lost_percent"] / 100
        # In the long run, the share begin / (begin + 1 - again) of the packets is lost. A share
        # above a half would need a `begin` above 0.5, so that heavy loss has longer bursts.
        again = max(0.5, share)
        begin = share * (1 - again) / (1 - share)
        lost, sound = bool(rng.random() < share), batch.audio[row]
        for at in range(0, batch.samples, size):
            packet = sound[:, at : at + size]
            if lost and d["fill"] == "repeat" and at >= size:
                packet[:] = sound[:, at - size : at][:, : packet.shape[1]]
            elif lost:
                packet[:] = 0.0
            lost = bool(rng.random() < (again if lost else begin))


def quantise(batch: Batch, draws: list[dict[str, Any]]) -> None:
    """Quantise every row to a number of bits, without dither."""
    for row, d in enumerate(draws):
        steps = 2.0 ** (round(d["bits"]) - 1)
        batch.audio[row] = np.round(batch.audio[row] * steps) / steps


def gain(batch: Batch, draws: list[dict[str, Any]]) -> None:
    """Change the level of every row and of its reference, because a level is no damage."""
    factors = np.array([db_to_gain(d["gain_db"]) for d in draws], np.float32)[:, None, None]
    batch.audio *= factors
    batch.reference *= factors


def user(batch: Batch, draws: list[dict[str, Any]], place: str) -> None:
    """Call a user's function on every row.

    Args:
        batch: The rows.
        draws: The function's own parameters, by name, for each row.
        place: The function as `module:name`. It takes (audio (channels, samples), rate_hz, rng,
            **parameters), and returns audio of the same shape.

    Raises:
        UsageError: If there is no such function, it raises, or it returns another shape or NaN.
    """
    function = find_named(place, "step")
    for row, (d, rng) in enumerate(zip(draws, batch.rngs, strict=True)):
        try:
            changed = np.asarray(function(batch.audio[row], batch.rate_hz, rng, **d), np.float32)
        except Exception as error:  # whatever a user's function raises
            raise UsageError(f"the step {place} raised {last_line(error)}") from error
        if changed.shape != batch.audio[row].shape:
            raise UsageError(
                f"{place} gave shape {changed.shape}: wanted {batch.audio[row].shape} "
                "(channels, samples), as of its input"
            )
        if not np.isfinite(changed).all():
            raise UsageError(f"the step {place} gave NaN or infinity")
        batch.audio[row] = changed
