"""The web server of a listening test: page, plan of a listener, sounds by token, ratings.

It answers requests for this machine only (`Host`), and takes ratings from its own page only
(`Origin`): a page of somebody else, which a listener has open at the same time, could otherwise
reach a server on loopback by a name of its own (DNS rebinding) and rate in the listener's place.
"""

from __future__ import annotations

import ipaddress
import json
import math
import re
import socket
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rtdenoise.errors import RtdenoiseError

from ..errors import ArgumentError
from .stimuli import Test
from .store import Store

HERE = Path(__file__).parent
FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
MAX_BODY = 4096  # longest body of a request in bytes
PATIENCE_S = 30.0  # time after which a silent connection is closed
WAITING = 1024  # connections that may wait to be accepted: a class of listeners begins at once
IDENTIFIER = re.compile(r"[0-9a-f]{32}")  # a session or a token


class Handler(BaseHTTPRequestHandler):
    """A handler of HTTP requests.

    Args:
        store: Plans, sounds and ratings.
        names: Names in addition to addresses by which this machine may be asked.
        args: Arguments of BaseHTTPRequestHandler.
    """

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "listen", ""
    timeout = PATIENCE_S

    def __init__(self, store: Store, names: frozenset[str], *args: Any) -> None:
        self.store, self.names = store, names
        super().__init__(*args)

    def do_GET(self) -> None:
        """Answer with a file of the page, or with the sound of a token."""
        if not self._meant_for_us():
            self._answer(HTTPStatus.FORBIDDEN)
        elif self.path in FILES:
            name, kind = FILES[self.path]
            self._answer(HTTPStatus.OK, (HERE / name).read_bytes(), kind)
        elif self.path.startswith("/audio/"):
            try:
                wav = self.store.sound(self.path[7:])
            except RtdenoiseError:  # as for a rating
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE)
            else:
                self._answer(
                    HTTPStatus.OK if wav else HTTPStatus.NOT_FOUND, wav or b"", "audio/wav"
                )
        else:
            self._answer(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """Answer with a listener's plan, or store a rating."""
        # The rest of a body that is not read whole must not be taken for a request.
        closes, self.close_connection = self.close_connection, True
        if not (self._meant_for_us() and self._from_our_page()):
            self._answer(HTTPStatus.FORBIDDEN)
            return
        try:
            body = self._body()
            if self.path == "/api/session":
                begun = None if body.get("session") is None else _identifier(body, "session")
                plan = self.store.session(begun, self.headers.get("User-Agent", ""))
                status, out = HTTPStatus.OK, json.dumps(plan).encode()
            elif self.path == "/api/rating":
                ids = _identifier(body, "session"), _identifier(body, "token")
                self.store.rate(*ids, _number(body, "value"), _count(body, "plays"))
                status, out = HTTPStatus.NO_CONTENT, b""
            else:
                self._answer(HTTPStatus.NOT_FOUND)
                return
        except RtdenoiseError as error:  # the disk is full, or the data base is gone
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}\n".encode())
        except (ValueError, KeyError, RecursionError) as error:
            self._answer(HTTPStatus.BAD_REQUEST, f"{error}\n".encode(errors="replace"))
        else:
            self.close_connection = closes
            self._answer(status, out, "application/json")

    def _meant_for_us(self) -> bool:
        """Say whether `Host` is an address or a name of this machine; the port may be a tunnel's.

        An address cannot be rebound, because no name is looked up for it.
        """
        hosts = self.headers.get_all("Host", [])
        name = re.sub(r":\d*$", "", hosts[0]).strip("[]").lower() if len(hosts) == 1 else ""
        try:
            return bool(ipaddress.ip_address(name))
        except ValueError:
            return name in self.names

    def _from_our_page(self) -> bool:
        """Say whether `Origin` is this page's; programs that are no browser have none."""
        origins = self.headers.get_all("Origin", [])
        ours = [f"{scheme}://{self.headers['Host']}" for scheme in ("http", "https")]
        return not origins or (len(origins) == 1 and origins[0] in ours)

    def _body(self) -> dict[str, Any]:
        """Read the JSON object of the request.

        Raises:
            ValueError: the body is too long or too short, or no JSON object.
        """
        lengths = self.headers.get_all("Content-Length", [])
        if len(lengths) != 1 or not re.fullmatch("[0-9]{1,9}", lengths[0]):
            raise ValueError("wanted the length of the body, once, as a number")
        if "Transfer-Encoding" in self.headers:
            raise ValueError("wanted the whole body, with its length")
        length = int(lengths[0])
        if length > MAX_BODY:
            raise ValueError(f"the body has {length} bytes, but may have {MAX_BODY} at most")
        text = self.rfile.read(length)
        if len(text) != length:
            raise ValueError(f"the body has {len(text)} bytes, but its length is {length}")
        body = json.loads(text.decode(), parse_constant=_refuse)
        if not isinstance(body, dict):
            raise ValueError("wanted a JSON object")
        return body

    def _answer(self, status: HTTPStatus, body: bytes = b"", kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", "default-src 'self'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing for a request; ratings are in the data base."""


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not a number")


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


class Server(ThreadingHTTPServer):
    """A web server with a thread for each request."""

    daemon_threads = True
    request_queue_size = WAITING

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors of a connection: a listener may leave at any time."""


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
