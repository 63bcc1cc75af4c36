"""One sound file through one effect into another, in blocks: any length in the same memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..audio import Samples
from ..core.counters import Counters
from ..core.kernels import clean
from ..core.stream import Stream
from ..errors import AudioError, ModelError, Problem
from .scores import Scores
from .sound import BLOCK, SoundReader, SoundWriter, encoding

MAX_RIFF_BYTES = 4_290_000_000  # wav and aiff count bytes in 32 bits
SAMPLE_BYTES = {"DOUBLE": 8, "PCM_24": 3, "PCM_16": 2, "PCM_U8": 1, "ULAW": 1, "ALAW": 1}


class Renders(Protocol):
    """What processes a whole recording; every effect does."""

    def render(
        self, blocks: Iterable[Samples], stream: Stream, counters: Counters
    ) -> Iterator[Samples]:
        """Process *blocks*: as many samples out, aligned with them."""
        ...

    def latency(self, sample_rate: float) -> int:
        """Samples by which it would be late live."""
        ...


class Listener(Protocol):
    """Hears both sides of the stage, aligned: the samples going in, and those coming out."""

    def before(self, block: Samples) -> None:
        """Take the next (channels, n) of the input."""
        ...

    def after(self, block: Samples) -> None:
        """Take the next (channels, n) of the output."""
        ...


@dataclass(frozen=True)
class Report:
    """What was done to a file.

    Attributes:
        input: Its name, or "stdin".
        output: The name of the new file, or "-".
        rate: Hz, of both.
        channels: Of both.
        frames: Samples per channel, of both.
        format: Of the output: "WAV", "FLAC", ...
        subtype: Of the output: "PCM_16", "FLOAT", ...
        latency: Samples by which the effect would be late live; the output is not.
        elapsed_s: Seconds it took, reading and writing included.
        clipped: Output samples held at full scale.
        nonfinite: NaN and infinite input samples, replaced by 0.
        warnings: What the user should know.
    """

    input: str
    output: str
    rate: int
    channels: int
    frames: int
    format: str
    subtype: str
    latency: int
    elapsed_s: float
    clipped: int
    nonfinite: int
    warnings: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Length of the audio."""
        return self.frames / self.rate

    @property
    def real_time_factor(self) -> float:
        """Seconds of audio per second of work."""
        return self.seconds / max(self.elapsed_s, 1e-9)


class _Watched:
    """The blocks of a file on their way into what processes them: cleaned, counted, listened to."""

    def __init__(
        self,
        reader: SoundReader,
        counters: Counters,
        listeners: Sequence[Listener],
        watch: Callable[[float], None],
    ) -> None:
        self.reader, self.counters = reader, counters
        self.listeners, self.watch = listeners, watch
        self.nonfinite = 0

    def __iter__(self) -> Iterator[Samples]:
        for block in self.reader:
            self.nonfinite += clean(block, block)
            for listener in self.listeners:
                listener.before(block)
            yield block
            self.check()
            self.watch(block.shape[1] / self.reader.rate)

    def check(self) -> None:
        """A net that fails is covered for live; a file must not look finished when it is not."""
        if self.counters["failed"]:
            raise ModelError(
                f"the net failed on {self.reader.name} ({self.counters.why()}), so nothing was "
                "written",
                Problem.NET_FAILED,
            )


