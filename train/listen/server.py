"""The web server of a listening test: page, plan of a listener, sounds by token, ratings."""

from __future__ import annotations

import json
import math
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

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


class Handler(BaseHTTPRequestHandler):
    """A handler of HTTP requests.

    Args:
        store: Plans, sounds and ratings.
        args: Arguments of BaseHTTPRequestHandler.
    """

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "listen", ""
    timeout = PATIENCE_S

    def __init__(self, store: Store, *args: Any) -> None:
        self.store = store
        super().__init__(*args)

    def do_GET(self) -> None:
        """Answer with a file of the page, or with the sound of a token."""
        if self.path in FILES:
            name, kind = FILES[self.path]
            self._answer(HTTPStatus.OK, (HERE / name).read_bytes(), kind)
        elif self.path.startswith("/audio/") and (wav := self.store.sound(self.path[7:])):
            self._answer(HTTPStatus.OK, wav, "audio/wav")
        else:
            self._answer(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """Answer with a listener's plan, or store a rating."""
        try:
            body = self._body()
            if self.path == "/api/session":
                begun = body.get("session")
                plan = self.store.session(begun if isinstance(begun, str) else None, self._agent())
                self._answer(HTTPStatus.OK, json.dumps(plan).encode(), "application/json")
            elif self.path == "/api/rating":
                value, plays = float(body["value"]), int(body["plays"])
                if not math.isfinite(value):
                    raise ValueError("value is not a number")
                saved = self.store.rate(str(body["session"]), str(body["token"]), value, plays)
                self._answer(HTTPStatus.NO_CONTENT if saved else HTTPStatus.NOT_FOUND)
            else:
                self._answer(HTTPStatus.NOT_FOUND)
        except (ValueError, KeyError, TypeError) as error:
            self.close_connection = True  # the rest of the body must not be read as a request
            self._answer(HTTPStatus.BAD_REQUEST, f"{error}\n".encode())

    def _body(self) -> dict[str, Any]:
        """Read the JSON object of the request.

        Raises:
            ValueError: the body is too long, or no JSON object.
        """
        length = int(self.headers.get("Content-Length", "0"))
        if not 0 <= length <= MAX_BODY:
            raise ValueError(f"the body has {length} bytes, but may have {MAX_BODY} at most")
        body = json.loads(self.rfile.read(length) or b"{}")
        if not isinstance(body, dict):
            raise ValueError("wanted a JSON object")
        return body

    def _agent(self) -> str:
        return self.headers.get("User-Agent", "")

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


class Server(ThreadingHTTPServer):
    """A web server with a thread for each request."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors of a connection: a listener may leave at any time."""


def serve(store: Store, test: Test, host: str, port: int) -> Server:
    """Make a server that is bound to its address; the caller runs it by `serve_forever`.

    Raises:
        UsageError: the port is taken, or the address does not belong to this machine.
    """
    try:
        return Server((host, port), partial(Handler, store))
    except OSError as error:
        raise ArgumentError(f"cannot listen at {host}:{port}: {error.strerror}", "port") from None
