"""A long recording as pieces that can be processed anywhere, and joined into one output.

`plan` cuts it, `piece` processes one piece into a file, and `join` makes the output of all files.
The output is that of the uncut recording within 1e-5 of full scale (`seams` says how), and `join`
writes it by `process_file`, so that format, tags, clipping and reports are the same.

A piece file is a W64 of floats, which hold the samples exactly. It appears when it is whole, and
its name says what it is made of: a second run finds the pieces that the first one has finished.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import Samples
from ..chain.effect import Effect
from ..core.counters import Counters
from ..core.kernels import clean
from ..core.stream import Stream
from ..errors import AudioError, Problem
from ..files.ends import Input, open_for, open_output
from ..files.offline import Report, check_nets, process_file
from ..sound.reader import BLOCK, SoundReader, skipped
from ..sound.writer import SoundWriter
from . import memory, seams
from .seams import Joiner, Piece, Reel, Seam, run, sounding
from .section import Cut

FORMAT, SUBTYPE = "W64", "FLOAT"  # a W64 may have more than 4 GB
MOST_SILENCE_S = (
    600.0  # that a piece file holds beyond its end; if there is more, its run is run again
)


def plan(source: str | Path, effect: Effect, longest_s: float) -> list[Cut]:
    """Return the pieces into which a recording is cut, in order; one if it is not longer.

    Args:
        source: Name of the recording.
        effect: The effect.
        longest_s: Most seconds of a piece, but for the places where a run of the effect can begin.

    Raises:
        AudioError: If the recording cannot be read.
        UsageError: If it is longer, and the effect never forgets (see `memory.check`).
    """
    with open_for(effect.rate_of_result, source) as reader:
        frames, rate = reader.frames, reader.rate
    if frames > longest_s * rate:
        memory.check(effect)
    step = memory.grid(effect, rate)
    count = ceil(frames / max(1, longest_s * rate))
    size = max(1, ceil(frames / max(1, count) / step)) * step  # all as long as each other
    beyond = ceil((memory.seconds(effect) + seams.CHECK_S) * rate)
    starts = range(0, max(1, frames), size)
    stops = [*starts[1:], None]
    return [Cut(start, stop, beyond) for start, stop in zip(starts, stops, strict=True)]


def check_output(
    source: str | Path,
    target: str | Path,
    effect: Effect,
    kbps: float | None = None,
    overwrite: bool = False,
) -> None:
    """Refuse, before any work, an output that `join` could not write; see `files.ends.open_output`.

    Raises:
        AudioError: If it exists and may not be replaced, or its format cannot hold the sound.
    """
    with open_for(effect.rate_of_result, source) as reader, reader.raw() as original:
        open_output(target, reader, original, kbps, overwrite).discard()


def piece(
    source: str | Path,
    effect: Effect,
    cut: Cut,
    target: str | Path,
    watch: Callable[[float], None] = lambda seconds: None,
) -> None:
    """Process one piece of *source* into the file *target*.

    The file goes on beyond the end of the piece, as a rule for as long as the seam needs.

    Args:
        source: Name of the recording.
        effect: The effect.
        cut: The piece.
        target: Name of its file, which appears when it is whole, and replaces what has its name.
        watch: Function that is called after each block with the seconds of it that belong to the
            piece; it may raise to stop the work.

    Raises:
        AudioError: If the recording cannot be read, or the file cannot be written.
        ModelError: If a net failed in any window.
    """
    with (
        open_for(effect.rate_of_result, source) as reader,
        SoundWriter(
            target, reader.rate, reader.channels, FORMAT, SUBTYPE, overwrite=True
        ) as writer,
        closing(_run(reader, effect, cut)) as pairs,
    ):
        unheard = cut.beyond
        for dry, wet in pairs:
            writer.write(wet)
            over = 0 if cut.stop is None else cut.start + writer.frames - cut.stop
            watch(max(0, wet.shape[1] - max(0, over)) / reader.rate)
            if over <= 0:
                continue
            unheard -= sounding(dry[:, max(0, dry.shape[1] - over) :])
            if unheard <= 0 or over >= cut.beyond + MOST_SILENCE_S * reader.rate:
                break


def _run(reader: Input, effect: Effect, cut: Cut) -> Generator[tuple[Samples, Samples]]:
    """Yield the recording before and after *effect*, from the start of *cut* to its end."""
    counters, stream = Counters(), Stream(reader.rate, reader.channels)
    for pair in run(effect, _finite(reader, cut.start), stream, counters):
        check_nets(reader.name, counters)
        yield pair
    check_nets(reader.name, counters)


def _finite(reader: Input, begin: int) -> Iterator[Samples]:
    """Yield the recording from the sample *begin* on as far as it can be read, made finite."""
    try:
        for block in reader.after(begin):
            finite = np.empty(block.shape, np.float32)
            clean(block, finite)
            yield finite
    except AudioError as error:
        if error.problem is not Problem.PARTIAL:
            raise


class Joined:
    """The pieces of a recording, as the effect that has processed it; see `Renders`.

    Args:
        source: Name of the recording.
        effect: The effect, which runs again where two pieces do not agree.
        planned: The pieces.
        files: Names of their files.

    Attributes:
        seams: What was found at the seams.
    """

    def __init__(
        self,
        source: str | Path,
        effect: Effect,
        planned: Sequence[Cut],
        files: Sequence[str | Path],
    ) -> None:
        self._source, self._effect = source, effect
        self._planned, self._files = planned, files
        self.seams: list[Seam] = []

    def latency(self, sample_rate: float) -> int:
        """See `Renders.latency`."""
        return self._effect.latency(sample_rate)

    def rate_of_result(self, sample_rate: int) -> int:
        """See `Renders.rate_of_result`."""
        return self._effect.rate_of_result(sample_rate)

    def render(
        self, blocks: Iterable[Samples], stream: Stream, counters: Counters
    ) -> Iterator[Samples]:
        """See `Renders.render`."""
        joiner = Joiner(self._pieces(stream), stream)
        self.seams = joiner.seams
        yield from map(joiner.after, blocks)

    def _pieces(self, stream: Stream) -> Iterator[Piece]:
        for cut, file in zip(self._planned, self._files, strict=True):
            frames = None if cut.stop is None else cut.stop - cut.start
            reel = Reel(stream.channels, _blocks(file))
            yield Piece(frames, _taken(reel, frames), self._beyond(reel, cut))

    def _beyond(self, reel: Reel, cut: Cut) -> Iterator[Samples]:
        """Yield what the run of *cut* gave after its end, and then what it gives there again."""
        if cut.stop is None:
            return
        given = cut.stop - cut.start
        for block in _taken(reel, None):
            given += block.shape[1]
            yield block
        rate_of = self._effect.rate_of_result
        with (
            open_for(rate_of, self._source) as reader,
            closing(_run(reader, self._effect, cut)) as pairs,
        ):
            yield from skipped((wet for _, wet in pairs), given)


def _blocks(file: str | Path) -> Iterator[Samples]:
    """Yield the samples of a piece file."""
    with SoundReader(file) as reader:
        yield from reader


def _taken(reel: Reel, frames: int | None) -> Iterator[Samples]:
    """Yield the next *frames* samples of *reel*, or all. They are read when they are wanted."""
    while frames is None or frames > 0:
        block = reel.take(BLOCK if frames is None else min(frames, BLOCK))
        if not block.shape[1]:
            return
        frames = None if frames is None else frames - block.shape[1]
        yield block


def join(
    source: str | Path,
    target: str | Path,
    effect: Effect,
    planned: Sequence[Cut],
    files: Sequence[str | Path],
    **settings: Any,
) -> Report:
    """Write the output of *source* from its pieces, and remove their files.

    Args:
        source: Name of the recording.
        target: Name of the output.
        effect: The effect, which runs again where two pieces do not agree.
        planned: The pieces.
        files: Names of their files, which stay if there is an error.
        settings: Those of `process_file`.

    Raises:
        AudioError: See `process_file`; also if a piece is missing, or the recording has changed.
        ModelError: If a net failed where it ran again.
    """
    report = process_file(source, target, Joined(source, effect, planned, files), **settings)
    for file in files:
        Path(file).unlink(missing_ok=True)
    return report
