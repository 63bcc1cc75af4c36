"""Files that appear when they are whole, or never. The only place that replaces files."""

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

STD = "-"  # stdin or stdout
# Whether the system has files without a name, and a way to give them one later.
NAMELESS = hasattr(os, "O_TMPFILE") and Path("/proc/self/fd").is_dir()


class Pending:
    """A file that appears under its name when it is whole, or never.

    On Linux it has no name at all until then (O_TMPFILE), so that not even `kill -9` or a power
    cut leaves anything. Elsewhere it has a hidden name in the same folder. A target that is no
    regular file (a pipe, /dev/null, `-` for stdout) gets the finished bytes copied into it.

    Args:
        target: The name to be. A symbolic link is followed.
        overwrite: Whether a file that is there may be replaced. If not, one that is there is an
            error, both now and at the end.
        nameless: Whether the file has no name until it is whole; otherwise it has a hidden one.

    Attributes:
        path: Where to write the bytes meanwhile.

    Raises:
        AudioError: the target exists, or its folder does not, or cannot be written.
    """

    def __init__(
        self, target: str | Path, overwrite: bool = False, nameless: bool = NAMELESS
    ) -> None:
        self.name, self.overwrite = "stdout" if str(target) == STD else str(target), overwrite
        self._target = None if str(target) == STD else Path(os.path.realpath(target))
        if self._target is not None and self._target.is_dir():
            raise AudioError(f"{target} is a folder: the output needs a file name")
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
        """Where the target is to be."""
        return self._target.parent if self._target else Path()

    def commit(self) -> None:
        """Let the file appear, on the disk before it has its name.

        Raises:
            AudioError: the target appeared meanwhile, or the disk is full.
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
        target = Path(str(self._target))
        if not self.overwrite:  # a link, unlike a rename, never replaces anything
            self._link(target)
            return
        if self._hidden is None:
            hidden = self.folder / f".rtdenoise-{secrets.token_hex(6)}.part"
            self._link(hidden)
            self._hidden = hidden
        os.replace(self._hidden, target)  # noqa: PTH105 - says that it overwrites
        self._hidden = None

    def _link(self, name: Path) -> None:
        if self._hidden is None:
            # src_dir_fd is ignored for an absolute path, but makes Python call linkat, which can
            # follow the link /proc/self/fd/N; plain link() cannot.
            os.link(self.path, name, src_dir_fd=self._fd, follow_symlinks=True)
        elif hasattr(os, "link"):
            os.link(self._hidden, name)
        else:
            self._hidden.rename(name)

    def _copy(self) -> None:
        with self.path.open("rb") as source:
            if self._target is None:
                shutil.copyfileobj(source, sys.stdout.buffer, 1 << 20)
                sys.stdout.buffer.flush()
            else:
                with self._target.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)

    def discard(self) -> None:
        """Let nothing appear; may be called twice."""
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
        with suppress(OSError):  # some file systems (NFS, old overlays) have none
            return os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666), None
    hidden = folder / f".rtdenoise-{secrets.token_hex(6)}.part"
    return os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666), hidden


def exists_error(name: str) -> AudioError:
    """What to raise when *name* is there and may not be replaced."""
    return AudioError(f"{name} exists, and was not to be replaced", Problem.EXISTS)


def make_folder(folder: Path) -> None:
    """Create *folder* and those above it, if they are missing.

    Raises:
        AudioError: it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise AudioError(
            f"cannot create the folder {folder}: {reason}", Problem.FOLDER_OUT
        ) from None


def explain(error: OSError, folder: Path) -> str:
    """Why *folder* could not be written, and what to do, in words.

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
