"""The control socket of a run: a server in a thread of the host; `hosts` has its client.

Nothing that a client sends can stop the sound, slow it or make it fail. Requests are answered one
after the other, with a pause after each, so that all clients together take a small share of the
interpreter, however fast they send. What takes time (a model is loaded) is done in a thread of its
own. A client that sends half a line, or does not read, is dropped.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import os
import secrets
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from ..errors import DeviceError, UsageError
from .commands import Commands, Request, refused
from .hosts import LOCAL, LONGEST, UNIX, address, peer_is_me, running
from .live import Live

MOST_CLIENTS = 16
IDLE_S = 300.0  # a client that asks nothing for so long is dropped
SEND_S = 5.0  # a client that does not read for so long is dropped
PAUSE_S = 0.002  # time between two requests of all clients together
START_S = 10.0
TURNS = 5
log = logging.getLogger(__name__)


class Control:
    """The control of a run, in whose `with` block clients may come.

    A run that cannot be controlled, because its user has no folder for the socket, runs all the
    same; the log has the reason.

    Args:
        live: The run.
        preset: Name of the preset that it was started with. None: there is none.
    """

    def __init__(self, live: Live, preset: str | None = None) -> None:
        self._live, self._preset = live, preset
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="rtdenoise-control")
        self._file: Path | None = None
        self._token = ""
        self._clients: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="rtdenoise-socket")

    def __enter__(self) -> Self:
        try:
            running()  # this removes what killed runs have left
            listening = self._bound()
        except OSError as error:
            log.info("this run cannot be controlled: %s", error)
            return self
        self._listening = listening
        self._thread.start()
        self._ready.wait(START_S)
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(START_S)
        self._worker.shutdown(wait=False, cancel_futures=True)
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def _bound(self) -> socket.socket:
        """Return a socket that listens, and put its address where clients look for it."""
        file = address(os.getpid())
        if UNIX:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.bind(str(file))  # the folder keeps others out meanwhile
                file.chmod(0o600)
            except OSError:
                sock.close()
                raise
        else:
            sock = socket.create_server((LOCAL, 0))
            self._token = secrets.token_urlsafe(32)
            fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            place = {"port": sock.getsockname()[1], "token": self._token}
            with os.fdopen(fd, "w") as out:
                json.dump(place, out)
        self._file = file
        sock.listen()
        return sock

    def _run(self) -> None:
        """Serve until `__exit__`."""
        try:
            asyncio.run(self._serve())
        except Exception:  # the sound must go on
            log.warning("the control of this run has failed", exc_info=True)
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._turn = asyncio.Lock()
        options: Any = {"sock": self._listening, "limit": LONGEST}
        start = asyncio.start_unix_server if UNIX else asyncio.start_server
        server = await start(self._come, **options)
        self._ready.set()
        await self._over.wait()
        with suppress(NotImplementedError):  # on Windows
            self._loop.remove_reader(self._listening)
        for _ in range(TURNS):  # a closed server would forget who was accepted last
            await asyncio.sleep(0)
        for writer in self._clients:
            writer.transport.abort()
        server.close()

    def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin to serve a client that has come."""
        full = len(self._clients) >= MOST_CLIENTS  # before those who come in the same moment
        task = asyncio.get_running_loop().create_task(self._client(reader, writer, full))
        self._clients[writer] = task
        task.add_done_callback(lambda _: self._clients.pop(writer))

    async def _client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, full: bool
    ) -> None:
        """Serve one client until it leaves, breaks a rule, or the run is over."""
        try:
            if full:
                refusal = DeviceError(f"{MOST_CLIENTS} clients are connected, which is the most")
                writer.write(_line(refused(refusal, {})))
            elif peer_is_me(writer.get_extra_info("socket")) and await self._admitted(reader):
                await self._answer_all(reader, writer)
        except (OSError, TimeoutError):  # it is gone, or it is slow
            writer.transport.abort()  # what it did not read is not kept for it
        finally:
            writer.close()

    async def _admitted(self, reader: asyncio.StreamReader) -> bool:
        """Return whether the client knows the token, where one is needed."""
        if UNIX:
            return True
        with suppress(ValueError, AttributeError):
            given = json.loads(await asyncio.wait_for(reader.readline(), SEND_S)).get("token")
            return hmac.compare_digest(str(given).encode(), self._token.encode())
        return False

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer each line of a client in order."""
        commands = Commands(self._live, self._preset)
        while True:
            try:
                line = await asyncio.wait_for(reader.readline(), IDLE_S)
            except ValueError:  # the rest of the line would be taken for requests
                error = UsageError(f"a line has at most {LONGEST} bytes")
                writer.write(_line(refused(error, {})))
                return
            if not line.endswith(b"\n"):
                return
            async with self._turn:
                work, slow = commands.work(line)
                if not slow:
                    writer.write(_line(work()))  # at once: it may be the answer to `quit`
                await asyncio.sleep(PAUSE_S)
            if slow:
                loop = asyncio.get_running_loop()
                writer.write(_line(await loop.run_in_executor(self._worker, work)))
            await asyncio.wait_for(writer.drain(), SEND_S)


def _line(reply: Request) -> bytes:
    """Return a reply as a line."""
    try:
        text = json.dumps(reply, allow_nan=False)
    except (TypeError, ValueError) as error:
        text = json.dumps(refused(error, {}))
    return text.encode() + b"\n"
