"""How samples come to a stage: one value that travels from the ends to the innermost net."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..audio import check_channels, check_rate
from ..errors import AudioError


@dataclass(frozen=True)
class Stream:
    """A stream of samples, before any of them has come.

    Attributes:
        rate: Sample rate in Hz.
        channels: Rows of each block.
        block: Every push brings this many samples, a promise that buys the least delay. None: any
            number, another one each time.
        deadline: Share of its hop's period that a net may take before it gives the dry signal. The
            period is the net's own, so the value holds for every net of a chain. None: nobody
            waits for the samples, and a net takes as long as it wants.

    Raises:
        AudioError: a rate, a channel count, a block or a deadline that cannot be.

    >>> Stream(48_000, 2, block=512).at(44_100)
    Stream(rate=44100, channels=2, block=None, deadline=None)
    """

    rate: int
    channels: int
    block: int | None = None
    deadline: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no end could deliver."""
        object.__setattr__(self, "rate", check_rate(self.rate))
        check_channels(self.channels)
        if self.block is not None and self.block < 1:
            raise AudioError(f"blocks of {self.block} samples: wanted 1 or more, or None for any")
        if self.deadline is not None and self.deadline <= 0:
            raise AudioError(f"deadline = {self.deadline}: wanted a share above 0, or None")

    def at(self, rate: int) -> Stream:
        """The same stream after a resampler: at another rate, in blocks of any size."""
        return self if rate == self.rate else replace(self, rate=rate, block=None)

    def any_block(self) -> Stream:
        """The same stream without its promise."""
        return replace(self, block=None)
