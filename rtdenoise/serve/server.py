"""The server: an ASGI application with a WebSocket for each stream; the door to Starlette.

The event loop only passes messages on. The hub computes in a thread of its own, and what begins a
stream (a stage at a new rate takes up to a second) is done in another.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..errors import RtdenoiseError
from . import pages, protocol
from .access import Access, bearer
from .lane import Lane
from .menu import Menu
from .metrics import KIND, Metrics
from .pool import Answer, Hub
from .protocol import Hello
from .seat import Limits, Refusal, Seat

MOST_BYTES = 1 << 20  # longest message of a client
HELLO_S = 10.0  # time in which a client must say what it wants
MOST_GREETING = 64  # connections that have not said yet what they want
CLOSE_S = 2.0  # time in which it must take the reason of its end
RETRY_S = 5.0  # time after which a client that was refused for want of room may try again
FULL = 0.8  # share of a core that the streams may take together
OTHER_HZ = 16_000, 44_100  # rates at which the cost of resampling is measured
ABORT = "rtdenoise.abort"  # extension of the scope: ends a connection whose client reads nothing


@dataclass(frozen=True)
class Settings:
    """The settings of a server.

    Attributes:
        most: Streams at once. None: as many as a core carries, measured at the start.
        tokens: Secrets of which a client must know one. Empty: it needs none.
        origins: Web pages that may connect beside the server's own, as "https://example.org".
        page: Whether the page with a microphone is served at the root.
        most_s: Seconds of audio of a stream that may wait.
        idle_s: Seconds after which a client that sends nothing is let go.
        drain_s: Seconds that the streams get to end in, when the server is to end.
        holds_back: Whether a client of which too much waits is not read. False: it is let go, as
            something between it and the server reads on.
    """

    most: int | None = None
    tokens: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    page: bool = False
    most_s: float = 5.0
    idle_s: float = 30.0
    drain_s: float = 30.0
    holds_back: bool = True


class Server:
    """What the connections of a server share.

    Args:
        menu: The models and boards.
        settings: The settings.

    Attributes:
        most: Streams at once, of the default model at its own rate.
        empty: Event that is set while there is no stream.
        hurried: Event that ends the wait of `drain`.
    """

    def __init__(self, menu: Menu, settings: Settings) -> None:
        self.menu, self.settings = menu, settings
        self._start_s = time.monotonic()
        self._seats: dict[Lane, Seat] = {}
        self._greeting = 0
        self._taken = 0.0  # places: streams, or shares of a core
        self._access = Access(settings.tokens, settings.origins)
        self._maker = ThreadPoolExecutor(1, "rtdenoise-maker", menu.prepare_thread)
        self._costs: dict[tuple[str, bool], float] = {}
        self.most = settings.most or 0
        self.draining = False
        self._open = 0  # streams, with those that begin
        self.metrics = Metrics(lambda: self._open)
        self.empty, self.hurried = asyncio.Event(), asyncio.Event()
        self.empty.set()

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Run the hub while the application runs."""
        self._loop = asyncio.get_running_loop()
        if self.settings.most is None:
            self._costs = await self._loop.run_in_executor(self._maker, self._measured)
            self.most = max(1, int(FULL / self._costs[self.menu.names[0], True]))
        self.metrics.most.set(self.most)
        self.hub = Hub(self._give, [self.menu.prepare_thread], self.metrics.note)
        self.hub.start()
        try:
            yield
        finally:
            await asyncio.to_thread(self.hub.stop)
            self._maker.shutdown()

    def _measured(self) -> dict[tuple[str, bool], float]:
        """Return the cost of a stream of each model and board, at its own rate and at another."""
        found = {}
        for name in self.menu.names:
            found[name, True] = self.menu.cost(name)
            found[name, False] = max(self.menu.cost(name, rate) for rate in OTHER_HZ)
        return found

    def _cost(self, hello: Hello) -> float:
        """Return the places that a stream takes, in the unit of `_room`."""
        if self.settings.most is not None:
            return 1.0
        name = self.menu.named(hello)
        return self._costs[name, hello.rate == self.menu.own_rate(name)] * hello.channels

    @property
    def _room(self) -> float:
        """The places for streams: their number, or the share of a core that they may take."""
        return FULL if self.settings.most is None else self.settings.most

    def _give(self, answers: list[Answer]) -> None:
        """Pass the answers of a round on to the event loop; the hub calls this."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._hand_out, answers)

    def _hand_out(self, answers: list[Answer]) -> None:
        for answer in answers:
            if seat := self._seats.get(answer.lane):
                seat.take(answer)

    async def stream(self, socket: WebSocket) -> None:
        """Serve one stream."""
        if not self._access.page_may_ask(socket):
            self.metrics.refused.labels("origin").inc()
            await socket.close()  # before it is accepted: the client gets status 403
            return
        if self._greeting >= MOST_GREETING:
            self.metrics.refused.labels("crowd").inc()
            await socket.send_denial_response(Response("too many begin at once\n", 503))
            return
        await socket.accept()
        try:
            await self._stream(socket)
        except WebSocketDisconnect:
            pass
        except Refusal as refusal:
            await self._refuse(socket, refusal)
        except RtdenoiseError as fault:
            await self._refuse(socket, Refusal(protocol.REFUSED, fault, "request"))

    async def _stream(self, socket: WebSocket) -> None:
        """Agree with the client on a stream, and serve it."""
        self._greeting += 1
        try:
            hello = await self._hello(socket)
        finally:
            self._greeting -= 1
        cost = self._check_room(hello)
        self._taken += cost
        self._open += 1
        self.empty.clear()
        lane = None
        try:
            lane = await self._loop.run_in_executor(self._maker, self.menu.lane, hello)
            await socket.send_text(json.dumps({"ready": self._ready(hello, lane)}))
            await self._served(socket, lane)
            await socket.close(protocol.ENDED)
        finally:
            self._taken -= cost
            self._open -= 1
            if lane is not None:
                self._seats.pop(lane, None)
                self.hub.drop(lane)
            if not self._open:
                self.empty.set()

    async def _served(self, socket: WebSocket, lane: Lane) -> None:
        """Serve a stream, and count how it ends."""
        limits = Limits(
            self.settings.most_s, self.settings.idle_s, MOST_BYTES, self.settings.holds_back
        )
        seat = self._seats[lane] = Seat(socket, lane, self.hub, limits, self._passed)
        self.metrics.begun.inc()
        if self.draining:
            seat.say(self._drains)
        how = "cancelled"
        try:
            await seat.run()
            how = "done"
        except WebSocketDisconnect:
            how = "gone"
            raise
        except Refusal as refusal:
            how = refusal.reason
            raise
        except RtdenoiseError:
            how = "request"
            raise
        finally:
            self.metrics.end(lane, how)

    async def _hello(self, socket: WebSocket) -> Hello:
        """Return what the client wants, if it may.

        Raises:
            Refusal: If it may not.
            RtdenoiseError: If it is nothing that a stream can be.
        """
        try:
            async with asyncio.timeout(HELLO_S):
                message = await socket.receive()
        except TimeoutError:
            raise Refusal(
                protocol.REFUSED, f"no message came within {HELLO_S:g} s", "request"
            ) from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code") or 1006)
        if message.get("text") is None:
            raise Refusal(
                protocol.REFUSED, "wanted a message of JSON first, and audio after it", "request"
            )
        hello = protocol.hello(message["text"])
        if not self._access.known(hello.token or bearer(socket)):
            raise Refusal(protocol.REFUSED, "wanted a token that this server knows", "token")
        self.menu.named(hello)
        return hello

    def _check_room(self, hello: Hello) -> float:
        """Return the places that a stream takes.

        Raises:
            Refusal: If there are not so many.
        """
        if self.draining:
            raise Refusal(protocol.LATER, "this server ends", "draining", retry_s=RETRY_S)
        if not self.well:
            raise Refusal(protocol.FAULT, "this server failed", "failed")
        cost = self._cost(hello)
        if self._taken + cost > self._room * (1 + 1e-9):
            what = f"all {self.most} streams of this server are taken"
            if self.settings.most is None:
                what = (
                    f"this stream takes {cost:.1%} of a core, and the {self._open} that are "
                    f"here take {self._taken:.1%}: wanted at most {self._room:.0%} in all"
                )
            raise Refusal(protocol.LATER, what, "full", retry_s=RETRY_S)
        return cost

    def _ready(self, hello: Hello, lane: Lane) -> dict[str, Any]:
        """Return what the client is told when its stream begins."""
        about: dict[str, Any] = {
            "stream": secrets.token_urlsafe(12),
            "model": self.menu.named(hello),
            "rate": hello.rate,
            "channels": hello.channels,
            "format": hello.format,
            "latency_samples": lane.stage.latency,
            "hop": lane.hop,
            "most_bytes": MOST_BYTES,
        }
        if hello.resume is not None:
            about["resumed"] = {"stream": hello.resume.stream, "lost": hello.resume.samples}
            self.metrics.lost.inc(hello.resume.samples)
        return about

    async def _refuse(self, socket: WebSocket, refusal: Refusal) -> None:
        """Tell the client why its connection ends, and end it."""
        self.metrics.refused.labels(refusal.reason).inc()
        if refusal.reason != "slow":
            with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await socket.send_text(refusal.text)
                    await socket.close(refusal.code, str(refusal)[:100])
                return
        if (abort := socket.scope.get("extensions", {}).get(ABORT)) is not None:
            abort["call"]()

    def _passed(self, direction: str, count: int) -> None:
        self.metrics.bytes.labels(direction).inc(count)

    @property
    def well(self) -> bool:
        """Whether the hub runs."""
        return self.hub.alive

    async def health(self, request: Request) -> Response:
        """Answer whether new streams are welcome."""
        well = self.well and not self.draining
        about = {
            "status": "ok" if well else "draining" if self.draining else "failed",
            "streams": self._open,
            "most": self.most,
            "models": self.menu.names,
            "uptime_s": round(time.monotonic() - self._start_s, 1),
        }
        return JSONResponse(about, 200 if well else 503)

    async def numbers(self, request: Request) -> Response:
        """Answer with the metrics, whoever knows a token."""
        if not self._access.known(bearer(request)):
            return Response(status_code=401, headers={"WWW-Authenticate": "Bearer"})
        return Response(self.metrics.text(), media_type=KIND)

    async def page(self, request: Request) -> Response:
        """Answer with a file of the page."""
        path = pages.FILES.get(request.path_params["name"])
        if path is None:
            return Response(status_code=404)
        kind = f"{pages.KINDS[path.suffix]}; charset=utf-8"
        return FileResponse(path, headers={**pages.HEADERS, "Content-Type": kind})

    @property
    def _drains(self) -> str:
        return json.dumps({"draining": {"seconds": self.settings.drain_s}})

    async def drain(self) -> None:
        """Take no new streams, and wait for those that are open; end them when the time is up."""
        self.draining = True
        self.metrics.draining.set(1)
        for seat in self._seats.values():
            seat.say(self._drains)
        await self._emptied(self.settings.drain_s)
        for seat in list(self._seats.values()):
            seat.refuse(Refusal(protocol.RESTARTS, "this server ends", "draining"))
        self.hurried.clear()
        await self._emptied(CLOSE_S)

    async def _emptied(self, seconds: float) -> None:
        """Wait until there is no stream, or nobody wants to wait any longer."""
        either = [asyncio.ensure_future(e.wait()) for e in (self.empty, self.hurried)]
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for one in either:
            one.cancel()

    def app(self) -> Starlette:
        """Return the ASGI application."""
        routes: list[BaseRoute] = [
            WebSocketRoute(protocol.PATH, self.stream),
            Route("/health", self.health),
            Route("/metrics", self.numbers),
        ]
        if self.settings.page:
            routes.append(Route("/{name:path}", self.page))
        return Starlette(routes=routes, lifespan=self.lifespan)
