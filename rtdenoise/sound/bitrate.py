"""Bit rates of lossy files: what a file has, and what an encoder must be told to give as much.

libsndfile takes a level from 0 (best) to 1 (smallest), which means something else to each encoder
(mpeg_l3_encode.c, ogg_vorbis.c and ogg_opus.c of libsndfile 1.2.2):

* mp3, at a constant rate: a straight line from the highest rate to the lowest, in kb/s.
* opus: a straight line from 256 to 6 kb/s a channel. The encoder varies around it.
* vorbis: the quality, 1 - level. What rate this aims at depends on libvorbis' tables; an encoder
  writes it into the header of its file, where we read it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any, Protocol

import numpy as np
import soundfile
from mutagen import MutagenError
from mutagen.mp3 import BitrateMode, MPEGInfo
from mutagen.ogg import OggPage
from mutagen.oggvorbis import OggVorbisInfo

from ..errors import AudioError, Problem
from .formats import LOSSY, Encoded

# The constant rates of layer III in kb/s: of MPEG-1, from 32 kHz, and of MPEG-2 and 2.5, below
# (ISO 11172-3, ISO 13818-3).
MPEG1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
MPEG2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_LAME_TAG = 192  # bytes at most, with the head of the frame
_OPUS = (6, 256)  # kb/s a channel
# Without a lossy input to equal: kb/s a channel of mp3 and opus, level of vorbis (its quality 6).
_USUAL_MP3, _USUAL_OPUS, _USUAL_VORBIS = 96, 64, 0.4


@dataclass(frozen=True)
class BitRate:
    """The bit rate of the audio in a file, without tags and pictures.

    Attributes:
        mean: Bits of the audio by its length, in kb/s.
        aim: Rate that the encoder was told, in kb/s. In vorbis and opus it is above the mean if
            there are pauses, and only an encoder that is told the same keeps the quality.
    """

    mean: float
    aim: float


class Source(Encoded, Protocol):
    """A sound file that knows its bit rate, as an open `SoundReader`."""

    @property
    def bit_rate(self) -> BitRate | None:
        """The bit rate of a lossy file."""
        ...


def measure(file: IO[bytes], subtype: str, seconds: float) -> BitRate | None:
    """Return the bit rate of a lossy file; None: its subtype has none, or it cannot be measured.

    Args:
        file: The bytes of the file.
        subtype: Its subtype: "VORBIS", "OPUS" or "MPEG_LAYER_III"; others have no bit rate.
        seconds: Length of the audio.
    """
    if subtype not in LOSSY or not seconds:
        return None
    file.seek(0)
    try:
        if subtype == "VORBIS":
            return _vorbis(file, seconds)
        return _opus(file) if subtype == "OPUS" else _mpeg(file, seconds)
    except (MutagenError, EOFError, IndexError, ValueError):
        return None


def _mpeg(file: IO[bytes], seconds: float) -> BitRate:
    """Return the bit rate that the header knows, or that the size tells."""
    info = MPEGInfo(file)
    kbps = info.bitrate / 1000
    if info.bitrate_mode is BitrateMode.UNKNOWN:  # the first frame's own rate may be any
        kbps = max(kbps, _kbps(file.seek(0, 2) - info.frame_offset, seconds))
    return BitRate(kbps, kbps)


def _vorbis(file: IO[bytes], seconds: float) -> BitRate:
    """Return the bit rate of the packets, and the nominal one."""
    nominal = OggVorbisInfo(file).bitrate / 1000
    file.seek(0)
    mean = _kbps(sum(len(p) for p in _packets(file) if not p[0] & 1), seconds)  # headers are odd
    return BitRate(mean, nominal or mean)


def _opus(file: IO[bytes]) -> BitRate:
    """Return the bit rate of the packets, and what the encoder was told.

    The header does not tell it. Of the packets that hold sound most are within 10 % of it; a few
    are up to 1.7 times as large. Those of a pause can be empty.
    """
    sizes, lengths = np.array(
        [
            (len(packet), _opus_seconds(packet))
            for packet in _packets(file)
            if not packet.startswith((b"OpusHead", b"OpusTags"))
        ]
    ).T
    rates = _kbps(sizes, lengths)
    sound = rates[rates >= np.quantile(rates, 0.95) / 2]
    return BitRate(float(_kbps(sizes.sum(), lengths.sum())), float(np.quantile(sound, 0.7)))


def _opus_seconds(packet: bytes) -> float:
    """Return the length of a packet by its first bytes (RFC 6716, 3.1)."""
    config = packet[0] >> 3
    if config < 12:  # speech, both, music
        ms = (10.0, 20.0, 40.0, 60.0)[config % 4]
    else:
        ms = (10.0, 20.0)[config % 2] if config < 16 else (2.5, 5.0, 10.0, 20.0)[config % 4]
    frames = packet[1] & 63 if packet[0] & 3 == 3 else 1 + (packet[0] & 3 > 0)
    return ms * frames / 1000


def _packets(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the packets of an Ogg file that are not empty, until its end or damage."""
    rest = b""
    while True:
        try:
            page = OggPage(file)
        except (MutagenError, EOFError):
            return
        packets = list(page.packets)
        if page.continued and packets:
            packets[0] = rest + packets[0]
        rest = packets.pop() if packets and not page.complete else b""
        yield from filter(None, packets)


def _kbps(size: Any, seconds: Any) -> Any:
    """Return kb/s of *size* bytes."""
    return 8 * size / seconds / 1000


