"""Files that appear when they are whole, or never; no other module replaces files."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

from ..errors import AudioError, Problem

STD = "-"  # the name that means stdin or stdout
# Whether the system has files without a name, and a way to give them one later.
NAMELESS = hasattr(os, "O_TMPFILE") and Path("/proc/self/fd").is_dir()


class Pending:
    """A file that appears under its name when it is whole, or never.

    On Linux it has no name until then (O_TMPFILE), so that not even `kill -9` or a power cut leaves
    a part of it. On other systems it has a hidden name in the same folder. If the target is no
    regular file (a pipe, /dev/null, `-` for stdout), the finished bytes are copied into it.

    Args:
        target: Name that the file is to have. A symbolic link is followed.
        overwrite: Whether an existing file may be replaced. If not, one that exists is an
            error, both now and at the end.
        nameless: Whether the file has no name until it is whole; otherwise it has a hidden one.

    Attributes:
        path: Name under which the bytes are written until the file is whole.

    Raises:
        AudioError: If the target exists and may not be replaced, or if its folder does not exist
            or cannot be written.
    """

    def __init__(
        self, target: str | Path, overwrite: bool = False, nameless: bool = NAMELESS
    ) -> None:
        self.name, self.overwrite = "stdout" if str(target) == STD else str(target), overwrite
        self._target = None if str(target) == STD else Path(os.path.realpath(target))
        if self._target is not None and self._target.is_dir():
            raise AudioError(f"{target} is a folder, wanted the name of a file")
        self._copies = self._target is None or (
            self._target.exists() and not stat.S_ISREG(self._target.stat().st_mode)
        )
        if self._target and self._target.exists() and not (self._copies or overwrite):
            raise exists_error(self.name)
        folder = Path(tempfile.gettempdir()) if self._copies else self.folder
        try:
            self._fd, self._hidden = _create(folder, nameless)
        except OSError as error:
            raise AudioError(
                f"cannot write {self.name}: {explain(error, folder)}", Problem.FOLDER_OUT
            ) from None
        self.path = Path(f"/proc/self/fd/{self._fd}") if self._hidden is None else self._hidden

    @property
    def folder(self) -> Path:
        """The folder of the target."""
        return self._target.parent if self._target else Path()

    def commit(self) -> None:
        """Write the file to the disk, and then give it its name.

        Raises:
            AudioError: If the target exists by now and may not be replaced, or the disk is full.
        """
        try:
            os.fsync(self._fd)
            if self._copies:
                self._copy()
            else:
                self._publish()
        except FileExistsError:
            raise exists_error(self.name) from None
        except BrokenPipeError:
            raise
        except OSError as error:
            raise AudioError(
                f"cannot write {self.name}: {explain(error, self.folder)}", Problem.FOLDER_OUT
            ) from None
        finally:
            self.discard()

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
        elif hasattr(os, "link"):
            os.link(self._hidden, name)
        else:
            self._hidden.rename(name)

    def _copy(self) -> None:
        """Copy the bytes into a target that is no regular file."""
        with self.path.open("rb") as source:
            if self._target is None:
                shutil.copyfileobj(source, sys.stdout.buffer, 1 << 20)
                sys.stdout.buffer.flush()
            else:
                with self._target.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)

    def discard(self) -> None:
        """Remove what was written, so that no file appears; a second call changes nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._hidden is not None:
            self._hidden.unlink(missing_ok=True)
            self._hidden = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()


def _create(folder: Path, nameless: bool) -> tuple[int, Path | None]:
    """Open a file without a name in *folder*, or a hidden one where that cannot be."""
    if nameless:
        with suppress(OSError):  # some file systems (NFS, old overlays) have no O_TMPFILE
            return os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666), None
    hidden = folder / f".rtdenoise-{secrets.token_hex(6)}.part"
    return os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666), hidden


def exists_error(name: str) -> AudioError:
    """Return the error that says that *name* exists and may not be replaced."""
    return AudioError(f"{name} exists, and may not be replaced", Problem.EXISTS)


def make_folder(folder: Path) -> None:
    """Create *folder* and the folders above it, if they are missing.

    Raises:
        AudioError: If the folder cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise AudioError(
            f"cannot create the folder {folder}: {reason}", Problem.FOLDER_OUT
        ) from None


def explain(error: OSError, folder: Path) -> str:
    """Return in words why *folder* could not be written, and what to do.

    >>> explain(OSError(errno.EACCES, "Permission denied"), Path("/root"))
    'permission denied in /root'
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(folder).free / 1e6
        return (
            f"the disk, a quota or a ulimit is full ({free:.0f} MB free in {folder}). "
            "Make room, or choose another folder"
        )
    if not folder.is_dir():
        return f"there is no folder {folder}. Create it: mkdir -p {folder}"
    text = (error.strerror or str(error)).lower()
    return f"{text} in {folder}"
