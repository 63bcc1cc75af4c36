"""A stream over as many connections as it takes: what is on its way, and what a break costs.

This file and `address.py` are the doors to `websockets`, which the extra `serve` brings.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import Samples
from ..errors import AudioError, Problem, RtdenoiseError, ServerError, UsageError
from .address import Address, needed
from .protocol import END, ENDED, FAULT, LATER, RESTARTS, Hello, Resume

MOST_FRAMES = 4096  # frames a message
AHEAD_S = 1.0  # sound that may be on its way at once: a file is sent as fast as it comes back
ANSWER_S = 20.0  # longest wait for an answer of a server that is there
CLOSE_S = 2.0  # longest wait for the other side when a connection is closed
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 5.0  # between attempts to connect again
# How a server closes when another attempt can succeed: it goes away, broke, starts again, is full;
# or not at all.
PASSING = {None, ENDED, 1001, 1005, 1006, FAULT, RESTARTS, LATER}


@dataclass(frozen=True)
class Event:
    """What happened to a stream.

    Attributes:
        kind: "ready": the server takes the stream. "draining": it is about to end. "away": the
            connection broke. "resumed": there is one again. "done": all sound came back.
        text: The same in words, for a person.
        facts: What the server said; for "resumed" also `lost` and `repeated`, frames.
    """

    kind: str
    text: str
    facts: dict[str, Any] = field(default_factory=dict)


def ignore(event: Event) -> None:
    """Do nothing with an event."""


@dataclass
class Remote:
    """One stream of sound to a server and back.

    Args:
        url: Address of the server, as ws://HOST:PORT or wss://HOST:PORT.
        hello: What the server is told first: rate, channels, model and others.
        authority: File with the certificates (PEM) that vouch for the server. None: the system's.
        repeat: Whether sound that was on its way when a connection broke is sent again. False:
            it is lost, and the output has the input in its place, as sound that nobody can wait
            for needs it.
        patience_s: Longest time in seconds to connect again after a connection broke.
        tell: Function that gets each `Event`.

    Attributes:
        ready: What the server said of the stream: model, latency_samples and others.
        done: What the server counted on the connections that ended as they should.
        lost: Frames that the server never returned, in whose place the output has the input.
        repeated: Frames that were sent again.

    Raises:
        UsageError: If the address makes no sense.
    """

    url: str
    hello: Hello
    authority: str | Path | None = None
    repeat: bool = True
    patience_s: float = 30.0
    tell: Callable[[Event], None] = ignore
    ready: dict[str, Any] = field(default_factory=dict, init=False)
    done: dict[str, int] = field(default_factory=dict, init=False)
    lost: int = field(default=0, init=False)
    repeated: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Read the address."""
        self.address = Address.of(self.url)


