"""A stream of the pool: its stage, the audio that waits for it, and its place in time."""

from __future__ import annotations

from collections import deque

import numpy as np

from ..audio import Samples
from ..core.counters import Counters
from ..core.stage import Stage
from ..sound.writer import integers
from .protocol import FORMATS, Hello

USUAL_HOP_S = 0.01  # time of a piece of a stream whose effect has no net


class Lane:
    """A stream of the pool.

    Its clock says when the first frame that waits would be there in real time. Audio that comes
    faster has its time in the future, so that streams which are in time go before it; when all of
    it is processed, the clock follows what comes next. So no stream falls behind real time, and
    those that are ahead share what is left.

    Args:
        hello: The form of its samples.
        stage: Its stage.
        counters: The counts of its nets.
        hop_s: Time between two windows of its net in seconds. None: it has no net.

    Attributes:
        hop: Frames of a hop, rounded down.
        hop_s: The time of a hop in seconds.
        waiting: Frames that wait.
        ending: Whether no more audio comes.
        frames_in: Frames that came.
        frames_out: Frames that were given.
        nonfinite: NaN and infinite samples among those that came.
        late: Pieces that were answered later than the end of the next hop.
        lag_s: Time in seconds from when the last piece was there to its answer.
    """

    def __init__(self, hello: Hello, stage: Stage, counters: Counters, hop_s: float | None) -> None:
        self.hello, self.stage, self.counters = hello, stage, counters
        self.hop = max(1, int((hop_s or USUAL_HOP_S) * hello.rate))
        self.hop_s = self.hop / hello.rate
        self.frames_in = self.frames_out = self.nonfinite = self.late = self.waiting = 0
        self.ending, self.lag_s = False, 0.0
        self._blocks: deque[Samples] = deque()
        self._clock_s = self._taken_s = 0.0

    def add(self, block: Samples, now_s: float) -> None:
        """Append *block* (channels, n), which came at the time *now_s*."""
        if not self.waiting:
            self._clock_s = now_s
        self._blocks.append(block)
        self.waiting += block.shape[1]

    @property
    def hops(self) -> int:
        """How many pieces of a hop wait, the last of which may be shorter."""
        return -(-self.waiting // self.hop)

    @property
    def due_s(self) -> float:
        """The time at which the next piece is to be answered."""
        return self._clock_s + self.hop_s

    def take(self, frames: int) -> Samples:
        """Return the next *frames* frames at most."""
        parts: list[Samples] = []
        while frames and self._blocks:
            block = self._blocks.popleft()
            if block.shape[1] > frames:
                self._blocks.appendleft(block[:, frames:])
                block = block[:, :frames]
            frames -= block.shape[1]
            parts.append(block)
        taken = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        self.waiting -= taken.shape[1]
        self._taken_s = self._clock_s
        self._clock_s += taken.shape[1] / self.hello.rate
        return taken

    def note(self, now_s: float) -> bool:
        """Note that the piece that was taken is answered; return whether that is late."""
        self.lag_s = max(0.0, now_s - self._taken_s)
        late = self.lag_s > self.hop_s
        self.late += late
        return late

    def counts(self) -> dict[str, int]:
        """Return the counts of the stream, as `done` tells them."""
        nets = {name: self.counters[name] for name in ("hops", "dry", "failed")}
        own = {"frames_in": self.frames_in, "frames_out": self.frames_out, "late": self.late}
        return own | nets | {"nonfinite": self.nonfinite}


def encoded(given: list[tuple[Lane, Samples]]) -> list[bytes]:
    """Return the messages of what stages gave; all integers are rounded at once."""
    for lane, out in given:
        lane.frames_out += out.shape[1]
    flat = [out.T.reshape(1, -1) for lane, out in given if lane.hello.format == "s16"]
    if flat:
        rounded = memoryview(
            integers(np.concatenate(flat, axis=1), 16).astype(FORMATS["s16"]).tobytes()
        )
    messages, at = [], 0
    for lane, out in given:
        if lane.hello.format == "s16":
            size = 2 * out.size
            messages.append(bytes(rounded[at : at + size]))
            at += size
        else:
            messages.append(lane.hello.encoded(out))
    return messages
