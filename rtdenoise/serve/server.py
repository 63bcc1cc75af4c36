"""The server: an ASGI application with a WebSocket for each stream."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..chain.effect import Denoise
from ..core.counters import Counters
from ..errors import RtdenoiseError, UsageError
from ..nets.net import Net
from . import protocol
from .pool import Answer, Hub, Lane, Shared


@dataclass
class Settings:
    """The settings of a server."""

    models: Mapping[str, Net]
    most_s: float = 5.0


class Server:
    """What the connections of a server share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.seats: dict[Lane, Seat] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self.hub = Hub(self._give, [net.prepare_thread for net in settings.models.values()])

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        self.hub.start()
        try:
            yield
        finally:
            self.hub.stop()

    def _give(self, answers: list[Answer]) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._hand_out, answers)

    def _hand_out(self, answers: list[Answer]) -> None:
        for answer in answers:
            if seat := self.seats.get(answer.lane):
                seat.take(answer)

    def lane(self, hello: protocol.Hello) -> Lane:
        name = hello.model or next(iter(self.settings.models))
        if name not in self.settings.models:
            raise UsageError(
                f"no model {name!r}; this server has {', '.join(self.settings.models)}"
            )
        net = self.settings.models[name]
        effect = Denoise(net if net.holds_state else Shared(net), hello.mix, hello.atten_lim_db)
        counters = Counters()
        stage = effect.stage(hello.stream, counters)
        return Lane(hello, stage, counters, effect.own_hop / effect.own_rate)

    async def stream(self, socket: WebSocket) -> None:
        await socket.accept()
        try:
            hello = protocol.hello(await socket.receive_text())
            lane = await asyncio.to_thread(self.lane, hello)
        except RtdenoiseError as fault:
            await socket.send_text(protocol.error(fault))
            await socket.close(protocol.REFUSED)
            return
        except WebSocketDisconnect:
            return
        name = secrets.token_urlsafe(12)
        seat = Seat(socket, lane)
        self.seats[lane] = seat
        try:
            ready = {
                "stream": name,
                "model": hello.model or next(iter(self.settings.models)),
                "rate": hello.rate,
                "channels": hello.channels,
                "format": hello.format,
                "latency_samples": lane.stage.latency,
                "hop": lane.hop,
                "most_bytes": 1 << 20,
            }
            if hello.resume is not None:
                ready["resumed"] = {"lost": hello.resume.samples}
            await socket.send_text(json.dumps({"ready": ready}))
            await seat.run(self.hub, int(self.settings.most_s * hello.rate))
        finally:
            del self.seats[lane]
            self.hub.drop(lane)


class Seat:
    """The connection of a stream."""

    def __init__(self, socket: WebSocket, lane: Lane) -> None:
        self.socket, self.lane = socket, lane
        self.waiting = 0
        self.news = asyncio.Event()
        self.room = asyncio.Event()
        self.out: list[bytes] = []
        self.over = False
        self.fault: Exception | None = None

    def take(self, answer: Answer) -> None:
        self.waiting -= answer.frames
        if answer.message:
            self.out.append(answer.message)
        self.over = self.over or answer.over
        self.fault = answer.fault
        self.news.set()
        self.room.set()

    async def run(self, hub: Hub, most: int) -> None:
        reader = asyncio.create_task(self.read(hub, most))
        writer = asyncio.create_task(self.write())
        done, pending = await asyncio.wait([reader, writer], return_when=asyncio.FIRST_COMPLETED)
        if reader in done and reader.result() == "end":
            await writer
        for task in pending:
            task.cancel()

    async def read(self, hub: Hub, most: int) -> str:
        while True:
            try:
                message = await self.socket.receive()
            except RuntimeError:
                return "gone"
            if message["type"] == "websocket.disconnect":
                return "gone"
            if (data := message.get("bytes")) is not None:
                self.waiting += len(data) // self.lane.hello.frame_bytes
                hub.send(self.lane, data)
                while self.waiting > most:
                    self.room.clear()
                    await self.room.wait()
            elif protocol.is_end(message["text"]):
                hub.end(self.lane)
                return "end"

    async def write(self) -> None:
        while True:
            await self.news.wait()
            self.news.clear()
            if self.out:
                data, self.out = b"".join(self.out), []
                await self.socket.send_bytes(data)
            if self.over and not self.out:
                await self.socket.send_text(json.dumps({"done": self.lane.counts()}))
                await self.socket.close()
                return


def make_app(settings: Settings) -> Starlette:
    """Return the ASGI application of a server."""
    server = Server(settings)
    return Starlette(
        routes=[WebSocketRoute(protocol.PATH, server.stream)], lifespan=server.lifespan
    )


def run(settings: Settings, host: str = "127.0.0.1", port: int = 8765) -> None:
    """Serve until a signal."""
    uvicorn.run(
        make_app(settings),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
    )
