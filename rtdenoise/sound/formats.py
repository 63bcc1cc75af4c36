"""The formats of sound files: which name means which, and what each can hold.

A format ("WAV", "FLAC") is the kind of the file, and a subtype ("PCM_16", "VORBIS") is how it
stores samples. Both have the names of libsndfile.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import numpy as np
import soundfile

from ..errors import AudioError, Problem
from .pending import STD

# Format and subtype of libsndfile by the suffix of a name; None is the format's usual subtype.
SUFFIXES: dict[str, tuple[str, str | None]] = {
    ".wav": ("WAV", None),
    ".wave": ("WAV", None),
    ".bwf": ("WAV", None),
    ".w64": ("W64", None),
    ".rf64": ("RF64", None),
    ".aif": ("AIFF", None),
    ".aiff": ("AIFF", None),
    ".aifc": ("AIFF", None),
    ".flac": ("FLAC", None),
    ".ogg": ("OGG", None),
    ".oga": ("OGG", None),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", None),
    ".caf": ("CAF", None),
    ".au": ("AU", None),
    ".snd": ("AU", None),
    ".voc": ("VOC", None),
    ".avr": ("AVR", None),
    ".sph": ("NIST", None),
}

# Names that mean a file which FFmpeg reads and libsndfile does not, and FFmpeg's name of the format
# that writes it. None: there is none, or not for the codecs that such files hold.
MEDIA: dict[str, str | None] = {
    ".m4a": "ipod",
    ".m4b": "ipod",
    ".m4v": "mp4",
    ".mp4": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".mka": "matroska",
    ".webm": "webm",
    ".aac": "adts",
    ".wma": "asf",
    ".wmv": "asf",
    ".avi": "avi",
    ".flv": "flv",
    ".ts": "mpegts",
    ".3gp": "3gp",
    ".ac3": "ac3",
    ".ape": None,
    ".amr": None,
    ".wv": None,
    ".tta": None,
    ".mpc": None,
}

# Bits of the integers that a subtype stores or encodes. The other subtypes take floats.
BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
BITS |= {"ALAC_16": 16, "ALAC_20": 20, "ALAC_24": 24}
BITS |= dict.fromkeys(("ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610"), 16)
BITS |= dict.fromkeys(("G721_32", "G723_24", "G723_40"), 16)
BITS |= dict.fromkeys(("NMS_ADPCM_16", "NMS_ADPCM_24", "NMS_ADPCM_32"), 16)
# Subtypes whose encoder is told a bit rate.
LOSSY = ("VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")
# libsndfile 1.2.2 writes wrong samples into these (loud stereo noise as ALAC of over 16 bits). The
# other subtypes that it cannot write are found by `holds`.
UNWRITABLE = {"ALAC_20", "ALAC_24", "ALAC_32"}
# Codecs that have an order of loudspeakers of their own: L C R where others have L R C. Of 6 to 8
# channels they make the last one the subwoofer's, and remove all but the bass from it.
XIPH = ("VORBIS", "OPUS")
# Bytes of samples after which the size in the header of a format wraps around.
MAX_BYTES = dict.fromkeys(("WAV", "WAVEX", "AIFF", "AU", "AVR"), 4_290_000_000)
MAX_BYTES["VOC"] = 16_770_000


def is_media(path: str | Path) -> bool:
    """Return whether the name of *path* means a file that PyAV reads."""
    return Path(path).suffix.lower() in MEDIA


def readable() -> list[str]:
    """Return the suffixes of all files that can be read with what is installed."""
    return [*SUFFIXES, *(MEDIA if find_spec("av") else ())]


class Encoded(Protocol):
    """Anything that knows how a sound file is stored, as an open `SoundReader`."""

    name: str
    format: str
    subtype: str
    rate: int
    channels: int


@lru_cache(4096)
def holds(format: str, subtype: str, rate: int, channels: int) -> bool:
    """Return whether a file with this encoding can be written, and reads as it was written.

    A short file is written, because libsndfile's own check does not look at the rate: HTK makes
    44247 Hz of 44100, and VOC makes 16129 Hz of 16000 if it stores 8 bits. It is on the disk,
    because libsndfile 1.2.2 cannot open every mp3 in memory.
    """
    if format == "SD2":  # its header is a second file, which a pending output does not have
        return False
    count = 4000  # mp3 needs two frames
    with TemporaryDirectory() as folder:
        path = str(Path(folder, "probe"))
        try:
            with soundfile.SoundFile(path, "w", rate, channels, subtype, format=format) as written:
                written.write(np.zeros((count, channels), np.float32))
            with soundfile.SoundFile(path) as read:
                return (rate, channels) == (read.samplerate, read.channels) and read.frames >= count
        except (soundfile.LibsndfileError, ValueError, AssertionError):
            return False


def encoding(path: str | Path, like: Encoded) -> tuple[str, str]:
    """Return the format and the subtype for an output called *path*.

    They are those of the file *like*, as far as the suffix of *path*, the rate and the channels
    allow. A name without a suffix, or `-`, gets the format of *like*.

    Raises:
        AudioError: If the suffix means no format that can be written, or one that cannot hold the
            rate and the channels of *like*; the message lists those that can.
    """
    suffix = Path(path).suffix.lower()
    if not suffix or str(path) == STD or suffix == Path(like.name).suffix.lower():
        format, own = like.format, None
    elif suffix in SUFFIXES:
        format, own = SUFFIXES[suffix]
    else:
        raise AudioError(
            f"{path}: no sound format is called {suffix}. Known: {', '.join(SUFFIXES)}"
        )
    subtype = _subtype(format, own, like)
    if subtype is None:
        kind = f"{format} {own}" if own else format
        raise AudioError(
            f"{path}: {kind} cannot hold {like.channels} channels at {like.rate} Hz. These can: "
            f"{', '.join(suffixes(like))}",
            Problem.FORMAT,
        )
    return format, subtype


def _subtype(format: str, own: str | None, like: Encoded) -> str | None:
    """Return the subtype of *format* that loses least of *like*. None: none holds it.

    The decoder of a lossy file computes in floats, and its rounding to 16 bits would add noise at
    -98 dB that the file does not have. It becomes 24 bits, which all players know, unlike floats.
    """
    usual = str(soundfile.default_subtype(format))
    wide = ["PCM_24"] if bits(like) > 16 else []
    wanted = [own] if own else [like.subtype, *wide, usual]
    choices = set(soundfile.available_subtypes(format)) - UNWRITABLE
    if 6 <= like.channels <= 8 and like.subtype not in XIPH:
        choices -= set(XIPH)
    for subtype in wanted:
        if subtype in choices and holds(format, subtype, like.rate, like.channels):
            return subtype
    return None


def bits(like: Encoded) -> int:
    """Return how many bits a sample of *like* has; floats and lossy formats count as 24."""
    return BITS.get(like.subtype, 32 if "32" in like.subtype else 24)


def suffixes(like: Encoded, size: int = 0) -> list[str]:
    """Return the suffixes of the formats that hold *like* with *size* bytes of samples."""
    return [
        suffix
        for suffix, (format, own) in SUFFIXES.items()
        if size <= MAX_BYTES.get(format, size) and _subtype(format, own, like)
    ]
