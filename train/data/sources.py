"""Whose voice, or which recording, a file of a data set is: read from its folders and its name.

All files of a source are on one side of a split. So where a name does not tell, the first folder
is one source: too coarse a source wastes a split, too fine a one has a voice on both sides.
"""

from __future__ import annotations

import re
from pathlib import Path

# Speakers that a file's name carries, with or without a folder of their own.
SPEAKERS = tuple(
    re.compile(pattern)
    for pattern in (
        r"reader_\d+",  # DNS Challenge: book_02972_chp_0050_reader_02616_19
        r"(?<![a-z])[a-z]{2}[fm]_\d{5}(?=_\d{8})",  # SLR61: es_ar_female_arf_06592_00774535859
        r"^[ps]\d{1,3}(?=_\d{3})",  # VCTK: p225_001_mic1
        r"^\d+(?=-\d+-\d{4})",  # LibriSpeech: 19-198-0001
        r"^\d+(?=_\d+_\d{6})",  # LibriTTS, MLS: 19_198_000000_000002
        r"^\d{4}(?=_[A-Z]{3}_[A-Z]{3}_)",  # CREMA-D: 1001_DFA_ANG_XX
    )
)
PIECE = re.compile(r"(?i)(freesound\D*\d+)_\d+$")  # DNS: fan_Freesound_validated_361372_19


def below(path: Path, root: Path) -> str:
    """Return the first folder of *path* below *root*, or else the file's own name."""
    parts = path.relative_to(root).parts
    return parts[0] if len(parts) > 1 else path.stem


def in_chapters(path: Path) -> bool:
    """Whether a file is named as in LibriSpeech: SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER."""
    speaker, chapter = path.parts[-3:-1] if len(path.parts) > 2 else ("", "")
    return bool(speaker) and path.stem.startswith(
        (f"{speaker}-{chapter}-", f"{speaker}_{chapter}_")
    )


def speaker(path: Path, root: Path) -> str:
    """Return the speaker of a file below *root*.

    It is in the file's name (see `SPEAKERS`), or it is the folder of LibriSpeech's kind
    (SPEAKER/CHAPTER/SPEAKER-CHAPTER-..), of VCTK's (SPEAKER/SPEAKER_..) or of M-AILABS'
    (by_book/GENDER/SPEAKER/..), or else the first folder, or the file.
    """
    for pattern in SPEAKERS:
        if found := pattern.search(path.stem):
            return found.group()
    parts = path.relative_to(root).parts[:-1]
    if len(parts) > 1 and in_chapters(path):
        return parts[-2]
    if parts and path.stem.startswith((f"{parts[-1]}_", f"{parts[-1]}-")):
        return parts[-1]
    if "by_book" in parts and len(parts) > parts.index("by_book") + 2:
        return parts[parts.index("by_book") + 2]
    return below(path, root)


def recording(path: Path, root: Path) -> str:
    """Return the recording that a file of noise is, or was cut from."""
    name = path.relative_to(root).with_suffix("").as_posix()
    piece = PIECE.search(name)
    return name[: piece.end(1)] if piece else name
