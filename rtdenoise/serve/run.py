"""A process that serves: its socket, its signals, and its end; the door to uvicorn."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from ..errors import UsageError, reason_of
from .menu import Menu
from .protocol import PATH
from .server import ABORT, MOST_BYTES, Server, Settings

PING_S, PONG_S = 20.0, 40.0  # time between two pings, and that in which a client must answer
END_S = 3  # time that connections get to close in, at the end


@dataclass(frozen=True)
class Address:
    """Where a server listens.

    Attributes:
        host: Address.
        port: Port; 0 takes a free one.
        certificate: File of a certificate, for TLS. None: there is no TLS.
        key: File of its key. None: it is in the same file.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    certificate: Path | None = None
    key: Path | None = None


class Abortable(WebSocketsSansIOProtocol):
    """A connection whose application can end it at once, though the client reads nothing."""

    async def run_asgi(self) -> None:
        """Run the application."""
        self.scope["extensions"][ABORT] = {"call": self.transport.abort}
        await super().run_asgi()


class Listener:
    """A server that listens, from `listen` to the end of `serve`.

    Args:
        menu: The models and boards.
        settings: The settings.
        address: Where it listens.

    Attributes:
        url: The address of streams.

    Raises:
        UsageError: If the address cannot be used, or the certificate cannot be read.
    """

    def __init__(self, menu: Menu, settings: Settings, address: Address) -> None:
        self.server = Server(menu, settings)
        config = uvicorn.Config(
            self.server.app(),
            log_config=None,
            log_level="error",
            access_log=False,
            ws=Abortable,
            ws_max_size=MOST_BYTES,
            ws_per_message_deflate=False,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PONG_S,
            timeout_graceful_shutdown=END_S,
            server_header=False,
            ssl_certfile=address.certificate,
            ssl_keyfile=address.key,
            lifespan="on",
        )
        try:
            config.load()
        except (ssl.SSLError, OSError) as error:
            raise UsageError(
                f"the certificate {address.certificate} cannot be used: {reason_of(error)}"
            ) from None
        self._socket = _bound(address)
        host, port = self._socket.getsockname()[:2]
        scheme = "wss" if address.certificate else "ws"
        self.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{PATH}"
        self._uvicorn = uvicorn.Server(config)
        self._uvicorn.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
        self._asked = 0
        self._draining: asyncio.Future[None] | None = None

    def stop(self) -> None:
        """Let the streams end, and then the server; a second call ends them.

        A third one does not even wait for that. It is to be called in the thread of the event loop.
        """
        self._asked += 1
        if self._asked == 1:
            self._draining = asyncio.ensure_future(self._drain())
        elif self._asked == 2:
            self.server.hurried.set()
        else:
            self._uvicorn.should_exit = self._uvicorn.force_exit = True

    async def _drain(self) -> None:
        try:
            await self.server.drain()
        finally:
            self._uvicorn.should_exit = True

    async def serve(self, begun: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`.

        Args:
            begun: Function that is called when clients can connect.
        """
        task = asyncio.create_task(self._uvicorn.serve([self._socket]))
        while not (self._uvicorn.started or task.done()):
            await asyncio.sleep(0.01)
        if self._uvicorn.started:
            begun()
        await task


def run(listener: Listener, begun: Callable[[], None]) -> None:
    """Serve until SIGTERM or Ctrl-C, and then until the streams have ended; a second one ends it.

    Args:
        listener: The server.
        begun: Function that is called when clients can connect.
    """

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, listener.stop)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(listener.stop))
        await listener.serve(begun)

    with asyncio.Runner(loop_factory=listener._uvicorn.config.get_loop_factory()) as runner:
        runner.run(serve())


@contextmanager
def serving(menu: Menu, settings: Settings, address: Address | None = None) -> Iterator[Listener]:
    """Return a context in which a server runs in a thread; its streams are cut off at the end."""
    listener = Listener(menu, settings, address or Address(port=0))
    loops: list[asyncio.AbstractEventLoop] = []
    begun = threading.Event()

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        try:
            await listener.serve(begun.set)
        finally:
            begun.set()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    begun.wait()
    try:
        yield listener
    finally:
        if thread.is_alive():
            for _ in range(2):
                loops[0].call_soon_threadsafe(listener.stop)
        thread.join()


def _bound(address: Address) -> socket.socket:
    """Return a socket that is bound to an address, and does not listen yet."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    place = socket.socket(family, socket.SOCK_STREAM)
    try:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind((address.host, address.port))
    except (OSError, OverflowError) as error:
        place.close()
        why = reason_of(error)
        raise UsageError(
            f"{address.host} port {address.port} cannot be used: {why}; port 0 takes a free one"
        ) from None
    place.set_inheritable(False)
    return place
