"""The formats of sound files: which name means which, and what each can hold.

A format ("WAV", "FLAC") is the kind of the file, and a subtype ("PCM_16", "VORBIS") is how it
stores samples. Both have the names of libsndfile.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import soundfile

from ..errors import AudioError
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

# Bits of the integers that a subtype stores or encodes. The other subtypes take floats.
BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
BITS |= {"ALAC_16": 16, "ALAC_20": 20, "ALAC_24": 24}
BITS |= dict.fromkeys(("ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610"), 16)
BITS |= dict.fromkeys(("G721_32", "G723_24", "G723_40"), 16)
# libsndfile 1.2.2 reads these subtypes, but cannot write them, or writes wrong samples (loud stereo
# noise as ALAC of over 16 bits). PCM_24 takes their place.
UNWRITABLE = {"ALAC_20", "ALAC_24", "ALAC_32", "MPEG_LAYER_I", "MPEG_LAYER_II"}
UNWRITABLE |= {"DWVW_12", "DWVW_16", "DWVW_24"}


class Encoded(Protocol):
    """Anything that knows the format and the subtype of a sound file, as an open `SoundReader`."""

    name: str
    format: str
    subtype: str


def encoding(path: str | Path, like: Encoded) -> tuple[str, str]:
    """Return the format and the subtype for an output called *path*.

    They are those of the file *like*, as far as the suffix of *path* allows. A name without a
    suffix, or `-`, gets those of *like*.

    Raises:
        AudioError: If the suffix means no format that can be written; the message lists them.
    """
    suffix = Path(path).suffix.lower()
    if not suffix or str(path) == STD or suffix == Path(like.name).suffix.lower():
        format, subtype = like.format, like.subtype
    elif suffix in SUFFIXES:
        format, own = SUFFIXES[suffix]
        subtype = own or like.subtype
    else:
        raise AudioError(
            f"{path}: no sound format is called {suffix}. Known: {', '.join(SUFFIXES)}"
        )
    choices = set(soundfile.available_subtypes(format)) - UNWRITABLE
    if subtype in choices:
        return format, subtype
    wide = subtype in ("FLOAT", "DOUBLE") or BITS.get(subtype, 32 if "32" in subtype else 0) > 16
    if wide and "PCM_24" in choices:
        return format, "PCM_24"
    return format, str(soundfile.default_subtype(format))
