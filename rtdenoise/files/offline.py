"""Processing of one sound file by an effect, in blocks: files of any length need equal memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..audio import Samples
from ..core.counters import Counters
from ..core.kernels import all_finite, clean
from ..core.stream import Stream
from ..errors import AudioError, ModelError, Problem
from ..sound.pending import same_file
from ..sound.reader import BLOCK
from .ends import AtRate, Input, Output, losses, open_for, open_output

AUDIBLE = 2.0**-16  # half a step of 16 bits: what is softer at its peak is silence there


class Renders(Protocol):
    """An object that processes whole recordings, as every effect does."""

    def render(
        self, blocks: Iterable[Samples], stream: Stream, counters: Counters
    ) -> Iterator[Samples]:
        """Yield the recording after processing: as many samples, aligned with the input."""
        ...

    def latency(self, sample_rate: float) -> int:
        """Return the samples by which the output would be late in a stream at *sample_rate* Hz."""
        ...

    def rate_of_result(self, sample_rate: int) -> int:
        """Return the rate in Hz that holds what this makes of sound at *sample_rate* Hz."""
        ...


class Listener(Protocol):
    """An object that gets the input and the output of the effect, aligned with each other."""

    def before(self, block: Samples) -> None:
        """Take the next (channels, n) of the input."""
        ...

    def after(self, block: Samples) -> None:
        """Take the next (channels, n) of the output."""
        ...


@dataclass(frozen=True)
class Report:
    """The facts about a file that was processed.

    Attributes:
        input: Name of the input, or "stdin".
        output: Name of the output, or "-".
        rate: Sample rate of input and output in Hz.
        channels: Channel count of input and output.
        frames: Samples per channel of input and output.
        format: Format of the output: "WAV", "FLAC", ...
        subtype: Subtype of the output: "PCM_16", "FLOAT", ...
        input_kbps: Bit rate of a lossy input in kb/s, without its tags. None: it is not lossy.
        output_kbps: Bit rate of a lossy output in kb/s. None: it is not lossy.
        latency: Samples by which the effect is late in a stream; the output is aligned.
        elapsed_s: Time of the work in seconds, with reading and writing.
        clipped: Number of output samples that were held at full scale.
        nonfinite: Number of NaN and infinite input samples, which were replaced by 0.
        warnings: Sentences that the user should read.
        partial: Sentence that says what of the input could not be read, so that the output is a
            part of it. Empty: all was read.
    """

    input: str
    output: str
    rate: int
    channels: int
    frames: int
    format: str
    subtype: str
    input_kbps: float | None
    output_kbps: float | None
    latency: int
    elapsed_s: float
    clipped: int
    nonfinite: int
    warnings: tuple[str, ...]
    partial: str = ""

    @property
    def seconds(self) -> float:
        """The length of the audio in seconds."""
        return self.frames / self.rate

    @property
    def real_time_factor(self) -> float:
        """The seconds of audio that one second of work processed."""
        return self.seconds / max(self.elapsed_s, 1e-9)


class _Heard:
    """A listener that notices output which is no sound: NaN, or silence in place of sound.

    Args:
        reader: The open file that is processed.
    """

    def __init__(self, reader: Input) -> None:
        self._name, self._rate, self._frames = reader.name, reader.rate, 0
        self._peaks = np.zeros((2, reader.channels), np.float32)

    def before(self, block: Samples) -> None:
        """See `Listener.before`."""
        self._note(0, block)

    def after(self, block: Samples) -> None:
        """See `Listener.after`.

        Raises:
            AudioError: If the output has NaN or infinity.
        """
        if not all_finite(block[None]):
            raise AudioError(
                f"{self._name}: the effects gave NaN or infinity {self._frames / self._rate:.2f} s "
                "in, for finite sound, so nothing was written"
            )
        self._frames += block.shape[1]
        self._note(1, block)

    def _note(self, which: int, block: Samples) -> None:
        """Keep the highest peak of each channel of the input (0) or the output (1)."""
        if block.shape[1]:
            self._peaks[which] = np.maximum(self._peaks[which], np.abs(block).max(axis=1))

    def warnings(self) -> Iterator[str]:
        """Yield a sentence if a channel of the output is silent, and its input is not."""
        before, after = self._peaks
        lost = np.flatnonzero((before >= AUDIBLE) & (after < AUDIBLE))
        if len(lost):
            which = ", ".join(str(channel + 1) for channel in lost)
            what = "the output" if len(lost) == len(before) else f"channel {which} of the output"
            yield f"{what} is silent, though the input is not: look at the settings of the effects"


class _Watched:
    """The blocks of a file, made finite and shown to listeners before the effect gets them."""

    def __init__(
        self,
        reader: Input,
        counters: Counters,
        listeners: Sequence[Listener],
        watch: Callable[[float], None],
    ) -> None:
        self.reader, self.counters = reader, counters
        self.listeners, self.watch = listeners, watch
        self._nonfinite, self.partial = 0, ""

    @property
    def nonfinite(self) -> int:
        """The samples so far that were NaN or infinite."""
        return self._nonfinite + (self.reader.nonfinite if isinstance(self.reader, AtRate) else 0)

    def _readable(self) -> Iterator[Samples]:
        """Yield all that can be read, and keep what is said of the rest."""
        try:
            yield from self.reader
        except AudioError as error:
            if error.problem is not Problem.PARTIAL:
                raise
            self.partial = str(error)

    def __iter__(self) -> Iterator[Samples]:
        for block in self._readable():
            self._nonfinite += clean(block, block)
            for listener in self.listeners:
                listener.before(block)
            yield block
            self.check()
            self.watch(block.shape[1] / self.reader.rate)

    def check(self) -> None:
        """See `check_nets`."""
        check_nets(self.reader.name, self.counters)


def check_nets(name: str, counters: Counters) -> None:
    """Raise if a net failed: live it goes dry, but a file must not look finished then.

    Args:
        name: Name of the recording.
        counters: Where the nets counted.

    Raises:
        AudioError: If a plugin failed.
        ModelError: If a net failed.
    """
    fault = counters.fault
    if counters["failed"] and isinstance(fault, AudioError):  # that of a plugin
        raise AudioError(f"{name}: {fault}; nothing was written")
    if counters["failed"]:
        raise ModelError(
            f"the net failed on {name} ({counters.why()}), so nothing was written",
            Problem.NET_FAILED,
        )


def process_file(
    source: str | Path,
    target: str | Path,
    effect: Renders,
    *,
    kbps: float | None = None,
    overwrite: bool = False,
    listen: Callable[[Input], Sequence[Listener]] = lambda reader: (),
    watch: Callable[[float], None] = lambda seconds: None,
    block: int = BLOCK,
) -> Report:
    """Process the sound file *source* with an effect, and write it to *target*.

    The output has the rate, the channels, the length and the timing of the input, and its format
    and subtype as far as the suffix of *target* allows. An effect that adds frequencies gets the
    rate that holds them (`Effect.rate_of_result`). A lossy output has the bit rate of a lossy
    input. It appears when it is whole, or never. Of an input that is cut off or damaged, what can
    be read is processed, and the report says so.

    Args:
        source: Name of any sound file or, with PyAV, video; or `-` for stdin.
        target: Name of the output, or `-` for stdout.
        effect: The effect, as `Denoise("speech")`.
        kbps: Bit rate of a lossy output in kb/s. None: that of the input; see `bitrate.chosen`.
        overwrite: Whether *target* may be replaced if it exists, even if it is *source* itself.
        listen: Function that makes the listeners for the open file.
        watch: Function that is called after each block with the length of the block in seconds;
            it may raise to stop the work.
        block: Samples of a read; it changes the speed and the memory, never a sample.

    Raises:
        AudioError: If the input cannot be read, or the output cannot be written, or would replace
            an input that can be read in part only.
        ModelError: If the net failed in any window.
    """
    start = time.perf_counter()
    with open_for(effect.rate_of_result, source, block) as reader, reader.raw() as original:
        there = reader.bit_rate  # before the output can take the place of the input
        writer = open_output(target, reader, original, kbps, overwrite)
        stream, counters = Stream(reader.rate, reader.channels), Counters()
        latency = effect.latency(reader.rate)  # before the sound: some VST3s are good for one run
        with writer:
            heard = _Heard(reader)
            listeners = [heard, *listen(reader)]
            source_blocks = _Watched(reader, counters, listeners, watch)
            for out in effect.render(source_blocks, stream, counters):
                for listener in listeners:
                    listener.after(out)
                writer.write(out)
            source_blocks.check()
            _check_part(source, target, source_blocks.partial, writer.frames)
        return Report(
            reader.name,
            str(target),
            reader.rate,
            reader.channels,
            writer.frames,
            writer.format,
            writer.subtype,
            there.mean if there else None,
            writer.bit_rate.mean if writer.bit_rate else None,
            latency,
            time.perf_counter() - start,
            writer.clipped,
            source_blocks.nonfinite,
            (
                *reader.warnings,
                *writer.warnings,
                *losses(reader, writer, kbps is not None),
                *_warnings(writer, source_blocks.nonfinite),
                *heard.warnings(),
            ),
            source_blocks.partial,
        )


def _check_part(source: str | Path, target: str | Path, partial: str, frames: int) -> None:
    """Refuse a part of nothing, and one that replaces a damaged input: more may be read of it."""
    if partial and not frames:
        raise AudioError(f"{partial}. Nothing of it can be read, so nothing was written")
    if partial and same_file(source, target):
        raise AudioError(f"{partial}. The part of it that can be read does not replace it")


def _warnings(writer: Output, nonfinite: int) -> Iterator[str]:
    """Yield a sentence for each thing that the user should know about the output."""
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
