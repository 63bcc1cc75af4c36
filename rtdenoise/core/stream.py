"""The form of a stream, as one value that travels from the ends to the innermost net."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..audio import check_channels, check_rate
from ..errors import AudioError


@dataclass(frozen=True)
class Stream:
    """The form of a stream of samples: what a stage must know before the first block comes.

    Attributes:
        rate: Sample rate of the stream in Hz.
        channels: Channel count of every block.
        block: Samples per channel that every push brings; this promise gives the least latency.
            None: any number, which may change from push to push.
        deadline: Share of its hop's period that a net may take before it gives the dry signal. The
            period is the net's own, so that one value holds for every net of a chain. None: nobody
            waits for the samples, and a net may take any time.

    Raises:
        AudioError: If the rate, the channel count, the block or the deadline is out of range.

    >>> Stream(48_000, 2, block=512).at(44_100)
    Stream(rate=44100, channels=2, block=None, deadline=None)
    """

    rate: int
    channels: int
    block: int | None = None
    deadline: float | None = None

    def __post_init__(self) -> None:
        """Refuse values that no end can deliver."""
        object.__setattr__(self, "rate", check_rate(self.rate))
        check_channels(self.channels)
        if self.block is not None and self.block < 1:
            raise AudioError(f"blocks of {self.block} samples: wanted 1 or more, or None for any")
        if self.deadline is not None and self.deadline <= 0:
            raise AudioError(f"deadline = {self.deadline}: wanted a share above 0, or None")

    def at(self, rate: int) -> Stream:
        """Return this stream after a resampler to *rate* Hz, which gives blocks of any size."""
        return self if rate == self.rate else replace(self, rate=rate, block=None)

    def any_block(self) -> Stream:
        """Return this stream without its promise of a block size."""
        return replace(self, block=None)
