"""The web server of a listening test: page, plan of a listener, sounds by token, ratings.

It answers requests for this machine only (`Host`), and takes ratings from its own page only
(`Origin`): a page of somebody else, which a listener has open at the same time, could otherwise
reach a server on loopback by a name of its own (DNS rebinding) and rate in the listener's place.
"""

from __future__ import annotations

import json
import math
import re
import socket
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from rtdenoise.errors import RtdenoiseError
from rtdenoise.panel import loopback
from rtdenoise.panel.loopback import SCRIPT, STYLE, Server

from ..errors import ArgumentError
from .stimuli import Test
from .store import Store

HERE = Path(__file__).parent
FILES = {
    "/": HERE / "page.html",
    "/base.css": STYLE,
    "/base.js": SCRIPT,
    "/page.css": HERE / "page.css",
    "/page.js": HERE / "page.js",
}
IDENTIFIER = re.compile(r"[0-9a-f]{32}")  # a session or a token


class Handler(loopback.Handler):
    """A handler of HTTP requests.

    Args:
        store: Plans, sounds and ratings.
        names: Names in addition to addresses by which this machine may be asked.
        args: Arguments of BaseHTTPRequestHandler.
    """

    server_version = "listen"
    any_address = True

    def __init__(self, store: Store, names: frozenset[str], *args: Any) -> None:
        self.store, self.names = store, names
        super().__init__(*args)

    def do_GET(self) -> None:  # noqa: N802
        """Answer with a file of the page, or with the sound of a token."""
        if not self.meant_for_us():
            self.answer(HTTPStatus.FORBIDDEN)
        elif self.path in FILES:
            self.file(FILES[self.path])
        elif self.path.startswith("/audio/"):
            try:
                wav = self.store.sound(self.path[7:])
            except RtdenoiseError:  # as for a rating
                self.answer(HTTPStatus.SERVICE_UNAVAILABLE)
            else:
                self.answer(HTTPStatus.OK if wav else HTTPStatus.NOT_FOUND, wav or b"", "audio/wav")
        else:
            self.answer(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:  # noqa: N802
        """Answer with a listener's plan, or store a rating."""
        # The rest of a body that is not read whole must not be taken for a request.
        closes, self.close_connection = self.close_connection, True
        if not (self.meant_for_us() and self.from_our_page()):
            self.answer(HTTPStatus.FORBIDDEN)
            return
        try:
            body = self.body()
            if self.path == "/api/session":
                begun = None if body.get("session") is None else _identifier(body, "session")
                plan = self.store.session(begun, self.headers.get("User-Agent", ""))
                status, out = HTTPStatus.OK, json.dumps(plan).encode()
            elif self.path == "/api/rating":
                ids = _identifier(body, "session"), _identifier(body, "token")
                self.store.rate(*ids, _number(body, "value"), _count(body, "plays"))
                status, out = HTTPStatus.NO_CONTENT, b""
            else:
                self.answer(HTTPStatus.NOT_FOUND)
                return
        except RtdenoiseError as error:  # the disk is full, or the data base is gone
            self.answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}\n".encode())
        except (ValueError, KeyError, RecursionError) as error:
            self.answer(HTTPStatus.BAD_REQUEST, f"{error}\n".encode(errors="replace"))
        else:
            self.close_connection = closes
            self.answer(status, out, "application/json")


def _identifier(body: dict[str, Any], name: str) -> str:
    value = body[name]
    if not isinstance(value, str) or not IDENTIFIER.fullmatch(value):
        raise ValueError(f"{name} is no identifier")
    return value


def _number(body: dict[str, Any], name: str) -> float:
    value = body[name]
    if type(value) is int and abs(value) < 1e6:
        return float(value)
    if type(value) is float and math.isfinite(value):
        return value
    raise ValueError(f"{name} is not a number")


def _count(body: dict[str, Any], name: str) -> int:
    value = body[name]
    if type(value) is not int or not 0 <= value < 1_000_000:
        raise ValueError(f"{name} is no count")
    return value


def serve(store: Store, test: Test, host: str, port: int) -> Server:
    """Make a server that is bound to its address; the caller runs it by `serve_forever`.

    Raises:
        UsageError: the port is taken, or the address does not belong to this machine.
    """
    names = {name.lower() for name in ("localhost", host, socket.gethostname()) if name}
    try:
        return Server((host, port), partial(Handler, store, frozenset(names)))
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ArgumentError(f"cannot listen at {host}:{port}: {why}", "port") from None
