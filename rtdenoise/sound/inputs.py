"""What a user names as input: which files it means, and whether they can be read at all."""

from __future__ import annotations

import glob
import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from ..errors import AudioError, Problem, printable, reason_of
from .formats import MEDIA, readable
from .pending import STD

# Suffixes of sound and video, of which a user expects that they are processed.
SOUND_AND_VIDEO = {".dff", ".dsf", ".dts", ".mp1", ".mp2", ".mpeg", ".mpg", ".mts", ".raw", ".spx"}
SOUND_AND_VIDEO |= {".vob"}
KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass
class Found:
    """The sound files that a name means.

    Attributes:
        files: (file, its place in a mirrored tree) for each.
        named: Whether the user named the file, and not a folder or a pattern that holds it.
        skipped: Sound files and videos in folders whose suffix is of no format that is read, and
            links to folders, which may lead in a circle.
        errors: (name, error) for each folder that cannot be searched.
    """

    files: list[tuple[str, str]] = field(default_factory=list)
    named: bool = False
    skipped: list[str] = field(default_factory=list)
    errors: list[tuple[str, AudioError]] = field(default_factory=list)


def expand(name: str, recursive: bool, outputs: str | None, several: bool) -> Found:
    """Return the files that *name* means: a file, a folder, a pattern, or `-` for stdin.

    Args:
        name: What the user named.
        recursive: Whether folders are searched for sound files; otherwise they are errors.
        outputs: Folder of the outputs, which is not searched. None: there is none.
        several: Whether there are several folders, which are then mirrored under their own names.

    Raises:
        AudioError: If there are no such files.
    """
    if not name:
        raise AudioError("got an empty name, wanted the name of a file")
    if name != STD and os.path.isdir(name):
        if not recursive:
            text = f"{printable(name)} is a folder, wanted a sound file"
            raise AudioError(text, Problem.FOLDER_IN)
        return _search(name, outputs, several)
    if name != STD and not os.path.lexists(name) and glob.has_magic(name):
        files = [Path(f) for f in sorted(glob.glob(name, recursive=True)) if not Path(f).is_dir()]  # noqa: PTH207 - a pattern may be absolute
        avoid = None if outputs is None else Path(outputs).resolve()
        files = [f for f in files if avoid is None or avoid not in f.resolve().parents]
        if not files:
            raise AudioError(f"no file matches {printable(name)}. Is the folder right?")
        return Found([(str(f), f.name) for f in files])
    return Found([(name, Path(name).name)], named=True)


def _search(name: str, outputs: str | None, several: bool) -> Found:
    """Return the sound files in the folder *name*."""
    found, folder, known = Found(), Path(name), readable()
    avoid = Path(outputs).resolve() if outputs is not None else None
    if avoid == folder.resolve():
        avoid = None  # outputs replace their inputs, which each job checks for itself
    base = folder.resolve().parent if several else folder.resolve()

    def told(error: OSError) -> None:
        where = str(error.filename or name)
        reason = reason_of(error)
        found.errors.append((where, AudioError(f"cannot search {printable(where)}: {reason}")))

    for parent, folders, names in os.walk(folder, onerror=told):
        place = Path(parent).resolve().relative_to(base)
        folders[:] = sorted(
            f for f in folders if not f.startswith(".") and Path(parent, f).resolve() != avoid
        )
        found.skipped += [str(p) for f in folders if (p := Path(parent, f)).is_symlink()]
        for file in sorted(n for n in names if not n.startswith(".")):
            suffix = Path(file).suffix.lower()
            if suffix in known:
                found.files.append((str(Path(parent, file)), str(place / file)))
            elif suffix in MEDIA or suffix in SOUND_AND_VIDEO:
                found.skipped.append(str(Path(parent, file)))
    if not (found.files or found.errors):
        skipped = f" ({told_skipped(found.skipped)})" if found.skipped else ""
        raise AudioError(
            f"no sound files in {printable(name)}{skipped}, wanted "
            f"{', '.join(s[1:] for s in known)}"
        )
    return found


def told_skipped(names: list[str]) -> str:
    """Return how many files of each suffix were skipped.

    >>> told_skipped(["a.dsf", "b.DTS", "c.dsf"])
    '3 skipped, which are not read: 2 .dsf, 1 .dts'
    """
    kinds = Counter(
        "link to a folder" if Path(name).is_dir() else Path(name).suffix.lower() for name in names
    )
    parts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    told = f"{len(names)} skipped, which are not read: {parts}"
    if any(Path(name).suffix.lower() in MEDIA for name in names):
        told += ". The extra `media` reads m4a, video and others: pip install 'rtdenoise[media]'"
    return told


def check_readable(name: str | Path) -> None:
    """Check that *name* is a file that can be opened; a pipe or a device is never opened.

    Raises:
        AudioError: It says why the file cannot be read.
    """
    path, shown = Path(name), printable(name)
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116 - a Path forgets a slash at the end
        for is_kind, kind in KINDS:
            if is_kind(mode):
                problem = Problem.PIPE if stat.S_ISFIFO(mode) else Problem.NONE
                raise AudioError(f"{shown} is {kind}, wanted a sound file", problem)
        if stat.S_ISDIR(mode):
            raise AudioError(f"{shown} is a folder, wanted a sound file", Problem.FOLDER_IN)
        path.open("rb").close()
    except FileNotFoundError:
        if path.is_symlink():
            there = printable(os.readlink(path))  # noqa: PTH115 - the text, not a path
            raise AudioError(f"{shown} is a link to {there}, which does not exist") from None
        raise AudioError(f"there is no file {shown}. {_hint(path)}") from None
    except OSError as error:
        reason = reason_of(error)
        raise AudioError(f"cannot read {shown}: {reason}") from None


def _hint(path: Path) -> str:
    """Return a sentence about what could be meant by a name that is no file."""
    try:
        there = [p.name for p in path.parent.iterdir()]
    except OSError:
        there = []
    near = get_close_matches(path.name, there, n=3, cutoff=0.75)
    if near:
        return f"Did you mean {', '.join(map(printable, near))}?"
    return "Check the name and the folder."
