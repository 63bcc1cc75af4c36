"""Files that appear when they are whole, or never; no other module replaces files."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import sys
import tempfile
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Self

from ..errors import AudioError, Problem, printable, quoted, reason_of
from .permissions import take_over, umask

STD = "-"  # the name that means stdin or stdout
PRIVATE = 0o600  # nobody else reads a recording while it is written
# Whether the system has files without a name, and a way to give them one later.
NAMELESS = hasattr(os, "O_TMPFILE") and Path("/proc/self/fd").is_dir()


class WholeOrNothing(ABC):
    """An output whose `with` block ends with `close`, or after an error with `discard`."""

    @abstractmethod
    def close(self) -> None:
        """Finish the output, and let it appear."""

    @abstractmethod
    def discard(self) -> None:
        """Remove what was written, so that no file appears."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


class Pending(WholeOrNothing):
    """A file that appears under its name when it is whole, or never.

    On Linux it has no name until then (O_TMPFILE), so that not even `kill -9` or a power cut leaves
    a part of it. On other systems it has a hidden name in the same folder. If the target is no
    regular file (a pipe, /dev/null, `-` for stdout), the finished bytes are copied into it.

    Until it is whole, only its owner can read it. Then it gets the owner, the group, the mode bits
    and the access control list of the file that it replaces, or else of *like*, as far as the
    system allows; a new file is never wider than the umask.

    A sound that is recorded while it happens has a name that people see, *part*, and keeps it if
    the target never gets the file: what nobody can repeat is not removed.

    Args:
        target: Name that the file is to have. A symbolic link is followed.
        overwrite: Whether an existing file may be replaced. If not, one that exists is an
            error, both now and at the end.
        nameless: Whether the file has no name until it is whole; otherwise it has a hidden one.
        like: Name of the file that a new file is made from: nobody may read the new file who may
            not read that one. None, or `-`: the umask alone decides.
        part: Name of a new file in the folder of the target, which the file has until it is whole
            and keeps if it is discarded. None: such a file has no name that stays.

    Attributes:
        path: Name under which the bytes are written until the file is whole.
        notes: Sentences about what replacing the target has changed, for people.

    Raises:
        AudioError: If the target exists and may not be replaced, or if its folder does not exist
            or cannot be written.
    """

    def __init__(
        self,
        target: str | Path,
        overwrite: bool = False,
        nameless: bool = NAMELESS,
        like: str | Path | None = None,
        part: Path | None = None,
    ) -> None:
        self.name = "stdout" if str(target) == STD else printable(target)
        self.overwrite, self.like, self.notes = overwrite, like, list[str]()
        self._like = None
        if like is not None and str(like) != STD:
            try:
                self._like = Path(like).stat()
            except OSError as error:
                reason = reason_of(error)
                raise AudioError(f"cannot read {printable(like)}: {reason}") from None
        self._target = None if str(target) == STD else Path(os.path.realpath(target))
        there = self._there()
        if there is not None and stat.S_ISDIR(there.st_mode):
            raise AudioError(f"{self.name} is a folder, wanted the name of a file")
        self._copies = self._target is None or (
            there is not None and not stat.S_ISREG(there.st_mode)
        )
        if there is not None and not (self._copies or overwrite):
            raise exists_error(self.name)
        folder = Path(tempfile.gettempdir()) if self._copies else self.folder
        try:
            self._fd, self._hidden = _create(folder, nameless, part)
        except OSError as error:
            raise self._error(error) from None
        self.path = Path(f"/proc/self/fd/{self._fd}") if self._hidden is None else self._hidden
        self._stays = part is not None

    @property
    def folder(self) -> Path:
        """The folder of the target."""
        return self._target.parent if self._target else Path()

    def _there(self) -> os.stat_result | None:
        """Return what the target is; None: nothing, or stdout."""
        try:
            return None if self._target is None else self._target.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error(error) from None

    def _error(self, error: OSError) -> AudioError:
        """Return *error* in words."""
        if error.errno == errno.ENAMETOOLONG and self._target is not None:
            size = len(os.fsencode(self._target.name))
            return AudioError(
                f"cannot write {self.name}: the name has {size} bytes, which is too long for the "
                "folder",
                Problem.LONG_NAME,
            )
        return AudioError(
            f"cannot write {self.name}: {explain(error, self.folder)}", Problem.FOLDER_OUT
        )

    def commit(self) -> None:
        """Write the file to the disk, and then give it its name.

        Raises:
            AudioError: If the target exists by now and may not be replaced, or the disk is full.
        """
        try:
            if self._copies:
                self._copy()
            else:
                self._permit()
                os.fsync(self._fd)
                self._publish()
                self._stays = False
                _sync_folder(self.folder)
        except FileExistsError:
            raise exists_error(self.name) from None
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._error(error) from None
        finally:
            self.discard()

    def _permit(self) -> None:
        """Give the file its owner, its group, and the bits that say who may read it."""
        replaced = self._there() if self.overwrite else None
        if replaced is not None:
            if replaced.st_nlink > 1:
                others = replaced.st_nlink - 1
                self.notes.append(
                    f"{self.name} had {others} other name{'s'[: others - 1]} (hard links), which "
                    "kept the old file"
                )
            mode = take_over(self._fd, str(self._target), replaced, attributes=True)
            now = os.fstat(self._fd)
            if (now.st_uid, now.st_gid) != (replaced.st_uid, replaced.st_gid):
                self.notes.append(
                    f"{self.name} had the owner and group {replaced.st_uid}:{replaced.st_gid}, and "
                    f"has {now.st_uid}:{now.st_gid} after it was replaced"
                )
        elif self._like is not None:
            mode = take_over(self._fd, str(self.like), self._like) & 0o666 & ~umask()
        else:
            mode = 0o666 & ~umask()
        if hasattr(os, "fchmod"):
            with suppress(OSError):  # FAT has no bits
                os.fchmod(self._fd, mode)

    def _publish(self) -> None:
        """Give the file its name."""
        target = Path(str(self._target))
        if not self.overwrite:  # a link, unlike a rename, never replaces a file
            self._link(target)
            return
        if self._hidden is None:
            hidden = self.folder / f".rtdenoise-{secrets.token_hex(6)}.part"
            self._link(hidden)
            self._hidden = hidden
        os.replace(self._hidden, target)  # noqa: PTH105 - the name says that it overwrites
        self._hidden = None

    def _link(self, name: Path) -> None:
        """Give the file *name*, and fail if *name* exists."""
        if self._hidden is None:
            # src_dir_fd has no effect on an absolute path, but makes Python call linkat, which can
            # follow the link /proc/self/fd/N; link() cannot.
            os.link(self.path, name, src_dir_fd=self._fd, follow_symlinks=True)
            return
        try:
            os.link(self._hidden, name)
        except FileExistsError:
            raise
        except OSError:  # FAT has no links; a name that this process took first is nobody else's
            os.close(os.open(name, os.O_CREAT | os.O_EXCL, PRIVATE))
            os.replace(self._hidden, name)  # noqa: PTH105 - the name says that it overwrites
            self._hidden = None

    def _copy(self) -> None:
        """Copy the bytes into a target that is no regular file."""
        with self.path.open("rb") as source:
            if self._target is None:
                shutil.copyfileobj(source, sys.stdout.buffer, 1 << 20)
                sys.stdout.buffer.flush()
            else:
                with self._target.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)

    def close(self) -> None:
        """See `commit`."""
        self.commit()

    def discard(self) -> None:
        """Remove what was written, unless it is a *part*; a second call changes nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._hidden is not None and not self._stays:
            self._hidden.unlink(missing_ok=True)
            self._hidden = None


def _create(folder: Path, nameless: bool, part: Path | None) -> tuple[int, Path | None]:
    """Open *part*, or a file without a name in *folder*, or a hidden one where that cannot be."""
    if nameless and part is None:
        with suppress(OSError):  # some file systems (NFS, old overlays) have no O_TMPFILE
            return os.open(folder, os.O_TMPFILE | os.O_RDWR, PRIVATE), None
    hidden = part or folder / f".rtdenoise-{secrets.token_hex(6)}.part"
    return os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE), hidden


def _sync_folder(folder: Path) -> None:
    """Write *folder* to the disk, so that a name outlives a power cut, where a system can."""
    with suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def same_file(a: str | Path, b: str | Path) -> bool:
    """Return whether two names mean one file that exists; `-` means none."""
    try:
        return STD not in (str(a), str(b)) and Path(a).samefile(b)
    except (OSError, ValueError):
        return False


def exists_error(name: str) -> AudioError:
    """Return the error that says that *name* exists and may not be replaced."""
    return AudioError(f"{printable(name)} exists, and may not be replaced", Problem.EXISTS)


def make_folder(folder: Path) -> None:
    """Create *folder* and the folders above it, if they are missing.

    Raises:
        AudioError: If the folder cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = _in_the_way(folder) or reason_of(error)
        raise AudioError(
            f"cannot create the folder {printable(folder)}: {reason}", Problem.FOLDER_OUT
        ) from None


def explain(error: OSError, folder: Path) -> str:
    """Return in words why *folder* could not be written, and what to do.

    >>> explain(OSError(errno.EACCES, "Permission denied"), Path("/root"))
    'permission denied in /root'
    """
    name = printable(folder)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(folder).free / 1e6
        return (
            f"the disk, a quota or a ulimit is full ({free:.0f} MB free in {name}). "
            "Make room, or choose another folder"
        )
    if not os.path.isdir(folder):
        return (
            _in_the_way(folder)
            or f"there is no folder {name}. Create it: mkdir -p {quoted(folder)}"
        )
    return f"{reason_of(error)} in {name}"


def _in_the_way(folder: Path) -> str:
    """Return a sentence about the file in the place of *folder* or of one above; "" if none is."""
    for place in (folder, *folder.parents):
        if os.path.lexists(place):
            return "" if os.path.isdir(place) else f"{printable(place)} is a file, no folder"
    return ""
