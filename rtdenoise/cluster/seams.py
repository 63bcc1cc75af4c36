"""Seams between the pieces of a recording: a run hands over to the next one when both agree.

The run of a piece begins with its first sample, and goes on beyond its last. There, its samples are
taken until those of the next piece have been the same for `CHECK_S` seconds of sound. So a guess of
how long an effect remembers decides how much work there is, and not what comes out: if it is too
short, the run before goes on for longer.

Two samples are the same if they differ by less than `SAME` times the peak of the input in the fifth
of a second before, as if the sound there were at full scale: what is soft at a seam may be loud
later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..audio import Samples
from ..chain.effect import Effect
from ..core.counters import Counters
from ..core.stream import Stream
from ..errors import AudioError

# Measured by tools/cuts_bench.py: no hand-over by these left a difference of more than 2.5e-6, the
# rounding of float32 in batches of another size. Of those by 1e-5 and 2 s, one in ten left more
# than 1e-5, because what a net remembers is not always heard.
CHECK_S = 10.0  # of sound, in which the samples of two runs must be the same
SAME = 2e-6
SOUND = 2.0**-14  # peak of sound: noise of -93 dBFS, below which the nets of the box hear silence
STEP, STEPS = 1024, 9  # samples that are compared at once, and how many of these are "around"


def sounding(block: Samples) -> int:
    """Return how many of the samples of *block* (channels, n) are sound, in steps of `STEP`."""
    steps = range(0, block.shape[1], STEP)
    return sum(
        min(STEP, block.shape[1] - at)
        for at in steps
        if np.abs(block[:, at : at + STEP]).max() > SOUND
    )


class Reel:
    """Blocks of samples of which any number can be taken.

    Args:
        channels: Channel count of every block.
        blocks: The blocks (channels, n), taken as they are needed.
    """

    def __init__(self, channels: int, blocks: Iterable[Samples] = ()) -> None:
        self._blocks, self._held = iter(blocks), deque[Samples]()
        self._none = np.zeros((channels, 0), np.float32)

    def put(self, block: Samples) -> None:
        """Append a block."""
        self._held.append(block)

    def take(self, count: int) -> Samples:
        """Return the next *count* samples, or fewer at the end."""
        parts = [self._none]
        while count:
            if not self._held:
                block = next(self._blocks, None)
                if block is None:
                    break
                self._held.append(block)
            block = self._held.popleft()
            parts.append(block[:, :count])
            if block.shape[1] > count:
                self._held.appendleft(block[:, count:])
            count -= parts[-1].shape[1]
        return parts[1] if len(parts) == 2 else np.concatenate(parts, axis=1)


def run(
    effect: Effect, blocks: Iterable[Samples], stream: Stream, counters: Counters
) -> Iterator[tuple[Samples, Samples]]:
    """Yield a recording before and after *effect*, in pairs of blocks that are aligned.

    Args:
        effect: The effect, whose run begins with the first block.
        blocks: The recording, as blocks (channels, n) of finite samples.
        stream: The rate and the channels of the recording.
        counters: Where the nets count.
    """
    dry = Reel(stream.channels)

    def noted() -> Iterator[Samples]:
        for block in blocks:
            dry.put(block)
            yield block

    for out in effect.render(noted(), stream, counters):
        yield dry.take(out.shape[1]), out


@dataclass
class Piece:
    """A piece of a recording after processing.

    Attributes:
        frames: Samples per channel of the piece. None: it goes on to the end of the recording.
        own: Its samples, as blocks.
        beyond: What its run gives after its end, as blocks, for as long as they are wanted.
    """

    frames: int | None
    own: Iterable[Samples]
    beyond: Iterable[Samples]


@dataclass
class Seam:
    """What was found at a seam; it goes on over the next ones if nobody agrees before.

    Attributes:
        start: The first sample of the piece after it.
        error: The largest difference of the two runs in the sound in which they agreed.
        frames: Samples from *start* on that were taken from the run before it.
        agreed: Whether two runs agreed before the recording ended.
    """

    start: int
    error: float = 0.0
    frames: int = 0
    agreed: bool = False


class Joiner:
    """The pieces of a recording as one.

    Args:
        pieces: The pieces, in order, taken as they are needed.
        stream: The rate and the channels of the recording.

    Attributes:
        seams: What was found at the seams so far.
    """

    def __init__(self, pieces: Iterator[Piece], stream: Stream) -> None:
        self._pieces, self._stream = pieces, stream
        self._wanted = round(CHECK_S * stream.rate)
        self.seams: list[Seam] = []
        self._at, self._agreed = 0, 0
        self._levels = deque([0.0], STEPS)
        self._before: Reel | None = None
        self._turn()

    def _turn(self) -> None:
        """Begin the next piece."""
        self._piece = next(self._pieces)
        self._own = Reel(self._stream.channels, self._piece.own)
        self._rest = self._piece.frames

    def after(self, block: Samples) -> Samples:
        """Return the processed samples for *block* (channels, n), the next of the recording."""
        parts, at = [], 0
        while at < block.shape[1]:
            if self._rest == 0:
                self._cross()
            count = min(STEP, block.shape[1] - at, STEP if self._rest is None else self._rest)
            parts.append(self._next(block[:, at : at + count]))
            at += count
        return np.concatenate(parts, axis=1) if parts else block

    def _cross(self) -> None:
        """Go on with the next piece, and with the run before it until both agree.

        A run that has not agreed with the piece that ends goes on: it began earlier than that one.
        """
        if self._before is None:
            self._before = Reel(self._stream.channels, self._piece.beyond)
            self.seams.append(Seam(self._at))
        self._agreed = 0
        self._turn()

    def _next(self, dry: Samples) -> Samples:
        """Return the processed samples for *dry*, at most `STEP` of one piece."""
        count = dry.shape[1]
        own = self._own.take(count)
        self._at += count
        self._rest = None if self._rest is None else self._rest - count
        before = None if self._before is None else self._before.take(count)
        if own.shape[1] < count or (before is not None and before.shape[1] < count):
            raise AudioError(
                f"the pieces end {self._at / self._stream.rate:.2f} s in, before the recording "
                "does: it was changed while it was processed"
            )
        return own if before is None else self._compared(dry, before, own)

    def _compared(self, dry: Samples, before: Samples, own: Samples) -> Samples:
        """Return *before*, and leave its run if it has agreed with *own* for long enough."""
        seam, level = self.seams[-1], float(np.abs(dry).max())
        self._levels.append(level)
        error = float(np.abs(before - own).max())
        seam.error, seam.frames = max(seam.error, error), seam.frames + dry.shape[1]
        if not error <= SAME * min(1.0, max(*self._levels, SOUND)):  # NaN is never the same
            self._agreed, seam.error = 0, 0.0
        elif level > SOUND:
            self._agreed += dry.shape[1]
        if self._agreed >= self._wanted:
            self._before, seam.agreed = None, True
        return before
