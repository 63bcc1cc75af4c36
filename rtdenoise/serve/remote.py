"""An effect that a server of streams runs, so that a file can pass through it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..audio import Samples
from ..core.counters import Counters
from ..core.stream import Stream
from .client import Event, Hello, Remote, clean
from .course import ignore


@dataclass
class AtServer:
    """An effect for `files.offline.process_file` that runs at a server.

    Args:
        url: Address of the server.
        hello: What it is told; rate and channels are those of each recording.
        authority: See `Remote`.
        tell: Function that gets each `Event`.

    Attributes:
        last: The stream of the last recording. None: there was none.
    """

    url: str
    hello: Hello
    authority: str | Path | None = None
    tell: Callable[[Event], None] = ignore
    last: Remote | None = field(default=None, init=False)

    def latency(self, sample_rate: float) -> int:
        """Return 0: nobody knows it before the stream begins; then `last.ready` has it."""
        return 0

    def rate_of_result(self, sample_rate: int) -> int:
        """Return the rate as it is: a stream keeps it."""
        return sample_rate

    def render(
        self, blocks: Iterable[Samples], stream: Stream, counters: Counters
    ) -> Iterator[Samples]:
        """Yield the recording after processing; hops that failed at the server are counted here.

        Raises:
            ServerError: If there is no server, it refuses, or it is lost.
        """
        hello = replace(self.hello, rate=stream.rate, channels=stream.channels)
        self.last = Remote(self.url, hello, self.authority, tell=self.tell)
        yield from clean(self.last, blocks)
        for name in ("hops", "dry", "late", "failed"):
            counters.add(name, self.last.done.get(name, 0))
