"""`SoundWriter` writes blocks to a sound file, which appears when it is whole, or never."""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from ..audio import Samples
from ..errors import AudioError, Problem, printable
from .bitrate import BitRate, measure, settings
from .carry import Sound, carry
from .formats import BITS, SUFFIXES
from .pending import NAMELESS, Pending, WholeOrNothing, explain
from .reader import BLOCK
from .steady import settle


def integers(block: Samples, bits: int) -> NDArray[Any]:
    """Return *block* (channels, samples) as left-justified integers (samples, channels)."""
    full = 2.0 ** (bits - 1)  # scaling by a power of two is exact: only rint() rounds
    wide = block.T.astype(np.float64 if bits > 24 else np.float32)
    steps = np.minimum(np.rint(np.clip(np.nan_to_num(wide), -1, 1) * full), full - 1)
    container, width = (np.int16, 16) if bits <= 16 else (np.int32, 32)
    shifted: NDArray[Any] = np.left_shift(steps.astype(container), container(width - bits))
    return shifted


class SoundWriter(WholeOrNothing):
    """A sound file to write, which appears when the `with` block ends without an error.

    Samples are rounded to the nearest step of an integer subtype, which is the exact reverse of
    reading, and are held at full scale. Before the file appears, it is opened again and its
    samples are counted.

    Args:
        path: Name of the file, or `-` for stdout.
        rate: Sample rate of the blocks in Hz.
        channels: Channel count of the blocks.
        format: Format as libsndfile names it: "WAV", "FLAC", ... None: by the suffix of *path*.
        subtype: Subtype: "PCM_16", "FLOAT", ... None: the usual one of the format.
        kbps: Bit rate of a lossy subtype in kb/s. None: a good one; see `bitrate.usual`.
        endian: Order of the bytes: "FILE" (that of the format), "LITTLE" or "BIG".
        original: The file of which this one is a copy with other samples, open until this one is
            closed. What it holds beside its samples is carried over as far as the format can.
        overwrite: Whether an existing file may be replaced.
        nameless: Whether the file has no name until it is whole; see `Pending`.
        like: Name of the file that this one is made from, for the mode bits; see `Pending`.

    Attributes:
        frames: Samples per channel written so far.
        clipped: Samples beyond full scale, which integers cannot hold.
        bit_rate: Bit rate of a lossy file, once it is closed. None: the subtype has none.
        padded: Samples that the format added at the end, once the file is closed: ADPCM and GSM
            come in blocks, 8-bit AIFF in pairs.
        warnings: Sentences about what could not be carried over, or what replacing an old file has
            changed, once the file is closed.

    Raises:
        AudioError: If the file exists and may not be replaced, or cannot be written, or if the
            format cannot hold this rate or channel count, or has not this bit rate.
    """

    def __init__(
        self,
        path: str | Path,
        rate: int,
        channels: int,
        format: str | None = None,
        subtype: str | None = None,
        *,
        kbps: float | None = None,
        endian: str = "FILE",
        original: Sound | None = None,
        overwrite: bool = False,
        nameless: bool = NAMELESS,
        like: str | Path | None = None,
    ) -> None:
        own, usual = SUFFIXES.get(Path(path).suffix.lower(), ("WAV", None))
        self.format = format or own
        self.subtype = subtype or usual or str(soundfile.default_subtype(self.format))
        self.name, self.rate, self.channels = printable(path), rate, channels
        self.frames = self.clipped = self.padded = 0
        self.bit_rate: BitRate | None = None
        self.warnings: list[str] = []
        self._original, self._bits = original, BITS.get(self.subtype)
        self._pending = Pending(path, overwrite, nameless, like)
        try:
            self._file = self._create(endian, kbps)
        except BaseException:
            self._pending.discard()
            raise

    def _create(self, endian: str, kbps: float | None) -> Any:
        """Return the open file, or raise an error that says why it cannot be written."""
        part, kind = str(self._pending.path), f"{self.format} {self.subtype}"
        try:
            more = settings(self.subtype, self.rate, self.channels, kbps)
            return soundfile.SoundFile(
                part, "w", self.rate, self.channels, self.subtype, endian, self.format, **more
            )
        except AudioError as error:
            raise AudioError(f"{self.name}: {error}", error.problem) from None
        except (soundfile.LibsndfileError, ValueError) as error:
            if "System error" in str(error):
                raise AudioError(f"cannot write {self.name}: {self._reason(error)}") from None
            raise AudioError(
                f"{self.name}: {kind} cannot hold {self.channels} channels at {self.rate} Hz "
                f"({str(error).split(': ')[-1]})",
                Problem.FORMAT,
            ) from None

    def write(self, block: Samples) -> None:
        """Append *block* (channels, samples) float32.

        Raises:
            AudioError: If the disk is full.
        """
        try:
            for at in range(0, block.shape[1], BLOCK):  # longer blocks overflow vorbis
                self._write(block[:, at : at + BLOCK])
        except (soundfile.LibsndfileError, AssertionError) as error:
            raise AudioError(f"cannot write {self.name}: {self._reason(error)}") from None

    def _write(self, block: Samples) -> None:
        if self._bits is not None:
            self.clipped += int(np.count_nonzero(np.abs(block) > 1.0))
        self._file.write(block.T if self._bits is None else integers(block, self._bits))
        self.frames += block.shape[1]

    def _reason(self, error: BaseException) -> str:
        """Return in words why libsndfile could not write."""
        # libsndfile does not give errno; the usual cause is a full disk.
        if isinstance(error, AssertionError) or "System error" in str(error):
            return explain(OSError(errno.ENOSPC, ""), self._pending.folder)
        return str(error)

    def close(self) -> None:
        """Finish the file, and let it appear.

        Raises:
            AudioError: If the disk is full, or the format cannot hold what was written.
        """
        try:
            self._file.close()
            self._count()
            if self._original is not None:
                self._carry(self._original)
            with self._pending.path.open("r+b") as file:
                settle(file)
                self.bit_rate = measure(file, self.subtype, self.frames / self.rate)
        except BaseException:
            self._pending.discard()
            raise
        self._pending.commit()
        self.warnings += self._pending.notes

    def _carry(self, original: Sound) -> None:
        """Carry over what *original* holds beside its samples, before the file appears."""
        padded = self.padded
        with self._pending.path.open("r+b") as file:

            def check() -> None:
                file.flush()
                self._count()
                if self.padded != padded:
                    raise AudioError("the samples are not the same any more")

            copy = Sound(file, self.format)
            coding = self._coding_history()
            self.warnings += carry(original, copy, coding, self._pending.folder, check)
        self.padded = padded

    def _coding_history(self) -> str:
        """Return a line for the coding history of a bext chunk, as EBU R 98 has it."""
        if not self.subtype.startswith("PCM"):
            return ""
        mode = {1: ",M=mono", 2: ",M=stereo"}.get(self.channels, "")
        return f"A=PCM,F={self.rate},W={self._bits}{mode},T=rtdenoise\r\n"

    def _count(self) -> None:
        """Open the file again, and check that every sample is in it."""
        try:
            with soundfile.SoundFile(str(self._pending.path)) as written:
                self.padded = int(written.frames) - self.frames
        except soundfile.LibsndfileError as error:
            if self.frames == 0:
                raise AudioError(
                    f"{self.name}: {self.format} {self.subtype} cannot hold 0 samples. Use .wav"
                ) from None
            raise AudioError(f"cannot write {self.name}: {self._reason(error)}") from None
        if self.padded < 0:
            raise AudioError(f"cannot write {self.name}: {self._reason(AssertionError())}")

    def discard(self) -> None:
        """Remove what was written, so that no file appears."""
        with suppress(soundfile.LibsndfileError):
            self._file.close()
        self._pending.discard()
