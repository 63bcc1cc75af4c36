"""The web server of the panel: it listens on loopback, and answers whoever knows the token.

Each address begins with the token, as /TOKEN/page.js, so that no cookie is needed, which every
other server on this machine would be sent as well. A browser that is opened for the user gets an
address that works once: other users can see the words of its command line.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from ..errors import RtdenoiseError, UsageError, last_line
from . import loopback
from .desk import Desk
from .feed import Feed
from .loopback import SCRIPT, STYLE

LOCAL = "127.0.0.1"
HERE = Path(__file__).parent
NAMES = ("page.css", "page.js", "board.js", "draw.js", "knobs.js")
FILES = {"": HERE / "page.html", "base.css": STYLE, "base.js": SCRIPT}
FILES |= {name: HERE / name for name in NAMES}
MOST_FEEDS = 12  # pages at once; a run takes 16 clients


class Panel:
    """The panel, which is served from `serve` to `close`.

    Args:
        desk: What the pages share.
        port: Port to listen at; 0 takes a free one.

    Raises:
        UsageError: If the port cannot be used.
    """

    def __init__(self, desk: Desk, port: int = 0) -> None:
        self.desk, self.token = desk, secrets.token_urlsafe(24)
        self._once: str | None = None
        self._taking = threading.Lock()
        self.feeds = threading.BoundedSemaphore(MOST_FEEDS)
        try:
            self._server = loopback.Server((LOCAL, port), partial(Handler, self))
        except (OSError, OverflowError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"port {port} cannot be used: {why}; 0 takes a free one") from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"{self._root}/{self.token}/"

    @property
    def _root(self) -> str:
        return f"http://{LOCAL}:{self._server.server_port}"

    def once(self) -> str:
        """Return an address that leads to the page, one time."""
        self._once = secrets.token_urlsafe(24)
        return f"{self._root}/once/{self._once}"

    def take(self, code: str) -> bool:
        """Return whether *code* is that of `once`, which then works no more."""
        with self._taking:
            if self._once is None or not hmac.compare_digest(code.encode(), self._once.encode()):
                return False
            self._once = None
            return True

    def serve(self) -> None:
        """Begin to answer, in a thread of its own."""
        self._thread.start()

    def close(self) -> None:
        """Answer no more, and end the run that the panel started."""
        self._server.shutdown()
        self._server.server_close()
        self.desk.close()


class Handler(loopback.Handler):
    """The handler of the panel's requests.

    Args:
        panel: The panel.
        args: Arguments of BaseHTTPRequestHandler.
    """

    most_body = 65_536
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )

    def __init__(self, panel: Panel, *args: Any) -> None:
        self.panel = panel
        super().__init__(*args)

    def do_GET(self) -> None:  # noqa: N802
        """Answer with a file of the page, or send it the state for as long as it is open."""
        place = self._place()
        if not self.meant_for_us():
            self.answer(HTTPStatus.FORBIDDEN)
        elif self.path.startswith("/once/") and self.panel.take(self.path[6:]):
            headers = {"Location": f"/{self.panel.token}/", "Content-Length": "0"}
            self.begin(HTTPStatus.SEE_OTHER, "text/plain", headers)
        elif place == "feed":
            self._feed()
        elif place in FILES:
            self.file(FILES[place])
        else:
            self.answer(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:  # noqa: N802
        """Do what the page asks for."""
        # The rest of a body that is not read whole must not be taken for a request.
        closes, self.close_connection = self.close_connection, True
        if not (self.meant_for_us() and self.from_our_page()):
            self.answer(HTTPStatus.FORBIDDEN)
            return
        if self._place() != "do":
            self.answer(HTTPStatus.NOT_FOUND)
            return
        try:
            body = self.body()
        except (ValueError, RecursionError) as error:
            self.answer(HTTPStatus.BAD_REQUEST, f"{error}\n".encode(errors="replace"))
            return
        self.close_connection = closes
        try:
            reply: dict[str, Any] = {"ok": True, "result": self.panel.desk.do(body)}
        except RtdenoiseError as error:
            reply = {"ok": False, "error": str(error), "problem": str(error.problem)}
        except Exception as error:  # the page must be told, whatever it is
            reply = {"ok": False, "error": last_line(error), "problem": ""}
        status = HTTPStatus.OK if reply["ok"] else HTTPStatus.CONFLICT
        self.answer(status, json.dumps(reply).encode(), "application/json")

    def _place(self) -> str | None:
        """Return what of the panel the request names. None: it does not know the token."""
        token, slash, place = self.path.removeprefix("/").partition("/")
        known = hmac.compare_digest(token.encode(errors="replace"), self.panel.token.encode())
        return place if known and slash else None

    def _feed(self) -> None:
        """Send messages until the page is closed."""
        if not self.panel.feeds.acquire(blocking=False):
            self.answer(HTTPStatus.SERVICE_UNAVAILABLE, b"too many pages are open\n")
            return
        feed = Feed(self.panel.desk)
        try:
            self.close_connection = True
            self.begin(HTTPStatus.OK, "text/event-stream", {"Connection": "close"})
            for name, message in feed:
                text = json.dumps(message, separators=(",", ":"))
                self.wfile.write(f"event: {name}\ndata: {text}\n\n".encode())
        finally:
            feed.close()
            self.panel.feeds.release()