def limits(subtype: str, rate: int, channels: int) -> tuple[float, float] | None:
    """Return the lowest and the highest bit rate that can be asked for in kb/s. None: none can.

    A vorbis file above 50 kHz has no bit rate to ask for, because libvorbis has no table for it:
    such a file gets the best quality that there is.
    """
    if subtype == "MPEG_LAYER_III":
        rates = _mp3_rates(rate)
        return rates[0], rates[-1]
    if subtype == "OPUS":
        return _OPUS[0] * channels, _OPUS[1] * channels
    if subtype != "VORBIS":
        return None
    low, high = (_nominal(level, rate, channels) for level in (1.0, 0.0))
    return (low, high) if low > 0 else None


def _mp3_rates(rate: int) -> tuple[int, ...]:
    """Return the constant rates of mp3 in kb/s that libsndfile gives at *rate* Hz.

    The lowest ones are left out, because their frames have no room for LAME's tag, and without it
    a decoder does not know the delay: such a file is late and too long.
    """
    samples, rates = (1152, MPEG1) if rate >= 32_000 else (576, MPEG2)
    room = rate * 8 * _LAME_TAG / samples / 1000
    return tuple(kbps for kbps in rates if room <= kbps <= _mp3_span(rate)[1])


def _mp3_span(rate: int) -> tuple[int, int]:
    """Return what libsndfile takes for the lowest and the highest rate of mp3 at *rate* Hz."""
    if rate >= 32_000:
        return MPEG1[0], MPEG1[-1]
    return MPEG2[0], MPEG2[-1] if rate >= 16_000 else 64


def chosen(subtype: str, source: Source) -> float | None:
    """Return the bit rate in kb/s with which an output keeps the quality of its input.

    It is that of the input, as far as the output's encoder goes. Another codec than the input's
    also gets its `usual` one at least, because codecs differ in what they need. So does vorbis, as
    a low quality makes a fifth less of its own output than of the original.

    Args:
        subtype: Subtype of the output.
        source: The open input.

    Returns:
        The bit rate. None: the input or the output has none, or none that can be chosen.
    """
    span = limits(subtype, source.rate, source.channels)
    if span is None or source.bit_rate is None:
        return None
    aim = max(source.bit_rate.aim, span[0])
    if subtype != source.subtype or subtype == "VORBIS":
        aim = max(aim, usual(subtype, source.rate, source.channels))
    return min(aim, span[1])


def usual(subtype: str, rate: int, channels: int) -> float:
    """Return the bit rate for sound that was not lossy, in kb/s.

    mp3 gets 96 kb/s a channel or the most there is at this rate, opus 64 a channel, and vorbis what
    its quality 6 aims at, as 192 kb/s for stereo at 44.1 and 48 kHz.
    """
    if subtype == "OPUS":
        return _USUAL_OPUS * channels
    if subtype == "VORBIS":
        return _nominal(_USUAL_VORBIS, rate, channels)
    return min(_USUAL_MP3 * channels, _mp3_rates(rate)[-1])


@lru_cache(256)
def settings(subtype: str, rate: int, channels: int, kbps: float | None) -> dict[str, Any]:
    """Return what `soundfile` must be told, so that a lossy file gets *kbps* or a little more.

    Args:
        subtype: Subtype of the file; one without a bit rate needs no settings.
        rate: Sample rate in Hz.
        channels: Channel count.
        kbps: Bit rate in kb/s within the `limits`. None: the usual one.

    Raises:
        AudioError: If *kbps* is out of range, or there is nothing to choose.
    """
    span = limits(subtype, rate, channels)
    if span is None:
        if kbps is not None:
            raise AudioError(
                f"{subtype} has no bit rate to choose at {rate} Hz, got {kbps:g} kb/s. mp3, opus "
                "and ogg (up to 50 kHz) have one",
                Problem.BIT_RATE,
            )
        return {"compression_level": 0.0} if subtype == "VORBIS" else {}
    low, high = span
    kbps = usual(subtype, rate, channels) if kbps is None else kbps
    if not low <= kbps <= high:
        raise AudioError(
            f"{subtype} takes {low:.0f} to {high:.0f} kb/s for {channels} channels at {rate} Hz, "
            f"got {kbps:g}",
            Problem.BIT_RATE,
        )
    if subtype == "VORBIS":
        return {"compression_level": _vorbis_level(kbps, rate, channels)}
    if subtype == "OPUS":
        return {"compression_level": (high - kbps) / (high - low)}
    # The next rate up; but 131 kb/s by measurement is 128. libsndfile rounds down.
    step = next(step for step in _mp3_rates(rate) if step >= 0.97 * kbps)
    lowest, highest = _mp3_span(rate)
    level = max(0.0, (highest - step - 0.5) / (highest - lowest))
    return {"compression_level": level, "bitrate_mode": "CONSTANT"}


def _vorbis_level(kbps: float, rate: int, channels: int) -> float:
    """Return the level whose nominal rate is *kbps* or a little more, by bisection."""
    best, worst = 0.0, 1.0
    if _nominal(worst, rate, channels) >= kbps:
        return worst
    for _ in range(12):
        level = (best + worst) / 2
        best, worst = (level, worst) if _nominal(level, rate, channels) >= kbps else (best, level)
    return best


@lru_cache(256)
def _nominal(level: float, rate: int, channels: int) -> float:
    """Return the rate in kb/s that the header of a vorbis file of this *level* tells, or 0."""
    file = io.BytesIO()
    with soundfile.SoundFile(
        file, "w", rate, channels, "VORBIS", format="OGG", compression_level=level
    ):
        pass
    file.seek(0)
    return float(OggVorbisInfo(file).bitrate / 1000)
