"""`Growing` is a WAV file that grows on the disk, and is whole at every moment.

Its header is written again after every block, so that any player opens it while it grows, and after
`kill -9`. It has a place for the sizes of RF64 (EBU Tech 3306), which a header of 4 bytes cannot
tell: beyond 4 GiB the file becomes RF64, without moving a sample. libsndfile gives neither the
reason of a failed write nor a way to bring a file to the disk, so the bytes are written here.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..audio import Samples
from ..errors import AudioError, Problem, printable
from .formats import MAX_BYTES, SUFFIXES
from .pending import STD, Pending, explain
from .writer import integers

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

BITS, WIDTH = 16, 2  # of a sample
PART = ".part{}.wav"  # what follows the name of a file that is being recorded
HEAD = 80  # bytes before the samples
MOST_PARTS = 1000


def header(rate: int, channels: int, size: int, tail: int = 0) -> bytes:
    """Return the `HEAD` bytes before *size* bytes of samples and *tail* bytes of other chunks.

    >>> header(48_000, 1, 9000)[:4], header(48_000, 1, 5_000_000_000)[:4]
    (b'RIFF', b'RF64')
    """
    frame, whole = channels * WIDTH, HEAD - 8 + size + tail
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * frame, frame, BITS)
    if size <= MAX_BYTES["WAV"]:
        wide = struct.pack("<4sI28x", b"JUNK", 28)
        return struct.pack("<4sI4s", b"RIFF", whole, b"WAVE") + wide + form + _data(size)
    wide = struct.pack("<4sIQQQI", b"ds64", 28, whole, size, size // frame, 0)
    return struct.pack("<4sI4s", b"RF64", 0xFFFF_FFFF, b"WAVE") + wide + form + _data(0xFFFF_FFFF)


def _data(size: int) -> bytes:
    return struct.pack("<4sI", b"data", size)


def marks(places: Iterable[tuple[int, str]]) -> bytes:
    """Return the chunks `cue ` and `LIST` that mark *places*: a sample and a text each.

    Editors show them on the wave. A sample beyond 32 bits has no mark.
    """
    kept = [(at, text) for at, text in places if at < 1 << 32]
    if not kept:
        return b""
    cues, labels = struct.pack("<I", len(kept)), b"adtl"
    for number, (at, text) in enumerate(kept, 1):
        cues += struct.pack("<II4sIII", number, at, b"data", 0, 0, at)
        label = struct.pack("<I", number) + text.encode() + b"\0"
        labels += struct.pack("<4sI", b"labl", len(label)) + label + b"\0" * (len(label) % 2)
    return b"".join(
        struct.pack("<4sI", name, len(body)) + body
        for name, body in ((b"cue ", cues), (b"LIST", labels))
    )


def grows(path: str | Path) -> bool:
    """Return whether a file can grow under this name: not into stdout, a pipe or a device."""
    return str(path) != STD and (Path(path).is_file() or not os.path.lexists(path))


def is_wav(path: str | Path) -> bool:
    """Return whether a name means the format in which files grow."""
    return SUFFIXES.get(Path(path).suffix.lower(), ("WAV", None))[0] == "WAV"


def in_use(path: str | Path) -> bool:
    """Return whether a process records into the file now, where a system can tell."""
    if fcntl is None:
        return False
    with Path(path).open("rb") as file, suppress(OSError):  # some network disks have no locks
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class Growing:
    """A WAV file of 16 bits a sample, which grows beside its target under the name of a part.

    The part of `talk.wav` is `talk.wav.part.wav`; if there is one already, `talk.wav.part2.wav`. It
    holds a lock, by which `in_use` knows that it is being recorded.

    Args:
        target: Name that the file is to have; nothing appears under it before `commit`.
        rate: Sample rate in Hz.
        channels: Channel count.
        overwrite: Whether `commit` may replace an existing file.
        like: Name of the file that this one is made from, for the mode bits; see `Pending`.

    Attributes:
        path: Name of the part.
        frames: Samples per channel so far.

    Raises:
        AudioError: If the target exists and may not be replaced, or its folder cannot be written.
    """

    def __init__(
        self,
        target: str | Path,
        rate: int,
        channels: int,
        overwrite: bool = False,
        like: str | Path | None = None,
    ) -> None:
        self.name, self.rate, self.channels = printable(target), rate, channels
        self.frames = 0
        self.path = _free(Path(os.path.realpath(target)))
        self._pending = Pending(target, overwrite, like=like, part=self.path)
        self._file = self.path.open("r+b", buffering=0)
        self._lock()
        try:
            self._put(0, header(rate, channels, 0))
        except OSError as error:
            self.remove()
            raise self._error(error) from None

    def _lock(self) -> None:
        """Lock the part, which a system may not be able to (NFS)."""
        if fcntl is not None:
            with suppress(OSError):
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @property
    def _end(self) -> int:
        """The offset after the last sample."""
        return HEAD + self.frames * self.channels * WIDTH

    def _put(self, at: int, data: bytes) -> None:
        """Write all of *data* at an offset."""
        self._file.seek(at)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def _error(self, error: OSError) -> AudioError:
        return AudioError(f"cannot write {self.name}: {explain(error, self.path.parent)}")

    def write(self, block: Samples, gap: int = 0) -> None:
        """Append *block* (channels, samples) float32; after an error the file is as before.

        Args:
            block: The samples.
            gap: Samples of silence before them.

        Raises:
            AudioError: If the disk is full, or the file system has no room for a file so large.
        """
        self._append(gap, block.shape[1], integers(block, BITS).astype("<i2").tobytes())

    def gap(self, samples: int) -> None:
        """Append *samples* of silence, which takes no room on most disks.

        Raises:
            AudioError: If the file system has no room for a file so large.
        """
        self._append(samples, 0, b"")

    def _append(self, gap: int, samples: int, data: bytes) -> None:
        """Append *gap* samples of silence, and then *samples* that are *data*."""
        before, end = self.frames, self._end
        try:
            self.frames += gap
            if gap:
                self._file.truncate(self._end)
            self._put(self._end, data)
            self.frames += samples
            self._put(0, header(self.rate, self.channels, self._end - HEAD))
        except OSError as error:
            self.frames = before
            with suppress(OSError):
                self._file.truncate(end)
                self._put(0, header(self.rate, self.channels, end - HEAD))
            raise self._error(error) from None

    def read(self, at: int, samples: int) -> Samples:
        """Return up to *samples* (channels, samples) float32 of the file, from sample *at* on."""
        frame = self.channels * WIDTH
        with self.path.open("rb", buffering=0) as file:
            file.seek(HEAD + at * frame)
            data = file.read(min(samples, self.frames - at) * frame)
        steps = np.frombuffer(data, "<i2").reshape(-1, self.channels).T
        return np.ascontiguousarray(steps, np.float32) / 2.0 ** (BITS - 1)

    def sync(self) -> None:
        """Bring all samples to the disk, so that a power cut does not take them."""
        with suppress(OSError, ValueError):
            os.fsync(self._file.fileno())

    def commit(self, places: Iterable[tuple[int, str]] = ()) -> None:
        """Mark *places* in the file and give it the name of its target; see `marks`.

        Raises:
            AudioError: If the target exists by now and may not be replaced; the part stays.
        """
        try:
            if tail := marks(places):
                self._append_tail(tail)
            self._pending.commit()
        finally:
            self.keep()

    def _append_tail(self, tail: bytes) -> None:
        """Append chunks after the samples, if the disk has room for them."""
        size = self._end - HEAD
        try:
            self._put(self._end, tail)
            self._put(0, header(self.rate, self.channels, size, len(tail)))
        except OSError:
            with suppress(OSError):
                self._file.truncate(self._end)
                self._put(0, header(self.rate, self.channels, size))

    def keep(self) -> None:
        """Close the file; if it has not got the name of its target, the part stays."""
        self._file.close()
        self._pending.discard()

    def remove(self) -> None:
        """Close the file and remove the part."""
        self.keep()
        self.path.unlink(missing_ok=True)


def _free(target: Path) -> Path:
    """Return the first name for a part of *target* that no file has."""
    for number in range(1, MOST_PARTS):
        part = target.with_name(target.name + PART.format("" if number == 1 else number))
        if not os.path.lexists(part):
            return part
    raise AudioError(f"{printable(target)} has {MOST_PARTS} unfinished recordings", Problem.EXISTS)
