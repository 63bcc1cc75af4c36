"""The two ends of a file's processing, by whichever library knows the format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from ..audio import Samples
from ..core.kernels import clean
from ..core.resample import converted
from ..errors import AudioError, Problem, printable
from ..sound.bitrate import BitRate, chosen, limits
from ..sound.carry import Sound
from ..sound.formats import BITS, MAX_BYTES, SUFFIXES, XIPH, bits, encoding, is_media, suffixes
from ..sound.media import MediaReader
from ..sound.reader import BLOCK, SoundReader, skipped
from ..sound.remux import MediaWriter
from ..sound.writer import SoundWriter

SAMPLE_BYTES = {"DOUBLE": 8, "FLOAT": 4, "PCM_32": 4, "PCM_24": 3, "PCM_16": 2}  # others: 1 at most


class Input(Protocol):
    """An open recording: a `SoundReader` or a `MediaReader`, which say what each part means."""

    path: str | Path
    name: str
    rate: int
    channels: int
    frames: int
    format: str
    subtype: str
    endian: str
    warnings: list[str]

    @property
    def bit_rate(self) -> BitRate | None: ...  # noqa: D102
    @property
    def seconds(self) -> float: ...  # noqa: D102
    def raw(self) -> BinaryIO: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102
    def after(self, start: int) -> Iterator[Samples]: ...  # noqa: D102
    def __iter__(self) -> Iterator[Samples]: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...


class AtRate:
    """An input as it is at another sample rate: as many seconds, with the same start.

    Args:
        reader: The open input.
        rate: The sample rate in Hz.

    Attributes:
        nonfinite: Samples of the input that were NaN or infinite, and are silence.
    """

    def __init__(self, reader: Input, rate: int) -> None:
        self.reader, self.rate, self.nonfinite = reader, rate, 0
        self._loss: AudioError | None = None
        self.path, self.name, self.warnings = reader.path, reader.name, reader.warnings
        self.channels, self.frames = reader.channels, round(reader.frames * rate / reader.rate)
        self.format, self.subtype, self.endian = reader.format, reader.subtype, reader.endian

    @property
    def bit_rate(self) -> BitRate | None:
        """None: that of the other rate says nothing."""
        return None

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return self.reader.seconds

    def raw(self) -> BinaryIO:
        """Open the bytes of the input."""
        return self.reader.raw()

    def close(self) -> None:
        """Close the input."""
        self.reader.close()

    def __iter__(self) -> Iterator[Samples]:
        self.nonfinite, self._loss = 0, None
        yield from converted(self._finite(), self.channels, self.reader.rate, self.rate)
        if self._loss is not None:
            raise self._loss

    def after(self, start: int) -> Iterator[Samples]:
        """Yield the blocks from the sample *start* on; what is before is read as well."""
        return skipped(self, start)

    def _finite(self) -> Iterator[Samples]:
        """Yield the input, made finite: the conversion would spread a NaN."""
        try:
            for block in self.reader:
                self.nonfinite += clean(block, block)
                yield block
        except AudioError as error:  # what the conversion still holds comes before it
            self._loss = error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_for(
    rate_of_result: Callable[[int], int], path: str | Path, block: int = BLOCK
) -> Input | AtRate:
    """Open a recording at the rate that holds what an effect makes of it.

    Args:
        rate_of_result: See `Effect.rate_of_result`.
        path: See `open_input`.
        block: See `open_input`.

    Raises:
        AudioError: If it cannot be read.
    """
    reader = open_input(path, block)
    rate = rate_of_result(reader.rate)
    return reader if rate == reader.rate else AtRate(reader, rate)


Output = SoundWriter | MediaWriter


def open_input(path: str | Path, block: int = BLOCK) -> Input:
    """Open a recording by its name; `-` is stdin.

    Raises:
        AudioError: If it cannot be read.
    """
    return MediaReader(path, block) if is_media(path) else SoundReader(path, block)


def open_output(
    target: str | Path,
    reader: Input,
    original: BinaryIO,
    kbps: float | None = None,
    overwrite: bool = False,
) -> Output:
    """Open an output that holds what *reader* gives, after processing.

    Args:
        target: Name of the output; its suffix chooses the format, as far as it has one.
        reader: The open input.
        original: Its bytes, which stay open until the output is closed.
        kbps: Bit rate of a lossy output in kb/s. None: that of the input; see `bitrate.chosen`.
        overwrite: Whether an existing file may be replaced.

    Raises:
        AudioError: If the output cannot be written, or its format cannot hold the sound.
    """
    source = reader.reader if isinstance(reader, AtRate) else reader
    media = source if isinstance(source, MediaReader) else None
    if is_media(target) or (media and Path(target).suffix.lower() not in SUFFIXES):
        return MediaWriter(
            target,
            reader.rate,
            reader.channels,
            media,
            kbps=kbps,
            overwrite=overwrite,
            made_from=reader.path,
        )
    format, subtype = encoding(target, reader)
    _check_size(target, reader, format, subtype)
    return SoundWriter(
        target,
        reader.rate,
        reader.channels,
        format,
        subtype,
        kbps=chosen(subtype, reader) if kbps is None else kbps,
        endian=reader.endian if format == reader.format else "FILE",
        original=Sound(original, reader.format, counts=not isinstance(reader, AtRate)),
        overwrite=overwrite,
        like=reader.path,
    )


def _check_size(target: str | Path, reader: Input, format: str, subtype: str) -> None:
    """Refuse an output that its format cannot hold, before any work is done."""
    size = reader.frames * reader.channels * SAMPLE_BYTES.get(subtype, 1)
    limit = MAX_BYTES.get(format, size)
    if size > limit:
        raise AudioError(
            f"{printable(target)} would have {size / 1e9:.2f} GB, and a {format} file holds at "
            f"most {limit / 1e9:.2f}. These hold more: {', '.join(suffixes(reader, size))}",
            Problem.FORMAT,
        )


def losses(reader: Input, writer: Output, asked: bool) -> Iterator[str]:
    """Yield a sentence for each thing that the output's encoding cannot keep of the input's.

    Args:
        reader: The input.
        writer: The output.
        asked: Whether the user chose the bit rate.
    """
    if isinstance(writer, MediaWriter):
        return
    there, most = reader.bit_rate, limits(writer.subtype, reader.rate, reader.channels)
    if there and most and not asked and there.aim > 1.03 * most[1]:
        yield (
            f"the input has {there.aim:.0f} kb/s, and {writer.subtype} at {reader.rate} Hz ends at "
            f"{most[1]:.0f}"
        )
    if reader.channels > 2 and (reader.subtype in XIPH) != (writer.subtype in XIPH):
        yield (
            f"the {reader.channels} channels keep their order, and ogg has another order of "
            "loudspeakers (left, centre, right, ...) than other formats (left, right, centre, ...)"
        )
    kept = BITS.get(writer.subtype, 24)
    if kept < min(bits(reader), 24) and there is None:
        yield f"{writer.format} {writer.subtype} holds {kept} of the input's {bits(reader)} bits"
    if isinstance(reader, MediaReader) and reader.video:
        yield "the picture is left out: a sound file has no place for it"
