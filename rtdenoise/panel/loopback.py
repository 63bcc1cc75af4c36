"""What every web server on this machine checks: whom a request is for, and whose page sent it.

A page of somebody else, which the user has open at the same time, could otherwise reach a server on
loopback by a name of its own (DNS rebinding) and act in the user's place.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PATIENCE_S = 30.0  # time after which a silent connection is closed
SHARED = Path(__file__).parents[1]  # the folder of what all pages have in common
STYLE, SCRIPT = SHARED / "page.css", SHARED / "page.js"
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
WAITING = 1024  # connections that may wait to be accepted: a class of listeners begins at once


class Handler(BaseHTTPRequestHandler):
    """A handler of HTTP requests; subclasses say what is answered.

    Attributes:
        names: Names by which this machine may be asked.
        any_address: Whether it may also be asked by any address. No name is looked up for an
            address, so that it cannot be rebound.
        most_body: Longest body of a request in bytes.
        policy: What the pages may load, as the header Content-Security-Policy says it.
    """

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "rtdenoise", ""
    timeout = PATIENCE_S
    names: frozenset[str] = frozenset({"localhost", "127.0.0.1", "::1"})
    any_address = False
    most_body = 4096
    policy = "default-src 'self'"

    def meant_for_us(self) -> bool:
        """Return whether `Host` names this machine; the port may be a tunnel's."""
        hosts = self.headers.get_all("Host", [])
        name = re.sub(r":\d*$", "", hosts[0]).strip("[]").lower() if len(hosts) == 1 else ""
        if name in self.names:
            return bool(name)
        try:
            return self.any_address and bool(ipaddress.ip_address(name))
        except ValueError:
            return False

    def from_our_page(self) -> bool:
        """Return whether `Origin` is this page's; programs that are no browser have none."""
        origins = self.headers.get_all("Origin", [])
        ours = [f"{scheme}://{self.headers['Host']}" for scheme in ("http", "https")]
        return not origins or (len(origins) == 1 and origins[0] in ours)

    def body(self) -> dict[str, Any]:
        """Return the JSON object of the request.

        Raises:
            ValueError: If the body is too long or too short, or no JSON object.
        """
        lengths = self.headers.get_all("Content-Length", [])
        if len(lengths) != 1 or not re.fullmatch("[0-9]{1,9}", lengths[0]):
            raise ValueError("wanted the length of the body, once, as a number")
        if "Transfer-Encoding" in self.headers:
            raise ValueError("wanted the whole body, with its length")
        length = int(lengths[0])
        if length > self.most_body:
            raise ValueError(f"the body has {length} bytes, but may have {self.most_body} at most")
        text = self.rfile.read(length)
        if len(text) != length:
            raise ValueError(f"the body has {len(text)} bytes, but its length is {length}")
        body = json.loads(text.decode(), parse_constant=_refuse)
        if not isinstance(body, dict):
            raise ValueError("wanted a JSON object")
        return body

    def answer(self, status: HTTPStatus, body: bytes = b"", kind: str = "text/plain") -> None:
        """Send an answer."""
        self.begin(status, kind, {"Content-Length": str(len(body))})
        self.wfile.write(body)

    def file(self, path: Path) -> None:
        """Send a file of a page."""
        self.answer(HTTPStatus.OK, path.read_bytes(), f"{KINDS[path.suffix]}; charset=utf-8")

    def begin(self, status: HTTPStatus, kind: str, headers: dict[str, str]) -> None:
        """Send the head of an answer, with the headers that all have and some of its own."""
        self.send_response(status)
        ours = {
            "Content-Type": kind,
            "Cache-Control": "no-store",
            "Content-Security-Policy": self.policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        for name, value in (ours | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing for a request."""


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not a number")


class Server(ThreadingHTTPServer):
    """A web server with a thread for each request.

    Args:
        address: Address and port to listen at; port 0 takes a free one.
        handler: Function that makes a `Handler`.

    Raises:
        OSError: If the port is taken, or the address does not belong to this machine.
        OverflowError: If the port is out of range.
    """

    daemon_threads = True
    request_queue_size = WAITING

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors of a connection: a page may be closed at any time."""
