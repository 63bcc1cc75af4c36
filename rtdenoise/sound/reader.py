"""`SoundReader` gives a sound file as blocks (channels, samples) float32."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import IO, BinaryIO, Self

from ..audio import Samples, check_channels, check_rate
from ..errors import AudioError, Problem, printable, quoted
from .bitrate import BitRate, measure
from .formats import SUFFIXES
from .inputs import check_readable
from .parts import find_parts
from .pending import STD
from .recording import Recording
from .view import DAMAGED, Source

BLOCK = 65_536  # samples a read: 1.4 s at 48 kHz, long enough for nets to run at matrix speed


class SoundReader:
    """A sound file as an iterable of blocks (channels, samples) float32, full scale 1.0.

    Integers of up to 24 bits are read exactly. Every `iter()` starts at the beginning, and gives
    all that can be decoded, whatever the header says of the length. Where something cannot be
    decoded in the middle, silence keeps its place. If anything is missing, an error follows the
    last block, so that nobody takes a part for the whole.

    Args:
        path: Name of the file, or `-` for stdin, which is first copied to a temporary file, because
            most formats cannot be read without seeking.
        block: Samples per channel of a block; the last one may be shorter.

    Attributes:
        name: The path as text, or "stdin".
        rate: Sample rate of the file in Hz.
        channels: Channel count of the file.
        frames: Samples per channel that are there, as far as can be told without decoding.
        format: Format as libsndfile names it: "WAV", "FLAC", ...
        subtype: Subtype as libsndfile names it: "PCM_16", "FLOAT", "VORBIS", ...
        endian: Order of the bytes: "FILE" (that of the format), "LITTLE" or "BIG".
        warnings: Sentences about what is odd in the file, for people.

    Raises:
        AudioError: If the file is missing, empty or not audio, if its rate or channel count is out
            of range, or if recordings were joined that differ in them. While it is read, after the
            last block, with `Problem.PARTIAL`: if the file is cut off or damaged.
    """

    def __init__(self, path: str | Path, block: int = BLOCK) -> None:
        self.path, self.name = path, "stdin" if str(path) == STD else printable(path)
        self.block = block
        self.warnings: list[str] = []
        self._file = _opened(path)
        self._recordings: list[Recording] = []
        try:
            self._open_all()
            self._check()
            if all(recording.by_name for recording in self._recordings):
                self._file.close()
        except BaseException:
            self.close()
            raise
        self.frames = sum(recording.frames for recording in self._recordings)
        shares = [1.0 if r.part.promised is None else r.part.promised for r in self._recordings]
        promised = sum(
            r.frames * min(1.0, share) for r, share in zip(self._recordings, shares, strict=True)
        )
        if promised < self.frames - 0.5:
            self.warnings.append(
                f"the header promises {promised / self.rate:.2f} s, but {self.seconds:.2f} s are "
                "there, which were all read"
            )
        info = self._recordings[0].info
        self.format, self.subtype, self.endian = map(str, (info.format, info.subtype, info.endian))

    @property
    def seconds(self) -> float:
        """The length in seconds, as far as can be told without decoding."""
        return self.frames / self.rate

    @cached_property
    def bit_rate(self) -> BitRate | None:
        """The bit rate of a lossy file. None: the file is not lossy, or it cannot be measured."""
        with self.raw() as file:
            return measure(file, self.subtype, self.seconds)

    def raw(self) -> BinaryIO:
        """Open the bytes of the file, which stay readable if another file gets its name.

        The copy of stdin has one position for all: its bytes are read before or after the blocks,
        not between them.
        """
        if str(self.path) != STD and Path(self.path).is_file():
            return Path(self.path).open("rb")
        return os.fdopen(os.dup(self._file.fileno()), "rb")

    def _open_all(self) -> None:
        """Open the recordings in the file, or raise an error that says why there are none."""
        source = Source(self._file)
        path = None if str(self.path) == STD else os.fsencode(self.path)
        try:
            parts = find_parts(source)
        except AudioError as error:
            raise AudioError(f"{self.name} {error}") from None
        for part in parts:
            try:
                self._recordings.append(Recording(source, part, path))
            except AudioError as error:
                if self._recordings:  # what follows a recording may be damaged, or no sound
                    before = self._recordings[-1]
                    before.part = replace(before.part, loss=DAMAGED, promised=None)
                elif source.size == 0:
                    raise AudioError(
                        f"{self.name} is empty (0 bytes): nothing to process"
                    ) from None
                else:
                    raise AudioError(
                        f"{self.name} is not a sound file that libsndfile can read ({error}) "
                        f"Wanted: {', '.join(s[1:] for s in SUFFIXES)}. Others (m4a, aac, wma, "
                        f"video): ffmpeg -i {quoted(self.path)} out.wav"
                    ) from None

    def _check(self) -> None:
        """Take the rate and the channel count, which all recordings must share."""
        shapes = [(r.info.samplerate, r.info.channels) for r in self._recordings]
        try:
            self.rate, self.channels = check_rate(shapes[0][0]), check_channels(shapes[0][1])
        except AudioError as error:
            raise AudioError(f"{self.name}: {error}") from None
        for rate, channels in shapes:
            if (rate, channels) != shapes[0]:
                raise AudioError(
                    f"{self.name} holds recordings that were joined, first at {self.rate} Hz with "
                    f"{self.channels} channels, then at {rate} Hz with {channels}. Wanted one rate "
                    "and channel count: split the file, and process each recording by itself"
                )

    def __iter__(self) -> Iterator[Samples]:
        return self.after(0)

    def after(self, start: int) -> Iterator[Samples]:
        """Yield the blocks from the sample *start* on: those samples that `iter()` gives there.

        What is before is not decoded if the file is whole and its codec can seek.
        """
        first = self._recordings[0]
        seeks = len(self._recordings) == 1 and not first.part.loss
        sought = first.begin(start // self.block * self.block) if seeks else 0
        yield from skipped(self._blocks(), start - sought)

    def _blocks(self) -> Iterator[Samples]:
        """Yield the blocks of all recordings, from where the first one begins."""
        losses, before = [], 0
        for recording in self._recordings:
            yield from recording.blocks(self.block)
            if loss := recording.loss(before):
                losses.append(loss)
            before += recording.got
        if losses:
            raise AudioError(f"{self.name} {'; it '.join(losses)}", Problem.PARTIAL)

    def close(self) -> None:
        """Close the file."""
        for recording in self._recordings:
            recording.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def skipped(blocks: Iterable[Samples], count: int) -> Iterator[Samples]:
    """Yield *blocks* without their first *count* samples."""
    for block in blocks:
        held = min(count, block.shape[1])
        count -= held
        if held < block.shape[1]:
            yield block[:, held:]


def _opened(path: str | Path) -> IO[bytes]:
    """Open a file, or raise an error that says why it cannot be; stdin is copied first."""
    if str(path) == STD:
        return _spooled(sys.stdin.buffer)
    check_readable(path)
    return Path(path).open("rb")


def _spooled(pipe: IO[bytes]) -> IO[bytes]:
    """Return a temporary file with all that comes out of *pipe*."""
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the reader
    try:
        shutil.copyfileobj(pipe, spool, 1 << 20)
    except BaseException:
        spool.close()
        raise
    return spool
