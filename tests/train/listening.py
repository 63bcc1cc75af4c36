"""A listening test's sounds and its server, for the tests that ask it and those that click it."""

from __future__ import annotations

import contextlib
import threading

import numpy as np

from train.listen.server import serve

RATE = 16_000
NAMES = ("secretsystem", "othersystem")


def sound(seed, seconds=1.5):
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    x = rng.standard_normal(n) * (1 + np.sin(2 * np.pi * 3 * np.arange(n) / RATE))
    return (0.05 * x).astype(np.float32)


@contextlib.contextmanager
def running(store, test):
    server = serve(store, test, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
