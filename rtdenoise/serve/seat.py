"""A connection of a stream: what comes goes to the hub, and what the hub gives goes back.

Neither side can fill the memory. Beyond a few seconds of audio that wait, for the hub or for the
client to read the answers, nothing more is read from the client; TCP then holds it back.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from . import protocol
from .lane import Lane
from .pool import Answer, Hub

LONG = 1 << 15  # bytes of a message of several answers
SLOW_S = 10.0  # time in which a client must take something of its answers


class Refusal(Exception):  # noqa: N818 - the client's fault, or the server's
    """The end of a connection from the server's side.

    Args:
        code: Code with which it is closed.
        why: The error that the client gets, or its text.
        reason: The reason in one word, for the metrics, and for the client if `why` is a text.
        more: Other keys of the message.
    """

    def __init__(self, code: int, why: Exception | str, reason: str, **more: Any) -> None:
        super().__init__(str(why))
        self.code, self.reason = code, reason
        named = {"problem": reason} if isinstance(why, str) else {}
        self.text = protocol.error(why, **named, **more)


@dataclass(frozen=True)
class Limits:
    """What a client may do.

    Attributes:
        most_s: Seconds of audio that may wait, in each direction.
        idle_s: Time in seconds after which a client that sends nothing is let go.
        most_bytes: Bytes of a message.
        holds_back: Whether a client of which too much waits is not read. False: it is let go.
    """

    most_s: float
    idle_s: float
    most_bytes: int
    holds_back: bool


class Seat:
    """The connection of a stream, from `ready` on.

    Args:
        socket: The connection.
        lane: The stream.
        hub: The hub.
        limits: What the client may do.
        passed: Function that is told "in" or "out" and a number of bytes.
    """

    def __init__(
        self,
        socket: WebSocket,
        lane: Lane,
        hub: Hub,
        limits: Limits,
        passed: Callable[[str, int], None],
    ) -> None:
        self._socket, self._lane, self._hub = socket, lane, hub
        self._limits, self._passed = limits, passed
        self._most = int(limits.most_s * lane.hello.rate)
        self._waiting = 0  # frames that the hub has not taken
        self._given: list[bytes | str] = []
        self._given_bytes = 0
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._over = False
        self._refusal: Refusal | None = None

    def take(self, answer: Answer) -> None:
        """Take what a round gave."""
        self._waiting -= answer.frames
        if answer.message:
            self._given.append(answer.message)
            self._given_bytes += len(answer.message)
        self._over = self._over or answer.over
        if answer.fault is not None:
            self.refuse(Refusal(protocol.FAULT, answer.fault, "fault"))
        self._news.set()
        self._room.set()

    def say(self, text: str) -> None:
        """Send a message of text, after the answers so far."""
        self._given.append(text)
        self._news.set()

    def refuse(self, refusal: Refusal) -> None:
        """End the connection."""
        self._refusal = self._refusal or refusal
        self._news.set()

    async def run(self) -> None:
        """Pass audio on until the stream is at its end.

        Raises:
            Refusal: If the server ends it.
            WebSocketDisconnect: If the client is gone.
        """
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> None:
        """Give the hub what the client sends, up to the end of the stream."""
        size = self._lane.hello.frame_bytes
        while True:
            message = await self._next()
            data = message.get("bytes")
            if data is None:
                protocol.is_end(message["text"])
                self._hub.end(self._lane)
                return
            self._check(data, size)
            self._passed("in", len(data))
            self._waiting += len(data) // size
            self._hub.send(self._lane, data)
            while self._waiting > self._most or self._given_bytes > self._most * size:
                if not self._limits.holds_back:
                    raise Refusal(
                        protocol.REFUSED,
                        f"more than {self._limits.most_s:g} s of audio wait: wanted no more than "
                        "that ahead of the answers",
                        "ahead",
                    )
                self._room.clear()
                await self._room.wait()

    def _check(self, data: bytes, size: int) -> None:
        """Refuse a message of audio that is too long, or has no whole number of frames."""
        told = f"a message of {len(data)} bytes"
        if len(data) > self._limits.most_bytes:
            most = self._limits.most_bytes
            raise Refusal(protocol.TOO_BIG, f"{told}: wanted at most {most}", "format")
        if len(data) % size:
            why = f"{told}: wanted whole frames of {size} bytes"
            raise Refusal(protocol.REFUSED, why, "format")

    async def _next(self) -> dict[str, Any]:
        """Return the next message of the client."""
        try:
            async with asyncio.timeout(self._limits.idle_s):
                message = await self._socket.receive()
        except TimeoutError:
            why = f"nothing came for {self._limits.idle_s:g} s"
            raise Refusal(protocol.REFUSED, why, "idle") from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code") or 1006)
        return dict(message)

    async def _write(self) -> None:
        """Send the client what the hub gives, up to the end of the stream."""
        while True:
            await self._news.wait()
            self._news.clear()
            given, self._given, self._given_bytes = self._given, [], 0
            for part in _joined(given):
                await self._send(part)
            self._room.set()
            if self._refusal is not None:
                raise self._refusal
            if self._over and not self._given:
                await self._send(json.dumps({"done": self._lane.counts()}))
                return

    async def _send(self, part: bytes | str) -> None:
        try:
            async with asyncio.timeout(SLOW_S):
                if isinstance(part, str):
                    await self._socket.send_text(part)
                else:
                    await self._socket.send_bytes(part)
                    self._passed("out", len(part))
        except TimeoutError:
            raise Refusal(
                protocol.REFUSED, f"no answer was read for {SLOW_S:g} s", "slow"
            ) from None


def _joined(parts: list[bytes | str]) -> Iterator[bytes | str]:
    """Yield *parts* with neighbouring messages of audio as one, unless it becomes long."""
    run: list[bytes] = []
    for part in parts:
        if run and (isinstance(part, str) or sum(map(len, run)) + len(part) > LONG):
            yield b"".join(run)
            run = []
        if isinstance(part, str):
            yield part
        else:
            run.append(part)
    if run:
        yield b"".join(run)