class Course:
    """A stream from its first block to its last, over as many connections as that takes.

    Every frame that was sent stays in `_flight` until it comes back, so that what a broken
    connection costs is known, and can be sent again.
    """

    def __init__(self, stream: Remote) -> None:
        self.stream = stream
        self._connect = needed("websockets.asyncio.client").connect
        self._closed = needed("websockets.exceptions").ConnectionClosed
        self._socket: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._flight: deque[Samples] = deque()
        self._flying = 0  # frames in it
        self._out: deque[Samples] = deque()
        self._late = 0  # frames that the connection still puts before the sound
        self._done: dict[str, int] | None = None
        self._refusal: ServerError | None = None
        self._news = asyncio.Event()

    async def send(self, block: Samples) -> list[Samples]:
        """Send *block*, and return what has come back."""
        if block.ndim != 2 or len(block) != self.stream.hello.channels:
            raise AudioError(
                f"a block has shape {block.shape}: wanted ({self.stream.hello.channels}, samples)"
            )
        ahead = int(AHEAD_S * self.stream.hello.rate)
        await self._connected()
        for at in range(0, block.shape[1], self._most):
            part = block[:, at : at + self._most].astype(np.float32)
            self._flight.append(part)
            self._flying += part.shape[1]
            await self._try(self._transmit(part))
            while self._flying > ahead + self.stream.ready["latency_samples"]:
                await self._next()
        return self._taken()

    async def end(self) -> list[Samples]:
        """Say that the sound is over, and return the rest of it."""
        await self._connected()
        await self._try(self._finish())
        while self._done is None:
            if await self._next():
                await self._try(self._finish())
        if self._flying:
            raise ServerError(
                f"{self.stream.address} ended the stream, and {self._flying} samples are missing"
            )
        self._count(self._done)
        self.stream.tell(Event("done", "all sound came back", dict(self.stream.done)))
        return self._taken()

    async def close(self) -> None:
        """Close the connection."""
        reader, self._reader = self._reader, None
        if self._socket is not None:
            await self._socket.close()
        if reader is not None:
            with suppress(Exception):
                await reader

    def _taken(self) -> list[Samples]:
        """Return what has come back, and forget it."""
        out, self._out = self._out, deque()
        return list(out)

    def _count(self, done: dict[str, int]) -> None:
        """Add the counts of a connection to those of the stream."""
        for name, count in done.items():
            self.stream.done[name] = self.stream.done.get(name, 0) + count

    # --- a connection ---

    @property
    def _most(self) -> int:
        """Frames that fit in a message."""
        most = int(self.stream.ready["most_bytes"]) // self.stream.hello.frame_bytes
        return max(1, min(MOST_FRAMES, most))

    async def _transmit(self, part: Samples) -> None:
        await self._socket.send(self.stream.hello.encoded(part))

    async def _finish(self) -> None:
        await self._socket.send(END)

    async def _try(self, sending: Coroutine[Any, Any, None]) -> None:
        """Send something; a connection that is gone is noticed by `_next`."""
        with suppress(self._closed):
            await sending

    async def _next(self) -> bool:
        """Wait for a message; if the connection broke, return True when there is another one."""
        reader = self._reader
        if reader is None or not reader.done():
            self._news.clear()
            try:
                async with asyncio.timeout(ANSWER_S):
                    await self._news.wait()
            except TimeoutError:
                await self._socket.close()
        if self._done is not None or reader is None or not reader.done():
            return False
        await self._again(reader)
        return True

    async def _connected(self) -> None:
        """Connect, or connect again if the connection is known to have broken."""
        if self._socket is None:
            facts = await self._open(self.stream.hello)
            self.stream.tell(Event("ready", f"{self.stream.address} takes the stream", facts))
        elif self._reader is not None and self._reader.done() and self._done is None:
            await self._again(self._reader)

    async def _open(self, hello: Hello) -> dict[str, Any]:
        """Open a connection, and return what the server says of the stream."""
        stream, address = self.stream, self.stream.address
        try:
            self._socket = await self._connect(
                address.url,
                ssl=address.context(stream.authority),
                compression=None,  # it finds little in samples, and takes more time than a net
                max_queue=None,  # what is on its way is bounded here
                open_timeout=ANSWER_S,
                ping_interval=ANSWER_S / 2,
                ping_timeout=ANSWER_S / 2,
                close_timeout=CLOSE_S,
            )
            await self._socket.send(hello.text())
            async with asyncio.timeout(ANSWER_S):
                message = address.read(await self._socket.recv())
        except RtdenoiseError:
            raise
        except Exception as error:  # of the system, of TLS, and of the library
            raise address.failed(error) from None
        if "ready" not in message:
            await self._socket.close()
            raise address.refusal(message)
        stream.ready = message["ready"]
        self._late, self._refusal = int(stream.ready["latency_samples"]), None
        self._reader = asyncio.create_task(self._read())
        return message

    async def _read(self) -> None:
        """Take messages until the connection is over."""
        try:
            async for message in self._socket:
                if isinstance(message, bytes):
                    self._take(self._decoded(message))
                else:
                    self._hear(self.stream.address.read(message))
                self._news.set()
        except ServerError as error:
            self._refusal = error
            await self._socket.close()
        except self._closed:
            pass
        finally:
            self._news.set()

    def _decoded(self, message: bytes) -> Samples:
        """Return the samples of a message."""
        try:
            return self.stream.hello.decoded(message)
        except UsageError as error:
            raise ServerError(f"{self.stream.address} sent {error}") from None

    def _take(self, block: Samples) -> None:
        """Take samples that came back: the oldest of those in flight have landed."""
        early = min(self._late, block.shape[1])
        self._late -= early
        count = block.shape[1] - early
        if count > self._flying:
            raise ServerError(f"{self.stream.address} sent more samples than it got")
        self._flying -= count
        if count:
            self._out.append(block[:, early:])
        while count:
            oldest = self._flight.popleft()
            if oldest.shape[1] > count:
                self._flight.appendleft(oldest[:, count:])
            count -= min(count, oldest.shape[1])

    def _hear(self, message: dict[str, Any]) -> None:
        """Take a message in words."""
        if "done" in message:
            self._done = {k: v for k, v in message["done"].items() if isinstance(v, int)}
        elif "error" in message:
            self._refusal = self.stream.address.refusal(message)
        elif "draining" in message:
            seconds = message["draining"].get("seconds")
            self.stream.tell(Event("draining", f"the server ends in {seconds} s", message))

    # --- the next connection ---

    async def _again(self, reader: asyncio.Task[None]) -> None:
        """Connect again after a break, and make up for what was on its way."""
        await asyncio.wait([reader])
        if not reader.cancelled() and (fault := reader.exception()) is not None:
            raise fault
        stream, code = self.stream, self._socket.close_code
        refusal = self._refusal or ServerError(f"{stream.address} closed the stream ({code})")
        if code not in PASSING and refusal.problem is not Problem.IDLE:
            raise refusal
        stream.tell(Event("away", str(refusal)))
        lost = 0 if stream.repeat else self._flying
        resume = Resume(str(stream.ready["stream"]), lost)
        facts = await self._patiently(replace(stream.hello, resume=resume), refusal)
        costs = await self._make_up()
        told = "{lost} samples were lost, {repeated} sent again".format(**costs)
        stream.tell(Event("resumed", f"connected again; {told}", facts | costs))

    async def _patiently(self, hello: Hello, error: ServerError) -> dict[str, Any]:
        """Open a connection, again and again until there is no more patience."""
        wait_s, end_s = FIRST_WAIT_S, time.monotonic() + self.stream.patience_s
        while (left_s := end_s - time.monotonic()) > 0:
            await asyncio.sleep(min(left_s, error.retry_s or wait_s))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            try:
                return await self._open(hello)
            except ServerError as refusal:
                if refusal.problem not in (Problem.NO_SERVER, Problem.FULL):
                    raise
                error = refusal
        raise ServerError(
            f"{self.stream.address} was lost for {self.stream.patience_s:g} s: {error}",
            error.problem,
            error.retry_s,
        )

    async def _make_up(self) -> dict[str, int]:
        """Send what was on its way again, or put it into the output as it was."""
        count, waiting = self._flying, list(self._flight)
        if self.stream.repeat:
            self.stream.repeated += count
            for part in waiting:
                await self._try(self._transmit(part))
            return {"lost": 0, "repeated": count}
        self._flight.clear()
        self._flying = 0
        self._out.extend(waiting)
        self.stream.lost += count
        return {"lost": count, "repeated": 0}
