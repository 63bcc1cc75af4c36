"""Servers of streams on one core, and paced clients on another: for serve_bench and serve_soak.

All clients are in one process, so that they disturb each other and the server as little as can be.
Each sends 512 samples every 10.67 ms at 48 kHz, as a sound card would, one after the other within
that time.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from array import array
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from idle import cpu_s
from websockets.asyncio.client import connect

from rtdenoise.live.drive import quiet_interpreter
from rtdenoise.serve.protocol import END, Hello

ROOT = Path(__file__).parents[1]
RATE_HZ, HOP = 48_000, 512
HOP_S = HOP / RATE_HZ
CONNECT_S = 0.02  # between two streams that begin
HELLO = Hello(RATE_HZ, 1, "s16")


def pinned(pid: int, core: int) -> None:
    """Let all threads of a process run on one core only."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    url: str
    pid: int


@contextmanager
def served(model: str, streams: int, core: int) -> Iterator[Served]:
    """Return a context with a server in a process of its own, on one core."""
    command = [sys.executable, "-m", "rtdenoise", "serve", "-m", model, "--port", "0"]
    command += ["--most", str(streams)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            if not url:
                sys.exit("the server did not start")
            pinned(process.pid, core)
            yield Served(url, process.pid)
        finally:
            process.terminate()


@contextmanager
def servers(model: str, streams: int, core: int, apart: bool) -> Iterator[list[Served]]:
    """Return a context with one server for all streams, or one for each of them."""
    with ExitStack() as stack:
        each, count = (1, streams) if apart else (streams, 1)
        yield [stack.enter_context(served(model, each, core)) for _ in range(count)]


@dataclass
class Client:
    """One simulated client.

    Attributes:
        sent_s: When each hop was sent that has not come back.
        starts_s: When each hop was sent that has come back.
        delays_s: The time until then.
        done: What the server counted.
    """

    sound: bytes
    at: int
    socket: Any = None
    sent_s: deque[float] = field(default_factory=deque)
    starts_s: array[float] = field(default_factory=lambda: array("d"))
    delays_s: array[float] = field(default_factory=lambda: array("d"))
    done: dict[str, int] = field(default_factory=dict)
    frames: int = 0
    fault: str = ""

    async def open(self, url: str) -> None:
        """Connect."""
        self.socket = await connect(url, compression=None, max_queue=None, open_timeout=60)
        await self.socket.send(HELLO.text())
        first = json.loads(await self.socket.recv())
        if "ready" not in first:
            raise SystemExit(f"the server refuses: {first}")

    async def send(self) -> None:
        """Send the next hop."""
        size = HOP * HELLO.frame_bytes
        message = self.sound[self.at : self.at + size]
        self.at = (self.at + size) % (len(self.sound) - size)
        self.sent_s.append(time.perf_counter())
        await self.socket.send(message)

    async def receive(self) -> None:
        """Take what comes back; a hop has come back when as many frames came as were sent."""
        async for message in self.socket:
            now_s = time.perf_counter()
            if isinstance(message, str):
                said = json.loads(message)
                self.done = said.get("done", self.done)
                self.fault = said.get("error", self.fault)
                continue
            self.frames += len(message) // HELLO.frame_bytes
            while self.frames >= HOP and self.sent_s:
                self.frames -= HOP
                sent_s = self.sent_s.popleft()
                self.starts_s.append(sent_s)
                self.delays_s.append(now_s - sent_s)


@dataclass
class Load:
    """What a load measured.

    Attributes:
        delays_ms: The times until a hop came back, of all streams.
        worst_ms: The p99 of the stream whose p99 is the longest.
        late: Hops that came back more than a hop late.
        sender_ms: How late the clients themselves were, p99.
        hop_ms: Time that the servers computed for a hop of a stream, from the first hop to the
            last. It depends little on what else the machine does.
        server_share: Share of a core that the servers took.
        client_share: The same of the clients.
        done: Sums of what the servers counted.
        faults: What servers said when they ended a stream.
        starts_s: When each hop of `delays_ms` was sent, by `time.perf_counter`.
    """

    delays_ms: np.ndarray
    worst_ms: float
    late: int
    sender_ms: float
    hop_ms: float
    server_share: float
    client_share: float
    done: dict[str, int]
    faults: list[str]
    starts_s: np.ndarray


def voices(count: int) -> list[Client]:
    """Return clients with the demo's noisy voice, each from another place on."""
    audio, _ = sf.read(ROOT / "examples" / "audio" / "noisy.flac", dtype="float32")
    sound = HELLO.encoded(audio[None])
    step = len(audio) // count * HELLO.frame_bytes
    return [Client(sound, (number * step) % (len(sound) // 2)) for number in range(count)]


async def paced(clients: list[Client], seconds: float) -> list[float]:
    """Send the hops of all clients when they are due; return how late each was, in seconds."""
    late, begin_s = [], time.perf_counter() + 0.05
    for hop in range(int(seconds / HOP_S)):
        for number, client in enumerate(clients):
            due_s = begin_s + (hop + number / len(clients)) * HOP_S
            if (left_s := due_s - time.perf_counter()) > 0:
                await asyncio.sleep(left_s)
            late.append(time.perf_counter() - due_s)
            await client.send()
    return late


async def loaded(
    servers: list[Served], count: int, seconds: float, settle_s: float = 2.0, watch: Any = None
) -> Load:
    """Send *count* streams for *seconds* after *settle_s*, and measure.

    Args:
        servers: The servers; the streams are spread over them.
        count: Number of streams.
        seconds: Time that is measured.
        settle_s: Time before it.
        watch: Coroutine that runs at the same time.
    """
    clients = voices(count)
    for number, client in enumerate(clients):
        await client.open(servers[number % len(servers)].url)
        await asyncio.sleep(CONNECT_S)
    readers = [asyncio.create_task(client.receive()) for client in clients]
    watcher = asyncio.create_task(watch) if watch is not None else None
    first_s = sum(cpu_s(server.pid) for server in servers)
    with quiet_interpreter():  # a collection here would look like a late server
        await paced(clients, settle_s)
        begin_s, server_s, own_s = (
            time.perf_counter(),
            [cpu_s(s.pid) for s in servers],
            cpu_s(os.getpid()),
        )
        late = await paced(clients, seconds)
    wall_s = time.perf_counter() - begin_s
    share = sum(cpu_s(s.pid) - before for s, before in zip(servers, server_s, strict=True)) / wall_s
    own = (cpu_s(os.getpid()) - own_s) / wall_s
    for client in clients:
        await client.socket.send(END)
    await asyncio.wait(readers, timeout=120)
    computed_s = sum(cpu_s(server.pid) for server in servers) - first_s
    if watcher is not None:
        watcher.cancel()
    measured = [
        1000 * np.array(client.delays_s)[np.array(client.starts_s) >= begin_s] for client in clients
    ]
    measured = [each for each in measured if len(each)]
    starts_s = np.concatenate([np.array(client.starts_s) for client in clients])
    delays = np.concatenate(measured) if measured else np.array([np.inf])
    done = {
        name: sum(client.done.get(name, 0) for client in clients)
        for name in ("frames_in", "frames_out", "hops", "dry", "late", "failed")
    }
    return Load(
        delays,
        max((float(np.percentile(each, 99)) for each in measured), default=np.inf),
        int(np.count_nonzero(delays > 1000 * HOP_S)),
        1000 * float(np.percentile(late, 99)),
        1000 * computed_s / max(1, done["hops"]),
        share,
        own,
        done,
        [client.fault for client in clients if client.fault],
        starts_s[starts_s >= begin_s],
    )