def process_file(
    source: str | Path,
    target: str | Path,
    effect: Renders,
    *,
    overwrite: bool = False,
    listen: Callable[[SoundReader], Sequence[Listener]] = lambda reader: (),
    watch: Callable[[float], None] = lambda seconds: None,
    block: int = BLOCK,
) -> Report:
    """Run the sound file *source* through an effect into *target*.

    The output has the rate, the channels, the length and the timing of the input, and its format
    and subtype as far as the suffix of *target* allows. It appears when it is whole, or never.

    Args:
        source: Any file libsndfile reads, or `-` for stdin.
        target: Where to, or `-` for stdout.
        effect: What processes it, as `Denoise("speech")`.
        overwrite: Replace *target* if it is there; it may then be *source* itself.
        listen: Given the open file, makes those who want to hear input and output.
        watch: Called after each block with its seconds; it may raise to stop the work.
        block: Samples read at a time; changes speed and memory, never a sample.

    Raises:
        AudioError: the input cannot be read, or the output cannot be written.
        ModelError: the net failed.
    """
    start = time.perf_counter()
    with SoundReader(source, block) as reader:
        format, subtype = encoding(target, reader)
        _check_size(target, reader, format, subtype)
        stream, counters = Stream(reader.rate, reader.channels), Counters()
        latency = effect.latency(reader.rate)
        writer = SoundWriter(
            target,
            reader.rate,
            reader.channels,
            format,
            subtype,
            endian=reader.endian if format == reader.format else "FILE",
            tags=reader.tags,
            overwrite=overwrite,
        )
        with writer:
            listeners = listen(reader)
            source_blocks = _Watched(reader, counters, listeners, watch)
            for out in effect.render(source_blocks, stream, counters):
                for listener in listeners:
                    listener.after(out)
                writer.write(out)
            source_blocks.check()
        return Report(
            reader.name,
            str(target),
            reader.rate,
            reader.channels,
            writer.frames,
            format,
            subtype,
            latency,
            time.perf_counter() - start,
            writer.clipped,
            source_blocks.nonfinite,
            (*reader.warnings, *_warnings(writer, source_blocks.nonfinite)),
        )


def _check_size(target: str | Path, reader: SoundReader, format: str, subtype: str) -> None:
    size = reader.frames * reader.channels * SAMPLE_BYTES.get(subtype, 4)
    if format in ("WAV", "WAVEX", "AIFF") and size > MAX_RIFF_BYTES:
        raise AudioError(
            f"{target} would have {size / 1e9:.1f} GB; a {format} file cannot hold more than 4.29, "
            "a w64, rf64 or flac can",
            Problem.FORMAT,
        )


def _warnings(writer: SoundWriter, nonfinite: int) -> Iterator[str]:
    if nonfinite:
        yield f"{nonfinite} NaN or infinite samples in the input were replaced by silence"
    if writer.clipped:
        yield (
            f"{writer.clipped} samples beyond full scale were held at full scale, as "
            f"{writer.subtype} cannot hold them (a float format can)"
        )
    if writer.padded:
        yield (
            f"{writer.format} {writer.subtype} only comes in blocks: {writer.padded} samples "
            "follow after the end"
        )


class Against:
    """A listener that scores input and output against a clean recording.

    Args:
        reference: The clean file.
        reader: The file that is going to be processed.

    Raises:
        AudioError: their rates, channels or lengths differ; nothing is guessed or resampled.
    """

    def __init__(self, reference: str | Path, reader: SoundReader) -> None:
        self._clean = [SoundReader(reference), SoundReader(reference)]
        clean = self._clean[0]
        for what, wanted, got in (
            ("Hz", reader.rate, clean.rate),
            ("channels", reader.channels, clean.channels),
            ("samples", reader.frames, clean.frames),
        ):
            if wanted != got:
                self.close()
                raise AudioError(
                    f"the reference {reference} has {got} {what}, {reader.name} has {wanted}: "
                    "scores need the same recording, clean, sample for sample"
                )
        self._takes = [_Take(reader) for reader in self._clean]
        self._scores = [Scores(clean.channels), Scores(clean.channels)]

    def before(self, block: Samples) -> None:
        """See `Listener.before`."""
        self._scores[0].add(block, self._takes[0](block.shape[1]))

    def after(self, block: Samples) -> None:
        """See `Listener.after`."""
        self._scores[1].add(block, self._takes[1](block.shape[1]))

    def result(self) -> dict[str, dict[str, float]]:
        """{"before": {"SI-SDR dB": ...}, "after": ...}."""
        return {
            "before": self._scores[0].result(),
            "after": self._scores[1].result(),
        }

    def close(self) -> None:
        """Close the reference."""
        for reader in self._clean:
            reader.close()


class _Take:
    """Cuts a reader's blocks into pieces of the lengths asked for."""

    def __init__(self, reader: SoundReader) -> None:
        self._blocks, self._rest = iter(reader), np.zeros((reader.channels, 0), np.float32)

    def __call__(self, count: int) -> Samples:
        while self._rest.shape[1] < count:
            block = next(self._blocks, None)
            if block is None:
                raise AudioError("the reference ends before the recording does")
            self._rest = np.concatenate((self._rest, block), axis=1)
        taken, self._rest = self._rest[:, :count], self._rest[:, count:]
        return taken
