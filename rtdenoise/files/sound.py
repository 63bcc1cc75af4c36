"""The door to soundfile (libsndfile), which reads and writes sound files.

* `SoundReader` gives a file as blocks (channels, samples) float32.
* `SoundWriter` writes such blocks to a file, which appears when it is whole, or never.
* `encoding` returns the format and the subtype for the name of an output.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from ..audio import Samples, check_channels, check_rate
from ..errors import AudioError, Problem
from .pending import NAMELESS, STD, Pending, explain

BLOCK = 65_536  # samples a read: 1.4 s at 48 kHz, long enough for nets to run at matrix speed

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

_CUT = re.compile(r"^\s*(data|Data Size|SSND|riff|Riff size) *: (\d+) \(should be (\d+)\)", re.M)
_UNKNOWN_LENGTH = 0x7FFF_0000  # ffmpeg and sox write a larger length into the header of a stream


def encoding(path: str | Path, like: SoundReader) -> tuple[str, str]:
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
        tags: Title, artist and other texts of the file.
        warnings: Sentences about what is odd in the file, for people.

    Raises:
        AudioError: If the file is missing, empty or not audio, or its rate or channel count is out
            of range.
    """

    def __init__(self, path: str | Path, block: int = BLOCK) -> None:
        self.path, self.name = path, "stdin" if str(path) == STD else str(path)
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
        self.tags: dict[str, str] = {k: v for k, v in self._file.copy_metadata().items() if v}
        self._warn_if_cut()

    @property
    def seconds(self) -> float:
        """The length in seconds, according to the header."""
        return self.frames / self.rate

    def _open(self) -> Any:
        """Open the file with libsndfile, or raise an error that says why it cannot be read."""
        if self._spool is None:
            _check_readable(Path(self.path))
        source = self._spool.fileno() if self._spool else str(self.path)
        try:
            return soundfile.SoundFile(source, closefd=False)
        except soundfile.LibsndfileError as error:
            if self._size() == 0:
                raise AudioError(f"{self.name} is empty (0 bytes): nothing to process") from None
            raise AudioError(
                f"{self.name} is not a sound file that libsndfile can read ({error.error_string}) "
                f"Wanted: {', '.join(s[1:] for s in SUFFIXES)}. Others (m4a, aac, wma, video): "
                f"ffmpeg -i {self.name} out.wav"
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
                    f"ffmpeg -i {self.name} out.wav"
                ) from None
            if not len(frames):
                break
            got += len(frames)
            yield np.ascontiguousarray(frames.T)
        if got != self.frames:
            self.warnings.append(
                f"the header says {self.frames} samples, but the file held {got}, all processed"
            )

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


def _check_readable(path: Path) -> None:
    """Raise an error that says why *path* cannot be read, if it cannot."""
    if path.is_dir():
        raise AudioError(f"{path} is a folder, wanted a sound file", Problem.FOLDER_IN)
    try:
        path.open("rb").close()
    except FileNotFoundError:
        there = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = get_close_matches(path.name, there, n=3, cutoff=0.75)
        hint = f"Did you mean {', '.join(near)}?" if near else "Check the name and the folder."
        raise AudioError(f"there is no file {path}. {hint}") from None
    except OSError as error:
        raise AudioError(f"cannot read {path}: {error.strerror}") from None


class SoundWriter:
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
        endian: Order of the bytes: "FILE" (that of the format), "LITTLE" or "BIG".
        tags: Title, artist and other texts, which are left out if the format cannot hold them.
        overwrite: Whether an existing file may be replaced.
        nameless: Whether the file has no name until it is whole; see `Pending`.

    Attributes:
        frames: Samples per channel written so far.
        clipped: Samples beyond full scale, which integers cannot hold.
        padded: Samples that the format added at the end, once the file is closed: ADPCM and GSM
            come in blocks, 8-bit AIFF in pairs.

    Raises:
        AudioError: If the file exists and may not be replaced, or cannot be written, or if the
            format cannot hold this rate or channel count.
    """

    def __init__(
        self,
        path: str | Path,
        rate: int,
        channels: int,
        format: str | None = None,
        subtype: str | None = None,
        *,
        endian: str = "FILE",
        tags: Mapping[str, str] | None = None,
        overwrite: bool = False,
        nameless: bool = NAMELESS,
    ) -> None:
        own, usual = SUFFIXES.get(Path(path).suffix.lower(), ("WAV", None))
        self.format = format or own
        self.subtype = subtype or usual or str(soundfile.default_subtype(self.format))
        self.name, self.rate, self.channels = str(path), rate, channels
        self.frames = self.clipped = self.padded = 0
        self._bits = BITS.get(self.subtype)
        self._pending = Pending(path, overwrite, nameless)
        try:
            part = str(self._pending.path)
            self._file = soundfile.SoundFile(
                part, "w", rate, channels, self.subtype, endian, self.format
            )
        except (soundfile.LibsndfileError, ValueError) as error:
            self._pending.discard()
            if "System error" in str(error):
                raise AudioError(f"cannot write {self.name}: {self._reason(error)}") from None
            raise AudioError(
                f"{path}: {self.format} {self.subtype} cannot hold {channels} channels at "
                f"{rate} Hz ({str(error).split(': ')[-1]})",
                Problem.FORMAT,
            ) from None
        for name, value in (tags or {}).items():
            with suppress(soundfile.LibsndfileError):  # the format cannot hold this tag
                setattr(self._file, name, value)

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
        self._file.write(block.T if self._bits is None else self._as_integers(block, self._bits))
        self.frames += block.shape[1]

    def _as_integers(self, block: Samples, bits: int) -> NDArray[Any]:
        """Return *block* as left-justified integers (samples, channels)."""
        self.clipped += int(np.count_nonzero(np.abs(block) > 1.0))
        full = 2.0 ** (bits - 1)  # scaling by a power of two is exact: only rint() rounds
        wide = block.T.astype(np.float64 if bits > 24 else np.float32)
        steps = np.minimum(np.rint(np.clip(np.nan_to_num(wide), -1, 1) * full), full - 1)
        container, width = (np.int16, 16) if bits <= 16 else (np.int32, 32)
        shifted: NDArray[Any] = np.left_shift(steps.astype(container), container(width - bits))
        return shifted

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
        except BaseException:
            self._pending.discard()
            raise
        self._pending.commit()

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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()
