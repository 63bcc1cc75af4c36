"""`SoundReader` gives a sound file as blocks (channels, samples) float32."""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, Any, BinaryIO, Self

import numpy as np
import soundfile

from ..audio import Samples, check_channels, check_rate
from ..errors import AudioError, printable, quoted
from .bitrate import BitRate, measure
from .formats import SUFFIXES
from .inputs import check_readable
from .pending import STD

BLOCK = 65_536  # samples a read: 1.4 s at 48 kHz, long enough for nets to run at matrix speed

_CUT = re.compile(r"^\s*(data|Data Size|SSND|riff|Riff size) *: (\d+) \(should be (\d+)\)", re.M)
_UNKNOWN_LENGTH = 0x7FFF_0000  # ffmpeg and sox write a larger length into the header of a stream


class SoundReader:
    """A sound file as an iterable of blocks (channels, samples) float32, full scale 1.0.

    Integers of up to 24 bits are read exactly. Every `iter()` starts at the beginning.

    Args:
        path: Name of the file, or `-` for stdin, which is first copied to a temporary file, because
            most formats cannot be read without seeking.
        block: Samples per channel of a block; the last one may be shorter.

    Attributes:
        name: The path as text, or "stdin".
        rate: Sample rate of the file in Hz.
        channels: Channel count of the file.
        frames: Samples per channel, according to the header.
        format: Format as libsndfile names it: "WAV", "FLAC", ...
        subtype: Subtype as libsndfile names it: "PCM_16", "FLOAT", "VORBIS", ...
        endian: Order of the bytes: "FILE" (that of the format), "LITTLE" or "BIG".
        warnings: Sentences about what is odd in the file, for people.

    Raises:
        AudioError: If the file is missing, empty or not audio, or its rate or channel count is out
            of range.
    """

    def __init__(self, path: str | Path, block: int = BLOCK) -> None:
        self.path, self.name = path, "stdin" if str(path) == STD else printable(path)
        self.block = block
        self.warnings: list[str] = []
        self._spool = _spooled_stdin() if str(path) == STD else None
        try:
            self._file = self._open()
        except BaseException:
            self._close_spool()
            raise
        try:
            self.rate = check_rate(self._file.samplerate)
            self.channels = check_channels(self._file.channels)
        except AudioError as error:
            self.close()
            raise AudioError(f"{self.name}: {error}") from None
        self.frames, self.format = int(self._file.frames), str(self._file.format)
        self.subtype, self.endian = str(self._file.subtype), str(self._file.endian)
        self._warn_if_cut()

    @property
    def seconds(self) -> float:
        """The length in seconds, according to the header."""
        return self.frames / self.rate

    @cached_property
    def bit_rate(self) -> BitRate | None:
        """The bit rate of a lossy file. None: the file is not lossy, or it cannot be measured."""
        if self._spool is None:
            with Path(self.path).open("rb") as file:
                return measure(file, self.subtype, self.seconds)
        handle = self._spool.fileno()  # libsndfile reads from it too, and expects it where it was
        position = os.lseek(handle, 0, os.SEEK_CUR)
        try:
            return measure(self._spool, self.subtype, self.seconds)
        finally:
            os.lseek(handle, position, os.SEEK_SET)

    def _open(self) -> Any:
        """Open the file with libsndfile, or raise an error that says why it cannot be read."""
        if self._spool is None:
            check_readable(self.path)
        source = self._spool.fileno() if self._spool else os.fsencode(self.path)
        try:
            return soundfile.SoundFile(source, closefd=False)
        except soundfile.LibsndfileError as error:
            if self._size() == 0:
                raise AudioError(f"{self.name} is empty (0 bytes): nothing to process") from None
            raise AudioError(
                f"{self.name} is not a sound file that libsndfile can read ({error.error_string}) "
                f"Wanted: {', '.join(s[1:] for s in SUFFIXES)}. Others (m4a, aac, wma, video): "
                f"ffmpeg -i {quoted(self.path)} out.wav"
            ) from None

    def _size(self) -> int:
        """Return the size of the file in bytes."""
        return (
            os.fstat(self._spool.fileno()).st_size
            if self._spool
            else Path(self.path).stat().st_size
        )

    def _warn_if_cut(self) -> None:
        """Add a warning if the header promises more than the file holds, or nothing."""
        for match in _CUT.finditer(self._file.extra_info):
            promised, there = int(match[2]), int(match[3])
            if there < promised < _UNKNOWN_LENGTH:
                self.warnings.append(
                    f"the file is cut off: its header promises {promised} bytes, but {there} are "
                    f"there, which were processed ({self.seconds:.2f} s)"
                )
                return
        size = self._size()
        if self.frames == 0 and size > 4096 and self.format in ("WAV", "WAVEX"):
            self.warnings.append(
                f"the header says 0 samples, but the file has {size} bytes: its recorder was cut "
                "off. Repair the header first: ffmpeg -ignore_length 1 -i FILE -c copy fixed.wav"
            )

    def __iter__(self) -> Iterator[Samples]:
        if self._file.seekable():
            self._file.seek(0)
        got = 0
        while True:
            try:
                frames = self._file.read(self.block, dtype="float32", always_2d=True)
            except (soundfile.LibsndfileError, RuntimeError) as error:
                raise AudioError(
                    f"{self.name} is damaged {got / self.rate:.2f} s in, or ends too early "
                    f"({error}). Decode what is left of it with another program first, e.g. "
                    f"ffmpeg -i {quoted(self.path)} out.wav"
                ) from None
            if not len(frames):
                break
            got += len(frames)
            yield np.ascontiguousarray(frames.T)
        if got != self.frames:
            self.warnings.append(
                f"the header says {self.frames} samples, but the file held {got}, all processed"
            )

    def raw(self) -> BinaryIO:
        """Open the bytes of the file, which stay readable if another file gets its name.

        stdin has one position for all: its bytes can be read before or after the blocks, not
        between them. Another pipe has no bytes left.
        """
        if self._spool is not None:
            return os.fdopen(os.dup(self._spool.fileno()), "rb")
        return Path(self.path).open("rb") if Path(self.path).is_file() else io.BytesIO()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._close_spool()

    def _close_spool(self) -> None:
        if self._spool is not None:
            self._spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _spooled_stdin() -> IO[bytes]:
    """Return a temporary file with all of stdin, because stdin cannot seek."""
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the reader
    shutil.copyfileobj(sys.stdin.buffer, spool, 1 << 20)
    spool.seek(0)
    return spool
