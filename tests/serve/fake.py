"""A server of streams in a thread that does what a test tells it: refuses, breaks, is late.

It halves the samples and gives them late, so that samples which it did not process, or which are
not aligned, are seen.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from rtdenoise.serve import protocol

LATENCY = 100


@dataclass
class Turn:
    """What happens to one connection.

    Attributes:
        first: Text that is sent in place of `ready`.
        cut: Frames after which the connection ends. None: it does not.
        code: Code with which it ends. None: without any, as when a process is killed.
        last: Text that is sent before that.
        keeps: Frames that came in before the cut and are not answered.
        missing: Frames that are missing at the end of the stream.
    """

    first: str | None = None
    cut: int | None = None
    code: int | None = None
    last: str | None = None
    keeps: int = 0
    missing: int = 0


@dataclass
class Fake:
    """What the server saw, and its address."""

    url: str = ""
    turns: list[Turn] = field(default_factory=list)
    hellos: list[dict[str, Any]] = field(default_factory=list)
    got: list[int] = field(default_factory=list)


def stream(fake: Fake, turn: Turn, socket: Any) -> None:
    """Answer one connection."""
    text = socket.recv()
    fake.hellos.append(json.loads(text))
    if turn.first is not None:
        socket.send(turn.first)
        socket.close(turn.code or protocol.REFUSED)
        return
    hello = protocol.hello(text)
    ready = {"stream": f"s{len(fake.hellos)}", "model": "half", "latency_samples": LATENCY}
    socket.send(json.dumps({"ready": ready | {"hop": 512, "most_bytes": 8192}}))
    late, frames, answered = np.zeros((hello.channels, LATENCY), np.float32), 0, 0
    fake.got.append(0)

    def answer(block, held):
        nonlocal late, answered
        late = np.concatenate((late, block / 2), axis=1)
        count = late.shape[1] - held
        for at in range(0, count, 333):  # other cuts than those that came
            socket.send(hello.encoded(late[:, at : min(at + 333, count)]))
        late, answered = late[:, max(0, count) :], answered + max(0, count)

    for message in socket:
        if isinstance(message, str):
            assert protocol.is_end(message)
            answer(np.zeros((hello.channels, 0), np.float32), turn.missing)
            done = {"frames_in": frames, "frames_out": answered, "late": 0, "failed": 0}
            socket.send(json.dumps({"done": done}))
            return
        assert len(message) <= 8192
        block = hello.decoded(message)
        frames += block.shape[1]
        fake.got[-1] = frames
        answer(block, LATENCY + turn.keeps)
        if turn.cut is not None and frames >= turn.cut:
            if turn.last is not None:
                socket.send(turn.last)
            if turn.code is None:
                socket.socket.shutdown(2)
            else:
                socket.close(turn.code)
            return


@contextmanager
def faked(turns: Sequence[Turn] = (), **options: Any):
    """A context with a `Fake`; connections beyond *turns* go well."""
    fake = Fake(turns=list(turns))
    lock = threading.Lock()

    def handle(socket: Any) -> None:
        with lock:
            turn = fake.turns.pop(0) if fake.turns else Turn()
        with suppress(ConnectionClosed):
            stream(fake, turn, socket)

    with serve(handle, "127.0.0.1", 0, compression=None, max_queue=None, **options) as server:
        scheme = "wss" if "ssl" in options else "ws"
        fake.url = f"{scheme}://127.0.0.1:{server.socket.getsockname()[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
