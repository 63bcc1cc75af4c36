"""Blind listening tests as a web page: ACR (MOS) and MUSHRA. See docs/listening.md."""

from __future__ import annotations

from pathlib import Path

from .server import serve
from .stimuli import Test
from .store import Store

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def listen(test: Test, db: Path, title: str, method: str, host: str, port: int) -> None:
    """Serve a test until Ctrl-C; prints the address, and warnings.

    Args:
        test: The sounds of the test.
        db: Data base of the ratings; an existing one has to be of the same test.
        title: Heading of the page.
        method: mushra or acr.
        host: Address to listen at; one that is not loopback lets others take part.
        port: Port to listen at; 0 takes a free one.

    Raises:
        UsageError: the data base is of another test, or the server cannot use the address.
    """
    store = Store(db, title, method, test)
    server = serve(store, test, host, port)
    for warning in test.warnings:
        print(f"note: {warning}")
    print(f"{method.upper()}, {len(test.items)} items, {len(test.systems)} stimuli each")
    if host not in LOOPBACK:
        print(f"warning: {host} is not loopback; whoever reaches this port can take part")
    where = f"[{host}]" if ":" in host else host
    print(f"http://{where}:{server.server_port}/   ratings go to {db}; Ctrl-C ends it")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
